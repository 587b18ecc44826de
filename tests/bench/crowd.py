"""Clients, one or many at a time: each a process of its own with one connection that is kept alive.

A process each, so that no client waits for another's interpreter; they are started once and wait.
Promises that all begin together, each with its connection made, and that an answer other than the
one expected is an error and never a figure.
"""

from __future__ import annotations

import itertools
import multiprocessing
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from types import TracebackType
from typing import Self

from tests.bench.reader import Answer, Piece, Reader
from tests.bench.servers import Web
from tests.bench.workplace import BenchError

__all__ = ["Crowd", "Outcome", "Request"]

_LONGEST = 300.0
"""Seconds that one request may take, and all that are waited for."""


@dataclass(frozen=True, slots=True)
class Request:
    """What is asked, and what must come of it."""

    path: str
    accept: str = "*/*"
    least: int = 0
    """Bytes of body that an answer must have."""
    content_type: str = ""
    body: tuple[Piece, ...] = ()
    """Sent with POST; without it, the request is a GET."""

    def send(self, reader: Reader) -> Answer:
        """Ask.

        Raises:
            BenchError: It is not answered with 200, or with too little.
        """
        if self.body:
            answer = reader.post(self.path, self.content_type, self.body, accept=self.accept)
        else:
            answer = reader.get(self.path, accept=self.accept)
        if answer.status != 200 or answer.length < self.least:
            raise BenchError(f"{self.path}: status {answer.status}, {answer.length} bytes")
        return answer


@dataclass(frozen=True, slots=True)
class Outcome:
    """What all clients together have seen."""

    seconds: float
    """From the first request to the end of the last answer."""
    waits: tuple[float, ...]
    """Seconds of every request, ascending."""
    length: int
    """Bytes of all bodies that came back."""

    @property
    def per_second(self) -> float:
        """Requests."""
        return len(self.waits) / self.seconds

    @property
    def megabytes_per_second(self) -> float:
        """Of what came back."""
        return self.length / 1e6 / self.seconds

    def percentile(self, share: int) -> float:
        """Milliseconds within which *share* of a hundred requests were answered."""
        rank = -(-len(self.waits) * share // 100)
        return self.waits[rank - 1] * 1000


@dataclass(frozen=True, slots=True)
class _Seen:
    """What one client has seen; times are of the clock that all processes share."""

    begun: float
    ended: float
    waits: tuple[float, ...]
    length: int


@dataclass(frozen=True, slots=True)
class _Task:
    """What one client shall do."""

    web: Web
    script: tuple[Request, ...]
    once: bool


class Crowd:
    """The processes of all clients. Entering starts them; it must be done before any thread runs.

    Args:
        size: The most clients that will be needed at a time.
    """

    def __init__(self, size: int) -> None:
        self._size = size
        self._lines: list[Connection] = []
        self._clients: list[BaseProcess] = []

    def __enter__(self) -> Self:
        context = multiprocessing.get_context("fork")
        for _ in range(self._size):
            line, theirs = context.Pipe()
            self._lines.append(line)
            # They end when the bench does, however it ends, if no other client holds their line.
            client = context.Process(target=_live, args=(theirs, self._lines), daemon=True)
            client.start()
            theirs.close()
            self._clients.append(client)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        for line in self._lines:
            line.close()
        for client in self._clients:
            client.join(5)
            if client.is_alive():
                client.kill()
                client.join()

    def ask(
        self,
        web: Web,
        scripts: Sequence[Sequence[Request]],
        *,
        during: Callable[[], object] | None = None,
    ) -> Outcome:
        """Have clients ask, a script each; after an error, these clients are of no more use.

        Args:
            web: Whom.
            scripts: What each client asks, in this order.
            during: They repeat their scripts for as long as this runs, and end with the answer that
                they are waiting for; each has asked its first request before, which does not count.
                Without it, they go through them once, and everything counts.

        Raises:
            BenchError: A request failed, or it takes too long.
        """
        lines = self._lines[: len(scripts)]
        for line, script in zip(lines, scripts, strict=True):
            line.send(_Task(web, tuple(script), once=during is None))
        for line in lines:
            _receive(line)
        for line in lines:
            line.send("begin")
        if during is not None:
            during()
            for line in lines:
                line.send("end")
        seen = [_receive(line) for line in lines]
        return Outcome(
            max(one.ended for one in seen) - min(one.begun for one in seen),
            tuple(sorted(wait for one in seen for wait in one.waits)),
            sum(one.length for one in seen),
        )


def _receive(line: Connection) -> _Seen:
    if not line.poll(_LONGEST):
        raise BenchError(f"a client was not done after {_LONGEST:.0f} s")
    try:
        said = line.recv()
    except EOFError as error:
        raise BenchError("a client ended early") from error
    if isinstance(said, str):
        raise BenchError(said)
    assert isinstance(said, _Seen)
    return said


def _live(line: Connection, others: Sequence[Connection]) -> None:
    """One process: do what comes over the line, until that is closed."""
    for other in others:
        other.close()
    try:
        while True:
            task = line.recv()
            try:
                _work(line, task)
            except (BenchError, OSError) as error:
                line.send(str(error) or repr(error))
    except (EOFError, OSError, KeyboardInterrupt):
        pass  # the bench has ended, or was stopped


def _work(line: Connection, task: _Task) -> None:
    """Say that it is ready, wait for the word, ask, say what was seen."""
    with task.web.reader(seconds=_LONGEST) as reader:
        reader.connect()
        if not task.once:
            task.script[0].send(reader)
        line.send(_Seen(0, 0, (), 0))
        line.recv()
        waits, length = list[float](), 0
        begun = time.perf_counter()
        for request in task.script if task.once else itertools.cycle(task.script):
            answer = request.send(reader)
            waits.append(answer.seconds)
            length += answer.length
            if not task.once and line.poll():
                line.recv()
                break
        line.send(_Seen(begun, time.perf_counter(), tuple(waits), length))
