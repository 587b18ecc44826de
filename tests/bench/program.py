"""One server as a child process, and where it is asked over HTTP.

Promises that starting is bounded in time and has returned only when the server answers, and that
after ``stop`` the process has ended. Never touches a process that it did not start.
"""

from __future__ import annotations

import os
import socket
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tests.bench.reader import Reader
from tests.bench.workplace import ROOT, BenchError

__all__ = ["START", "Program", "Web", "environment", "listens"]

START = 60.0
"""Seconds that a server may take to answer."""
_STOP = 30.0


@dataclass(frozen=True, slots=True)
class Web:
    """Where and how a server is asked over HTTP."""

    port: int
    authorization: str
    cookie: str = ""
    """Of a session, sent as the box's own page sends it."""

    def reader(self, *, seconds: float = 120.0) -> Reader:
        """A new connection, made when it is first used."""
        headers = {"Authorization": self.authorization} if self.authorization else {}
        if self.cookie:
            headers |= {"Cookie": self.cookie, "Sec-Fetch-Site": "same-origin"}
        return Reader(self.port, headers, seconds=seconds)


class Program:
    """One child process, its words in a file."""

    def __init__(self, name: str, folder: Path) -> None:
        self._name = name
        self._log = folder / f"{name}.log"
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        assert self._process is not None, f"{self._name} is not running"
        return self._process.pid

    def start(self, command: list[str], folder: Path, answers: Callable[[], bool]) -> None:
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                command,
                cwd=folder,
                env=environment(folder),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        try:
            deadline = time.monotonic() + START
            while time.monotonic() < deadline and self._process.poll() is None:
                if answers():
                    return
                time.sleep(0.02)
        except BaseException:
            self.stop()
            raise
        self.stop()
        said = self._log.read_text(encoding="utf-8", errors="replace")
        raise BenchError(f"{self._name} did not start:\n{said[-2000:]}")

    def stop(self) -> None:
        if self._process is None:
            return
        self._process.terminate()
        try:
            self._process.wait(_STOP)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process = None

    def discard(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None


def environment(folder: Path) -> dict[str, str]:
    """Ours, less what would configure an edge, and with what DCMTK needs to be comparable."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("EDGE_")}
    kept |= {"TCP_NODELAY": "1", "PYTHONPATH": str(ROOT)}
    if kept.pop("PYTHONDONTWRITEBYTECODE", ""):
        # An installed edge is compiled already; compiling at every start would count as its memory.
        kept["PYTHONPYCACHEPREFIX"] = str(folder.parent / "compiled")
    return kept


def listens(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True
