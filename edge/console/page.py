"""The page on the screen of the box: how it is, where its web page is, and what can be done here.

Promises that it can't be left by a key, that no key breaks off what another one began, that it
shows the newest state within seconds, and that who logged in and walked away is logged out after
five minutes. Draws with what a text console has:
eight colours, half blocks, no mouse.
"""

from __future__ import annotations

import asyncio
import logging
import sys
import time
from dataclasses import replace
from typing import ClassVar, Final

from rich.console import RenderableType
from textual import events, work
from textual.app import ComposeResult
from textual.binding import ActiveBinding, Binding, BindingType
from textual.containers import Horizontal
from textual.driver import Driver
from textual.screen import Screen
from textual.widgets import Footer, Static

from edge.cache.condition import Level
from edge.console.acting import Acting, act, act_by_person
from edge.console.advice import words_of
from edge.console.disks import talk_of_disks
from edge.console.entering import talk_of_log_in
from edge.console.facts import laid_out, rows_of
from edge.console.first_day import talk_of_reset
from edge.console.forms import Form, Question, harmless
from edge.console.network import Trial, talk_of_network
from edge.console.silence import Silence
from edge.console.style import STYLE
from edge.console.unlocking import talk_of_unlocking
from edge.console.view import Box, View
from edge.errors import EdgeError, Needs
from edge.machine.wishes import PowerOff, Restart, Wish

__all__ = ["ConsolePage"]

log = logging.getLogger(__name__)

_LOOK: Final = 5.0
_ANSWER: Final = 20.0
"""Seconds that the box has to say how it is, or that somebody has gone."""
_LOOK_AT_IDLE: Final = 1.0
_IDLE: Final = 300.0
"""Seconds after which who logged in is logged out."""
_OPENED_HERE: Final = frozenset({Needs.PASSPHRASE, Needs.NEW_PASSPHRASE, Needs.RECOVERY_KEY})
"""By something that nobody has who only stands before the box."""
_OTHER_ROWS: Final = 3
"""The title, the keys, and a blank line."""
_LOG_IN: Final = "Log in"
_RESET: Final = "The box is being reset. Leave it on."
_COUNTED: Final = "What exists only here is counted; if there is nothing, it is reset. Leave it on."
_NAME_IN_FOOTER: Final = 12
_ENDS: Final = 180.0
"""Seconds in which the machine has ended that was told to."""


class _Main(Screen[None]):
    """The page itself, below what is asked."""

    @property
    def active_bindings(self) -> dict[str, ActiveBinding]:
        """See textual. What a key does depends on who is there."""
        found = super().active_bindings
        person = self.app.person if isinstance(self.app, ConsolePage) else None
        if person is not None and "s" in found:
            name = harmless(person.name)
            if len(name) > _NAME_IN_FOOTER:
                name = f"{name[: _NAME_IN_FOOTER - 3]}..."
            said = replace(found["s"].binding, description=f"Log out ({name})")
            found["s"] = found["s"]._replace(binding=said)
        return found


