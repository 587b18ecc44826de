"""How somebody logs in at the screen of the box: what is asked, again, and what is said meanwhile.

Promises that a wrong code is asked for again without name and password, that no more is told
than on the web page (which of name and password was wrong, nobody hears), that the page of the box
is not seen before it is over, and that a code is not lost which somebody typed while the box was
still busy with the password.
"""

from __future__ import annotations

from typing import Any

from textual.app import App, ComposeResult
from textual.containers import Vertical
from textual.screen import ModalScreen
from textual.widgets import Label, Static

from edge.console.advice import words_of
from edge.console.forms import LogInForm, Typed
from edge.console.keys import KeysInOrder
from edge.console.view import Box, CodeWrong, Person, SecondFactorNeeded
from edge.errors import AccessDenied, TooManyAttempts

__all__ = ["Checking", "talk_of_log_in"]

_BY_ISSUER = (
    "Who logs in by the identity provider can't here: an admin with a password of this box can."
)
_BY_APP = "The code of the app, or a recovery code."
_BY_RECOVERY_CODE = "A passkey can't be used here: type a recovery code."


class Checking(ModalScreen[None]):
    """Stands there before, between and after the forms of a log-in, until it is over."""

    def compose(self) -> ComposeResult:
        """See textual."""
        with Vertical(classes="form"):
            yield Label(LogInForm.heading, classes="heading", markup=False)
            yield Static("It is checked ...", id="text", markup=False)


async def talk_of_log_in(
    page: App[Any], box: Box, keys: KeysInOrder, *, has_issuer: bool
) -> Person | None:
    """Ask until somebody is let in; None if they leave it.

    Args:
        page: On which it is asked.
        box: Behind it.
        keys: What is typed, which waits for its form.
        has_issuer: Some people log in by an identity provider.

    Raises:
        EdgeError: It can't be told whether they may.
    """
    keys.begin_log_in()
    checking = Checking()
    await page.push_screen(checking)
    try:
        return await _asked(page, box, keys, _BY_ISSUER if has_issuer else "")
    finally:
        if page.screen is checking:
            await page.pop_screen()


async def _asked(page: App[Any], box: Box, keys: KeysInOrder, first: str) -> Person | None:
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
            continue  # what was typed meanwhile is the code
        except (CodeWrong, TooManyAttempts) as error:
            wrong = words_of(error)  # of what was asked last, which is asked again
        except AccessDenied as error:
            before, wrong, note = None, words_of(error), first
        keys.forget()
