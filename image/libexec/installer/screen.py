"""Whoever stands before the machine: the screen and the serial line, as far as they are there."""

from __future__ import annotations

import contextlib
import ctypes
import os
import select
import termios
import time
from pathlib import Path

PATIENCE = 5.0
"""Seconds in which a terminal takes a text; one that does not gets no more of it."""
TERMINALS = ("/dev/tty1", "/dev/ttyS0", "/dev/ttyAMA0")


def plain(text: str) -> str:
    """It on one line, without what a terminal would obey; a disk may call itself anything."""
    return "".join(each if each.isprintable() else " " if each.isspace() else "?" for each in text)


class StickGoneError(Exception):
    """It was taken out instead of an answer."""


class Terminals:
    """The screen and the serial line, as far as they are there."""

    def __init__(self) -> None:
        self._open: list[int] = []
        self._screen = -1
        """That of them on which a line can be written again."""
        self._shown = ("", -1)
        self._deaf: set[int] = set()
        """Those of them that took nothing when they last were to."""
        for path in TERMINALS:
            try:
                self._open.append(os.open(path, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK))
            except OSError:
                continue
            make_steady(self._open[-1])
            if path == TERMINALS[0]:
                self._screen = self._open[-1]

    def say(self, text: str = "") -> None:
        """Write a line to all, or several."""
        line = "".join(f"{plain(each)}\r\n" for each in text.split("\n"))
        for each in list(self._open):
            self._write(each, line)

    def rises(self, what: str, percent: int) -> None:
        """Show how far something is: on one line of the screen, on a serial line every tenth."""
        before = self._shown[1] if self._shown[0] == what else -1
        if percent <= before:
            return
        self._shown = (what, percent)
        for each in list(self._open):
            if each == self._screen:
                self._write(each, f"\r{what}: {percent:3} %" + ("\r\n" if percent >= 100 else ""))
            elif before < 0 or percent // 10 > before // 10:
                self._write(each, f"{what}: {percent} %\r\n")

    def _write(self, terminal: int, text: str) -> None:
        """Write to one. Whether it takes that holds up nothing else: its Scroll Lock may be on."""
        left = text.encode(errors="replace")
        until = time.monotonic() + (0 if terminal in self._deaf else PATIENCE)
        while left:
            try:
                left = left[os.write(terminal, left) :]
            except BlockingIOError:
                if (seconds := until - time.monotonic()) <= 0:
                    self._deaf.add(terminal)
                    return
                select.select([], [terminal], [], seconds)
            except OSError:
                self._open.remove(terminal)
                return
        self._deaf.discard(terminal)

    def ask(self, text: str, stick: Path) -> str:
        """The line that somebody types on one of them.

        Args:
            text: What is asked.
            stick: What is there in sysfs as long as the stick is in.

        Raises:
            StickGoneError: It was taken out.
        """
        keep_in_memory()
        self.say(text)
        while (line := self.typed(1)) is None:
            if not stick.exists():
                raise StickGoneError
        return line

    def forget(self) -> None:
        """What was typed by now counts for nothing: nobody was asked for it."""
        for each in self._open:
            with contextlib.suppress(termios.error):
                termios.tcflush(each, termios.TCIFLUSH)

    def typed(self, seconds: float) -> str | None:
        """The line that somebody types within some seconds; None if nobody did."""
        ready, _, _ = select.select(self._open, [], [], seconds)
        for each in ready:
            try:
                line = os.read(each, 4096)
            except BlockingIOError:
                continue
            except OSError:
                line = b""
            if line:
                return line.decode(errors="replace").strip()
            self._open.remove(each)
        return None


def make_steady(terminal: int) -> None:
    """No key and no noise on the line stops what is said (Ctrl-S), or ends what is typed (Ctrl-D).

    What was stopped goes on.
    """
    with contextlib.suppress(termios.error):
        settings = termios.tcgetattr(terminal)
        settings[0] &= ~(termios.IXON | termios.IXOFF | termios.IXANY)
        settings[6][termios.VEOF] = b"\0"  # none: _POSIX_VDISABLE of Linux
        termios.tcsetattr(terminal, termios.TCSANOW, settings)


def keep_in_memory() -> None:
    """Go on when the stick is out: what is not in memory by then is not there any more."""
    ctypes.CDLL(None).mlockall(1)
