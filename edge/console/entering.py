"""How somebody logs in at the screen of the box: what is asked, again, and what is said meanwhile.

Promises that a wrong code is asked for again without name and password, that no more is told
than on the web page (which of name and password was wrong, nobody hears), and that a code is not
lost which somebody typed while the box was still busy with the password.
"""

from __future__ import annotations

from typing import Any, Final

from textual import events
from textual.app import App, ComposeResult
from textual.containers import Vertical
from textual.screen import ModalScreen
from textual.widgets import Label, Static

from edge.console.advice import words_of
from edge.console.forms import LogInForm, Typed
from edge.console.view import Box, CodeWrong, Person, SecondFactorNeeded
from edge.errors import AccessDenied, TooManyAttempts

__all__ = ["Checking", "talk_of_log_in"]

_LONGEST: Final = 64
"""Characters of a code."""

_BY_ISSUER = (
    "Who logs in by the identity provider can't here: an admin with a password of this box can."
)
_BY_APP = "The code of the app, or a recovery code."
_BY_RECOVERY_CODE = "A passkey can't be used here: type a recovery code."


class Checking(ModalScreen[None]):
    """Stands there until the box has answered; what is typed meanwhile is kept, for a code."""

    def __init__(self) -> None:
        super().__init__()
        self.typed = ""
        self.is_sent = False
        """The key that ends a line was pressed behind it."""

    def compose(self) -> ComposeResult:
        """See textual."""
        with Vertical(classes="form"):
            yield Label(LogInForm.heading, classes="heading", markup=False)
            yield Static("It is checked …", id="text", markup=False)

    def on_key(self, event: events.Key) -> None:
        """See textual."""
        event.stop()
        if self.is_sent:
            return
        if event.key == "enter":
            self.is_sent = bool(self.typed)
        elif event.key == "backspace":
            self.typed = self.typed[:-1]
        elif event.is_printable and event.character and len(self.typed) < _LONGEST:
            self.typed += event.character


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
    ahead = Checking()  # of nothing yet
    while True:
        if before is not None and ahead.is_sent:
            typed: Any = Typed(before.name, before.password, ahead.typed)
        else:
            typed = await page.push_screen_wait(LogInForm(before, wrong, note, ahead.typed))
        if not isinstance(typed, Typed):
            return None
        ahead, checking = Checking(), Checking()
        await page.push_screen(checking)
        try:
            return await box.log_in(typed.name, typed.password, typed.second)
        except SecondFactorNeeded as error:
            note = _BY_APP if "totp" in error.factors else _BY_RECOVERY_CODE
            before, wrong, ahead = typed, "", checking
        except (CodeWrong, TooManyAttempts) as error:
            wrong = words_of(error)  # of what was asked last, which is asked again
        except AccessDenied as error:
            before, wrong, note = None, words_of(error), first
        finally:
            if page.screen is checking:
                await page.pop_screen()
