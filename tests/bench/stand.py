"""The measuring stand: one server at a time, watched, in a fresh folder; figures into the table.

Sections of the bench are functions that take a stand. Promises that no two servers run at a time,
and that a server and what it wrote are gone before the next one starts.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from tests.bench.servers import SERVERS, Server
from tests.bench.table import Line, Table
from tests.bench.workplace import BenchError, Sample, Scale, Workplace

__all__ = ["Stand", "check_complete"]


class Stand:
    """What a section measures with.

    Args:
        workplace: Where samples and servers have their files.
        scale: How much is sent and asked for.
        table: Where figures go.
        servers: The names of those that are measured.
    """

    def __init__(
        self, workplace: Workplace, scale: Scale, table: Table, servers: Sequence[str]
    ) -> None:
        self.workplace = workplace
        self.scale = scale
        self.servers = tuple(servers)
        self._table = table

    @contextmanager
    def server(self, name: str, *, associations: int = 1) -> Iterator[Server]:
        """A running server that has nothing yet."""
        folder = self.workplace.fresh("server")
        server = SERVERS[name](folder, associations)
        try:
            server.start()
            yield server
        finally:
            server.discard()
            self.workplace.remove(folder)

    def add(self, line: Line, server: str, figure: float) -> None:
        """Put a figure into the table, and say it."""
        self._table.add(line, server, figure)
        where = f"{line.section}: {line.title}"
        print(f"bench: {where:<62} {server:<9} {figure:10.3f} {line.unit}", file=sys.stderr)


def check_complete(server: Server, samples: Sequence[Sample]) -> None:
    """Compare what a server has with what was sent.

    Raises:
        BenchError: It is not all there; its time means nothing.
    """
    sent, there = sum(len(sample.paths) for sample in samples), server.count()
    if there != sent:
        raise BenchError(f"{server.name} has {there} instances, {sent} were sent")
