"""How somebody logs in at the screen of the box: what is asked, again, and what is said meanwhile.

Promises that a wrong code is asked for again without name and password, and that no more is told
than on the web page: which of name and password was wrong, nobody hears.
"""

from __future__ import annotations

from typing import Any

from textual.app import App

from edge.console.advice import words_of
from edge.console.forms import LogInForm, Typed
from edge.console.view import Box, CodeWrong, Person, SecondFactorNeeded
from edge.errors import AccessDenied, TooManyAttempts

__all__ = ["talk_of_log_in"]

_BY_ISSUER = (
    "Who logs in by the identity provider can't here: an admin with a password of this box can."
)
_BY_APP = "The code of the app, or a recovery code."
_BY_RECOVERY_CODE = "A passkey can't be used here: type a recovery code."


async def talk_of_log_in(page: App[Any], box: Box, *, has_issuer: bool) -> Person | None:
    """Ask until somebody is let in; None if they leave it.

    Args:
        page: On which it is asked.
        box: Behind it.
        has_issuer: Some people log in by an identity provider.

    Raises:
        EdgeError: It can't be told whether they may.
    """
    first = _BY_ISSUER if has_issuer else ""
    before, wrong, note = None, "", first
    while True:
        typed = await page.push_screen_wait(LogInForm(before, wrong, note))
        if not isinstance(typed, Typed):
            return None
        try:
            return await box.log_in(typed.name, typed.password, typed.second)
        except SecondFactorNeeded as error:
            note = _BY_APP if "totp" in error.factors else _BY_RECOVERY_CODE
            before, wrong = typed, ""
        except (CodeWrong, TooManyAttempts) as error:
            wrong = words_of(error)  # of what was asked last, which is asked again
        except AccessDenied as error:
            before, wrong, note = None, words_of(error), first