class ConsolePage(Acting, inherit_bindings=False):
    """It.

    Args:
        box: Behind it.
        every: Seconds between two looks.
        idle: Seconds after which who logged in is logged out.
        ends: Seconds in which the machine has ended that was told to.
        patience: Seconds that the box has to say how it is.
        silence: What is said of one that does not.
        driver: Of the terminal; None: textual's.
    """

    CSS: ClassVar[str] = STYLE
    ENABLE_COMMAND_PALETTE: ClassVar[bool] = False
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("n", "network", "Network"),
        Binding("s", "service", _LOG_IN),
        Binding("u", "unlock", "Unlock"),
        Binding("c", "code", "Another code"),
        Binding("d", "disks", "Disks"),
        Binding("r", "restart", "Restart"),
        Binding("p", "power_off", "Power off"),
        Binding("f", "reset", "Factory reset"),
    ]

    def __init__(
        self,
        box: Box,
        *,
        every: float = _LOOK,
        idle: float = _IDLE,
        ends: float = _ENDS,
        patience: float = _ANSWER,
        silence: Silence | None = None,
        driver: type[Driver] | None = None,
    ) -> None:
        super().__init__(driver_class=driver)
        self._box = box
        self._every = every
        self._idle = idle
        self._patience = patience
        self._silence = silence or Silence("The box")
        self._touched = time.monotonic()
        self._looks = self._wanted = False
        self._ends = ends
        self._under_way = ""
        """What stands in the place of the box's sentence while it is done."""

    def get_default_screen(self) -> Screen[None]:
        """See textual."""
        return _Main(id="_default")

    def compose(self) -> ComposeResult:
        """See textual."""
        yield Static("", id="title", markup=False)
        yield Static("Looks at the box ...", id="sentence", classes="busy", markup=False)
        with Horizontal():
            yield Static("", id="facts", markup=False)
            yield Static("", id="picture", markup=False)
        yield Footer()

    def on_mount(self) -> None:
        """See textual."""
        self.look()
        self.set_interval(self._every, self.look)
        self.set_interval(min(self._every, _LOOK_AT_IDLE), self._end_idle)

    async def on_event(self, event: events.Event) -> None:
        """See textual."""
        if isinstance(event, events.Key | events.Paste) and not event.is_forwarded:
            self._touched = time.monotonic()
            if not self._is_deaf() and self.keys.take(event):
                self._hand_keys_on()
            return
        await super().on_event(event)

    def _is_deaf(self) -> bool:
        top = self.screen_stack[-1:]
        return bool(top) and isinstance(top[0], Trial) and top[0].is_deaf

    @work(group="keys")
    async def _hand_keys_on(self) -> None:
        async for event in self.keys.each():
            if not self._is_deaf():
                await super().on_event(event)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Which keys there are: those that do something."""
        del parameters
        view = self.view
        if action == "code":
            return view is not None and view.code is not None
        if action == "reset":
            return self.person is not None
        if action in ("network", "disks") and view is not None and view.needs is not None:
            # Nobody can log in; a box that waits for its network may be given another one.
            return action == "network" and view.needs is Needs.SERVER
        if action == "unlock":
            return view is not None and view.needs in _OPENED_HERE
        if action == "service":
            may = view is not None and view.needs_login and view.needs is None
            return may or self.person is not None
        return True

    # How it ends ----------------------------------------------------------------------------------

    def panic(self, *renderables: RenderableType) -> None:
        """See textual; the screen is no place for what stood in its memory, a password, say."""
        del renderables
        self._fatal_error()

    def _fatal_error(self) -> None:
        log.error("the page ends: %s", type(self._exception or sys.exception()).__name__)
        self._close_messages_no_wait()

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
        try:
            async with asyncio.timeout(self._patience):
                view = await self._box.look()
        except TimeoutError:
            log.warning("the box does not say how it is")
            said = self._silence.grown()
            if said is not None and not self._under_way:
                self._say(*said)
            return
        except (EdgeError, OSError) as error:
            log.warning("the box can't be looked at: %s", error)
            if not self._under_way:
                self._say(f"The box can't be looked at: {words_of(error)}", Level.ALARM)
            return
        self._silence.end()
        self.view = view
        if not self._under_way:
            self._say(view.sentence, view.level)
        self._entitle()
        self._lay_out()
        if self.screen_stack:
            self.refresh_bindings()

    def on_resize(self) -> None:
        """See textual."""
        self._lay_out()

    def _lay_out(self) -> None:
        if self.view is None:
            return
        columns, rows = self.size
        said = self._under_way or self.view.sentence
        lines, picture = laid_out(self.view, columns, rows - rows_of(said, columns) - _OTHER_ROWS)
        self._show("facts", "\n".join(lines))
        self._show("picture", "\n".join(picture))

    def _entitle(self) -> None:
        if self.view is None:
            return
        who = f"   {self.person.name} is logged in" if self.person is not None else ""
        lab = "   LABORATORY" if self.view.is_lab else ""
        self._show("title", f"{self.view.name}{lab}{who}")

    @work(group="idle")
    async def _end_idle(self) -> None:
        """Log out who walked away, whatever the box does meanwhile.

        What they were asked is asked no more, with whatever they had typed.
        """
        if time.monotonic() - self._touched <= self._idle:
            return
        top = self.screen_stack[-1:]
        if top and isinstance(top[0], Form | Question) and not isinstance(top[0], Trial):
            top[0].action_leave()
        if self.person is not None:
            await self._log_out()

    def _say(self, sentence: str, level: Level) -> None:
        self._show("sentence", sentence, str(level))

    def _show(self, name: str, text: str, kind: str = "") -> None:
        """Have a part of the page say something, if it is there: at the end it goes first."""
        if not self.screen_stack:
            return
        for part in self.query(f"#{name}").results(Static):
            part.update(harmless(text))
            part.set_classes(kind)

    # What can be done -----------------------------------------------------------------------------

    @act_by_person
    async def action_service(self) -> None:
        """Log in, or out."""
        if self.person is not None:
            await self._log_out()
        else:
            await self._log_in()
        self.look()

    @act
    async def action_unlock(self) -> None:
        """Open a locked box by what it needs."""
        if self.view is not None and self.view.needs is not None:
            await talk_of_unlocking(self, self._box, self.view.needs)
            self.look()

    @act
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

    @act_by_person
    async def action_network(self) -> None:
        """Try other network settings."""
        view = self.view
        if view is None or not await self._may(view):
            return
        try:
            await talk_of_network(self, lambda: self.view, self._wish, self._keep_page)
        except (EdgeError, OSError) as error:
            await self._tell(error)
        self.look()

    @act_by_person
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

    @act
    async def action_restart(self) -> None:
        """Restart the machine."""
        text = "Images that come in are ended in good order first; it is back in a minute or two."
        await self._end("Restart the box?", text, "Restart", Restart())

    @act
    async def action_power_off(self) -> None:
        """Power it off."""
        text = "Nothing comes in until somebody switches it on again."
        await self._end("Power the box off?", text, "Power off", PowerOff())

    @act
    async def action_reset(self) -> None:
        """Factory reset."""
        view, person = self.view, self.person
        if view is None or person is None:
            return

        async def reset(is_forced: bool) -> None:
            self._go_on_saying(_RESET if is_forced else _COUNTED)
            try:
                await self._box.reset(person, is_forced=is_forced)
            except BaseException:
                self._under_way = ""
                raise

        try:
            await talk_of_reset(self, view.name, reset)
        except (EdgeError, OSError) as error:
            await self._tell(error)

    def _go_on_saying(self, sentence: str) -> None:
        self._under_way = sentence
        self._say(sentence, Level.BUSY)

    async def _end(self, title: str, text: str, yes: str, wish: Wish) -> None:
        asked = Question(title, text, yes=yes, no="Leave it on")
        if await self.push_screen_wait(asked) and await self._wish(wish):
            self._go_on_saying("The box ends.")
            self.set_timer(self._ends, self._has_not_ended)

    @work
    async def _has_not_ended(self) -> None:
        self._under_way = ""
        self.look()
        hint = "hold its power button until it is off, and switch it on again"
        await self._tell(EdgeError("the box has not ended", hint=hint))

    async def _may(self, view: View) -> bool:
        """Whether somebody is there who may change settings; they are asked to log in."""
        if view.needs is Needs.SERVER or not view.needs_login or self.person is not None:
            return True
        return await self._log_in()

    async def _wish(self, wish: Wish) -> bool:
        self._go_on_saying("The machine is asked ...")
        try:
            await self._box.wish(wish, self.person)
        except (EdgeError, OSError) as error:
            self._under_way = ""
            self.look()
            await self._tell(error)
            return False
        finally:
            self._under_way = ""
        return True

    async def _keep_page(self, port: str) -> None:
        await self._box.keep_page(port, self.person)

    async def _log_in(self) -> bool:
        has_issuer = self.view is not None and self.view.has_issuer
        try:
            self.person = await talk_of_log_in(self, self._box, self.keys, has_issuer=has_issuer)
        except (EdgeError, OSError) as error:
            self.keys.end_log_in()
            await self._tell(error)
            return False
        finally:
            self.keys.end_log_in()
        self._touched = time.monotonic()
        return self.person is not None

    async def _log_out(self) -> None:
        person, self.person = self.person, None
        if person is None:
            return
        self._entitle()
        self.refresh_bindings()
        try:
            async with asyncio.timeout(self._patience):
                await self._box.log_out(person)
        except (EdgeError, OSError) as error:  # a TimeoutError is one
            log.warning("the log-in at the screen is not ended in the box: %s", error)

    async def _tell(self, error: EdgeError | OSError) -> None:
        await self.push_screen_wait(Question("It was not done", words_of(error)))
