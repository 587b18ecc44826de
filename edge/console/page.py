"""The page on the screen of the box: how it is, where its web page is, and what can be done here.

Promises that it can't be left by a key, that no key breaks off what another one began, that it
shows the newest state within seconds, and that who logged in and walked away is logged out after
five minutes. Draws with what a text console has:
eight colours, half blocks, no mouse.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Coroutine
from functools import wraps
from typing import Any, ClassVar, Final

from textual import events, work
from textual.app import App, ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal
from textual.widgets import Footer, Static
from textual.worker import Worker

from edge.cache.condition import Level
from edge.console.disks import talk_of_disks
from edge.console.forms import (
    LogInForm,
    Question,
    ResetForm,
    Typed,
    UnlockForm,
    harmless,
)
from edge.console.network import Trial, talk_of_network
from edge.console.picture import drawn
from edge.console.style import STYLE
from edge.console.view import Box, Person, SecondFactorNeeded, View
from edge.errors import AccessDenied, DecisionRefused, EdgeError, Needs
from edge.machine.wishes import PowerOff, Restart, Wish

__all__ = ["ConsolePage", "lines_of"]

log = logging.getLogger(__name__)

_LOOK: Final = 5.0
_IDLE: Final = 300.0
"""Seconds after which who logged in is logged out."""
_OPENED_HERE: Final = frozenset({Needs.PASSPHRASE, Needs.NEW_PASSPHRASE, Needs.RECOVERY_KEY})
"""By something that nobody has who only stands before the box."""
_HEX_IN_LINE: Final = 8
"""Bytes of a fingerprint: a person compares a line at a time."""
_LABEL: Final = 13


def _act(doing: Callable[[Any], Coroutine[Any, Any, None]]) -> Callable[[Any], Worker[None]]:
    """What a key begins; nothing, while something is under way that another key began."""

    @work(group="act")
    @wraps(doing)
    async def act(page: ConsolePage) -> None:
        if page.is_acting:
            return
        page.is_acting = True
        try:
            await doing(page)
        finally:
            page.is_acting = False

    return act


class ConsolePage(App[None], inherit_bindings=False):
    """It.

    Args:
        box: Behind it.
        every: Seconds between two looks.
        idle: Seconds after which who logged in is logged out.
    """

    CSS: ClassVar[str] = STYLE
    ENABLE_COMMAND_PALETTE: ClassVar[bool] = False
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("n", "network", "Network"),
        Binding("s", "service", "Log in"),
        Binding("u", "unlock", "Unlock"),
        Binding("c", "code", "Another code"),
        Binding("d", "disks", "Disks"),
        Binding("r", "restart", "Restart"),
        Binding("p", "power_off", "Power off"),
        Binding("f", "reset", "Factory reset"),
    ]

    def __init__(self, box: Box, *, every: float = _LOOK, idle: float = _IDLE) -> None:
        super().__init__()
        self._box = box
        self._every = every
        self._idle = idle
        self._touched = time.monotonic()
        self._looks = self._wanted = False
        self._under_way = ""
        """What stands in the place of the box's sentence while it is done."""
        self.is_acting = False
        """A key was pressed, and what it began is not over."""
        self.person: Person | None = None
        """Who is logged in."""
        self.view: View | None = None
        """What is shown; None: nothing yet."""

    def compose(self) -> ComposeResult:
        """See textual."""
        yield Static("", id="title", markup=False)
        yield Static("Looks at the box …", id="sentence", classes="busy", markup=False)
        with Horizontal():
            yield Static("", id="facts", markup=False)
            yield Static("", id="picture", markup=False)
        yield Footer()

    def on_mount(self) -> None:
        """See textual."""
        self.look()
        self.set_interval(self._every, self.look)

    async def on_event(self, event: events.Event) -> None:
        """See textual."""
        if isinstance(event, events.Key):
            self._touched = time.monotonic()
            if isinstance(self.screen, Trial) and self.screen.is_deaf:
                return
        await super().on_event(event)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Which keys there are: those that do something."""
        del parameters
        view = self.view
        if action == "code":
            return view is not None and view.code is not None
        if action == "reset":
            return self.person is not None
        if action == "unlock":
            return view is not None and view.needs in _OPENED_HERE
        if action == "service":
            may = view is not None and view.needs_login and view.needs is None
            return may or self.person is not None
        return True

    # What is shown --------------------------------------------------------------------------------

    @work(group="look")
    async def look(self) -> None:
        """Show how the box is now; one look at a time, however long it takes."""
        self._wanted = True
        if self._looks:
            return
        self._looks = True
        try:
            while self._wanted:
                self._wanted = False
                await self._look()
        finally:
            self._looks = False

    async def _look(self) -> None:
        if self.person is not None and time.monotonic() - self._touched > self._idle:
            await self._log_out()
        try:
            view = await self._box.look()
        except (EdgeError, OSError) as error:
            log.warning("the box can't be looked at: %s", error)
            if not self._under_way:
                self._say(f"The box can't be looked at: {error}", Level.ALARM)
            return
        self.view = view
        if not self._under_way:
            self._say(view.sentence, view.level)
        who = f"   {self.person.name} is logged in" if self.person is not None else ""
        lab = "   LABORATORY" if view.is_lab else ""
        self._show("title", f"{view.name}{lab}{who}")
        self._show("facts", "\n".join(lines_of(view)))
        self._show("picture", "\n".join(drawn(view.address)))
        self.refresh_bindings()

    def _say(self, sentence: str, level: Level) -> None:
        self._show("sentence", sentence, str(level))

    def _show(self, name: str, text: str, kind: str = "") -> None:
        """Have a part of the page say something, if it is there: at the end it goes first."""
        for part in self.query(f"#{name}").results(Static):
            part.update(harmless(text))
            part.set_classes(kind)

    # What can be done -----------------------------------------------------------------------------

    @_act
    async def action_service(self) -> None:
        """Log in, or out."""
        if self.person is not None:
            await self._log_out()
        else:
            await self._log_in()
        self.look()

    @_act
    async def action_unlock(self) -> None:
        """Open a locked box by what it needs."""
        view, wrong = self.view, ""
        if view is None or view.needs is None:
            return
        while True:
            secret = await self.push_screen_wait(UnlockForm(view.needs, wrong))
            if not isinstance(secret, str):
                return
            try:
                await self._box.unlock(secret, view.needs)
            except EdgeError as error:
                wrong = _words(error)
            else:
                break
        self.look()

    @_act
    async def action_code(self) -> None:
        """Another code for the first admin."""
        asked = Question(
            "Another set-up code?",
            "The one that was handed out before is worthless then.",
            yes="Make another",
            no="Leave it",
        )
        if await self.push_screen_wait(asked):
            try:
                await self._box.new_code()
            except EdgeError as error:
                await self._tell(error)
        self.look()

    @_act
    async def action_network(self) -> None:
        """Try other network settings."""
        view = self.view
        if view is None or not await self._may(view):
            return
        await talk_of_network(self, lambda: self.view, self._wish)
        self.look()

    @_act
    async def action_disks(self) -> None:
        """Move the data to a bigger disk."""
        view = self.view
        if view is None or not await self._may(view):
            return
        try:
            await talk_of_disks(self, self._box, view, self._wish)
        except EdgeError as error:
            await self._tell(error)
        self.look()

    @_act
    async def action_restart(self) -> None:
        """Restart the machine."""
        text = "Images that come in are ended in good order first; it is back in a minute or two."
        await self._end("Restart the box?", text, "Restart", Restart())

    @_act
    async def action_power_off(self) -> None:
        """Power it off."""
        text = "Nothing comes in until somebody switches it on again."
        await self._end("Power the box off?", text, "Power off", PowerOff())

    @_act
    async def action_reset(self) -> None:
        """Factory reset."""
        view, person = self.view, self.person
        if view is None or person is None:
            return
        lost, is_forced = "", False
        while await self.push_screen_wait(ResetForm(view.name, lost)) is not None:
            self._go_on_saying("The box is being reset. Leave it on.")
            try:
                await self._box.reset(person, is_forced=is_forced)
            except DecisionRefused as error:
                self._under_way = ""
                if is_forced:
                    await self._tell(error)
                    return
                if not await self._force(error):
                    return
                lost, is_forced = f"{error}. They are lost for good.", True
            except (EdgeError, OSError) as error:
                self._under_way = ""
                await self._tell(error)
                return
            except BaseException:
                self._under_way = ""
                raise
            else:
                return  # the machine starts anew

    def _go_on_saying(self, sentence: str) -> None:
        self._under_way = sentence
        self._say(sentence, Level.BUSY)

    async def _force(self, error: DecisionRefused) -> bool:
        asked = Question("It is refused", _words(error), yes="Destroy it anyway", no="Leave it")
        is_forced: bool = await self.push_screen_wait(asked)
        return is_forced

    async def _end(self, title: str, text: str, yes: str, wish: Wish) -> None:
        asked = Question(title, text, yes=yes, no="Leave it on")
        if await self.push_screen_wait(asked) and await self._wish(wish):
            self._go_on_saying("The box ends.")

    async def _may(self, view: View) -> bool:
        """Whether somebody is there who may change settings; they are asked to log in."""
        return not view.needs_login or self.person is not None or await self._log_in()

    async def _wish(self, wish: Wish) -> bool:
        try:
            await self._box.wish(wish, self.person)
        except (EdgeError, OSError) as error:
            await self._tell(error)
            return False
        return True

    async def _log_in(self) -> bool:
        before, wrong = None, ""
        while True:
            typed = await self.push_screen_wait(LogInForm(before, wrong))
            if not isinstance(typed, Typed):
                return False
            try:
                self.person = await self._box.log_in(typed.name, typed.password, typed.second)
            except SecondFactorNeeded:
                before, wrong = typed, ""
            except AccessDenied as error:
                before, wrong = None, _words(error)
            except (EdgeError, OSError) as error:
                await self._tell(error)
                return False
            else:
                self._touched = time.monotonic()
                return True

    async def _log_out(self) -> None:
        person, self.person = self.person, None
        if person is None:
            return
        try:
            await self._box.log_out(person)
        except EdgeError as error:
            log.warning("the log-in at the screen is not ended in the box: %s", error)

    async def _tell(self, error: EdgeError | OSError) -> None:
        await self.push_screen_wait(Question("It was not done", _words(error)))


def _words(error: EdgeError | OSError) -> str:
    hint = error.hint if isinstance(error, EdgeError) else ""
    return f"{error}\n{hint}" if hint else str(error)


def lines_of(view: View) -> list[str]:
    """What stands beside the code that leads to the web page."""
    said = [("Web page", view.address)]
    said += [("" if at else "Address", one) for at, one in enumerate(view.addresses or ("none",))]
    if not view.addresses:
        said.append(("", "Is the cable plugged in?"))
    if view.network.tried is not None:
        said.append(("Network", "other settings are tried"))
    if view.move is not None:
        said.append(("Disk", view.move.words))
    if view.code is not None:
        until = time.strftime("%d %b %H:%M", time.localtime(view.code.until))
        said += [("", ""), ("Set-up code", view.code.text or "was handed out before")]
        said.append(("", f"until {until}"))
    pairs = view.fingerprint.split(":") if view.fingerprint else []
    for at in range(0, len(pairs), _HEX_IN_LINE):
        if not at:
            said.append(("", ""))
        said.append(("" if at else "SHA-256", ":".join(pairs[at : at + _HEX_IN_LINE])))
    lines = [f"{name:<{_LABEL}}{text}".rstrip() for name, text in said]
    if view.troubles:
        lines += ["", *(f"! {one}" for one in view.troubles)]
    return lines
