"""A line of a certain bandwidth and latency, beside the bench; and who waits for a word of a log.

The proxy is that of the tests (``tests.fakes.line``), in a process of its own: it takes none of the
processor time of whoever measures.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import threading
import time
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from tests.bench.workplace import BenchError
from tests.fakes.line import TerribleLine

__all__ = ["Carried", "LogWatch", "Wire"]

Carried = tuple[int, float, int]
"""Bytes up, seconds that the line was up, cuts."""


class Wire:
    """A line to a port of loopback.

    Args:
        far_port: Where it leads.
        rate: Bytes a second each way.
        latency: Seconds each way.
    """

    def __init__(self, far_port: int, rate: float, latency: float = 0.0) -> None:
        context = multiprocessing.get_context("fork")
        self._ours, theirs = context.Pipe()
        self._process = context.Process(
            target=_serve, args=(theirs, far_port, rate, latency), daemon=True
        )
        self.port = 0

    def __enter__(self) -> Self:
        self._process.start()
        if not self._ours.poll(30):
            raise BenchError("the proxy did not start")
        self.port = self._ours.recv()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._process.kill()
        self._process.join()

    def cut_at_random(self, seed: int, count: int, *, within: int, down_for: float) -> None:
        """Break so often from now on; see ``TerribleLine``."""
        self._ours.send((seed, count, within, down_for))

    def carried(self) -> Carried:
        """What it carried so far."""
        self._ours.send(None)
        found: Carried = self._ours.recv()
        return found


def _serve(pipe: Any, far_port: int, rate: float, latency: float) -> None:
    asyncio.run(_carry(pipe, far_port, rate, latency))


async def _carry(pipe: Any, far_port: int, rate: float, latency: float) -> None:
    async with TerribleLine(far_port) as line, asyncio.TaskGroup() as tasks:
        line.limit(rate, latency=latency)
        pipe.send(line.port)
        while True:
            asked = await asyncio.to_thread(pipe.recv)
            if asked is None:
                pipe.send((line.up.carried, line.seconds_up, line.cuts))
                continue
            seed, count, within, down_for = asked
            tasks.create_task(line.cut_at_random(seed, count, within=within, down_for=down_for))


class LogWatch:
    """Finds out when a word came into a log that is being written.

    Args:
        path: Of the log.
        word: That is waited for, from now on.
    """

    def __init__(self, path: Path, word: str) -> None:
        self._path, self._word = path, word
        self._from = path.stat().st_size if path.exists() else 0
        self._found: float | None = None
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="log", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if kind is not None:
            self._ended.set()

    def moment(self) -> float:
        """When it was, as ``time.perf_counter`` counts.

        Raises:
            BenchError: It did not come.
        """
        self._thread.join(60)
        self._ended.set()
        if self._found is None:
            raise BenchError(f"the log does not say {self._word!r}")
        return self._found

    def _run(self) -> None:
        while not self._ended.is_set():
            if self._path.exists():
                with self._path.open("rb") as file:
                    file.seek(self._from)
                    if self._word.encode() in file.read():
                        self._found = time.perf_counter()
                        return
            time.sleep(0.005)
