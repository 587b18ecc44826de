"""What is typed at the screen of the box: each key is at its end before the next one begins.

Promises that a key which moves on (Tab, Enter) has moved before what was typed behind it gets
anywhere, however busy the box is: else a password would stand, readable, in the field before. While
somebody logs in, what they type before its form is there waits for that.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import AsyncIterator
from typing import Any, Final

from textual import events
from textual.app import App
from textual.message_pump import MessagePump

from edge.console.forms import LogInForm

__all__ = ["KeysInOrder"]

_MOST: Final = 512
"""Keys that wait: a person types fewer ahead."""
_ROUNDS: Final = 2
"""Ways of a message from a field up to the page: the key's, and that of what it sets off."""
_LOOK: Final = 0.02


class KeysInOrder:
    """Those of a page.

    Args:
        page: It.
    """

    def __init__(self, page: App[Any]) -> None:
        self._page = page
        self._waiting: deque[events.Event] = deque()
        self._is_handed_on = False
        self._is_log_in = False

    @property
    def waiting(self) -> int:
        """How many have not had their turn."""
        return len(self._waiting)

    def begin_log_in(self) -> None:
        """What is typed from now on is for the forms of a log-in."""
        self._is_log_in = True

    def end_log_in(self) -> None:
        """It is over; nothing that was typed for it gets anywhere else."""
        if self._is_log_in:
            self._is_log_in = False
            self.forget()

    def forget(self) -> None:
        """What waits."""
        self._waiting.clear()

    def take(self, event: events.Event) -> bool:
        """Have one wait for its turn; whether somebody has to begin with `each`."""
        if len(self._waiting) < _MOST:
            self._waiting.append(event)
        return not self._is_handed_on and bool(self._waiting)

    async def each(self) -> AsyncIterator[events.Event]:
        """One after the other, once all is done that came of those before."""
        if self._is_handed_on:
            return
        self._is_handed_on = True
        try:
            while self._waiting and self._page.screen_stack:
                if not self._may_go_on():
                    await asyncio.sleep(_LOOK)
                    continue
                first = self._page.focused or self._page.screen
                yield self._waiting.popleft()
                for _ in range(_ROUNDS):
                    for one in [*first.ancestors_with_self]:
                        await _done(one)
        finally:
            self._is_handed_on = False

    def _may_go_on(self) -> bool:
        top = self._page.screen
        return not self._is_log_in or (isinstance(top, LogInForm) and top.focused is not None)


async def _done(pump: MessagePump) -> None:
    """What it had got until now is done, or it has gone."""
    is_done = asyncio.Event()
    if not pump.call_later(is_done.set):
        return
    while not is_done.is_set() and pump.is_running:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(is_done.wait(), _LOOK)
