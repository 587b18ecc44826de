"""Whoever stands before the machine: the screen and the serial line, as far as they are there."""

from __future__ import annotations

import contextlib
import ctypes
import os
import select
import termios
from pathlib import Path

TERMINALS = ("/dev/tty1", "/dev/ttyS0", "/dev/ttyAMA0")


class StickGoneError(Exception):
    """It was taken out instead of an answer."""


class Terminals:
    """The screen and the serial line, as far as they are there."""

    def __init__(self) -> None:
        self._open: list[int] = []
        self._screen = -1
        """That of them on which a line can be written again."""
        self._shown = ("", -1)
        for path in TERMINALS:
            try:
                self._open.append(os.open(path, os.O_RDWR | os.O_NOCTTY))
            except OSError:
                continue
            if path == TERMINALS[0]:
                self._screen = self._open[-1]

    def say(self, text: str = "") -> None:
        """Write a line to all."""
        line = text.replace("\n", "\r\n") + "\r\n"
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
        try:
            os.write(terminal, text.encode())
        except OSError:
            self._open.remove(terminal)

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
            except OSError:
                line = b""
            if line:
                return line.decode(errors="replace").strip()
            self._open.remove(each)
        return None


def keep_in_memory() -> None:
    """Go on when the stick is out: what is not in memory by then is not there any more."""
    ctypes.CDLL(None).mlockall(1)
