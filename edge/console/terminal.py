"""The terminal that the page is drawn on: whatever bytes come from it, the page goes on.

Owns how what is typed becomes keys. Promises that nothing which the terminal sends ends the page,
and that nothing but keys and pasted text gets to it: it has no mouse, and asks the terminal itself
how large it is. What is typed is not shown by the terminal, before the page is there or between two
of them. What can't be understood is dropped, and so is a sequence that does not end.
"""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import select
import termios
import time
from codecs import getincrementaldecoder
from collections.abc import Iterator
from typing import Final

from textual import events
from textual._xterm_parser import XTermParser
from textual.drivers.linux_driver import LinuxDriver
from textual.message import Message

__all__ = ["Keys", "TerminalDriver", "unechoed"]

log = logging.getLogger(__name__)

_LOOK: Final = 0.1
_UNENDING: Final = 2.0
"""Seconds in which a sequence of a key, or what is pasted, has to end."""
_LONGEST: Final = 4096
"""Characters that are pasted at once."""
_LFLAG: Final = 3
"""Where ``termios`` has the local modes."""


class Keys:
    """What bytes of a terminal mean."""

    def __init__(self) -> None:
        self._decoder = getincrementaldecoder("utf-8")("replace")
        self._parser = XTermParser()
        self._begun: float | None = None
        """When what is not understood yet began."""

    def read(self, data: bytes, now: float) -> Iterator[Message]:
        """Keys and pasted text.

        Args:
            data: As they came; empty: nothing came for a moment.
            now: By a clock that only goes on.
        """
        if self._begun is not None and now - self._begun > _UNENDING:
            self._begin_anew()
        for one in self._decoder.decode(data):
            if self._begun is None:
                self._begun = now
            yield from self._understood(one)
        yield from self._understood("")

    def _understood(self, one: str) -> list[Message]:
        try:
            found = list(self._parser.feed(one) if one else self._parser.tick())
        except Exception as error:  # noqa: BLE001 - a parser of others; what is typed is not logged
            log.warning("what the terminal sent is no key: %s", type(error).__name__)
            self._begin_anew()
            return []
        if found:
            self._begun = None
        return [message for message in found if _is_wanted(message)]

    def _begin_anew(self) -> None:
        self._parser = XTermParser()
        self._begun = None


class TerminalDriver(LinuxDriver):
    """As textual's, but for what is read."""

    def run_input_thread(self) -> None:
        """See textual.

        Raises:
            OSError: The terminal is gone.
        """
        keys = Keys()
        while not self.exit_event.is_set():
            data = b""
            if select.select([self.fileno], [], [], _LOOK)[0]:
                data = os.read(self.fileno, 4096)
                if not data:
                    raise OSError(errno.EIO, "the terminal is gone")
            for message in keys.read(data, time.monotonic()):
                self.process_message(message)

    def _query_in_band_window_resize(self) -> None:
        """Nothing: the answer would be no key."""

    def _request_terminal_sync_mode_support(self) -> None:
        """Nothing, as above."""


@contextlib.contextmanager
def unechoed(descriptor: int) -> Iterator[None]:
    """Have a terminal not show what is typed."""
    before = termios.tcgetattr(descriptor)
    silent = termios.tcgetattr(descriptor)
    silent[_LFLAG] &= ~(termios.ECHO | termios.ECHONL)
    termios.tcsetattr(descriptor, termios.TCSANOW, silent)
    try:
        yield
    finally:
        with contextlib.suppress(termios.error):
            termios.tcsetattr(descriptor, termios.TCSAFLUSH, before)  # and nobody else reads it


def _is_wanted(message: Message) -> bool:
    """Whether it is a key or text, of characters that can be written."""
    if isinstance(message, events.Paste):
        text = message.text
        return len(text) <= _LONGEST and _is_text(text)
    return isinstance(message, events.Key) and _is_text(message.key + (message.character or ""))


def _is_text(text: str) -> bool:
    return not any("\ud800" <= one <= "\udfff" for one in text)
