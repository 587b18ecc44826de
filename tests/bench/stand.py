"""The measuring stand: one server at a time, watched, in a fresh folder; figures into the table.

Sections of the bench are functions that take a stand. Promises that no two servers run at a time,
unless a section has two side by side that it asks in turns, and that a server and what it wrote are
gone before the next one starts.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial

from tests.bench.crowd import Crowd, Outcome, Request
from tests.bench.sender import send
from tests.bench.servers import MADE, WEB_SERVERS, Edge, Server, Web
from tests.bench.table import Line, Table
from tests.bench.watch import Watch, wait_until_idle
from tests.bench.workplace import BenchError, Sample, Scale, Workplace

__all__ = ["Stand", "check_complete"]


class Stand:
    """What a section measures with.

    Args:
        workplace: Where samples and servers have their files.
        crowd: The clients.
        scale: How much is sent and asked for.
        table: Where figures go.
        servers: The names of those that are measured.
    """

    def __init__(
        self, workplace: Workplace, crowd: Crowd, scale: Scale, table: Table, servers: Sequence[str]
    ) -> None:
        self.workplace = workplace
        self.crowd = crowd
        self.scale = scale
        self.servers = tuple(servers)
        self.web_servers = tuple(name for name in servers if name in WEB_SERVERS)
        """Those of them that speak DICOMweb."""
        self._table = table

    @contextmanager
    def server(
        self,
        name: str,
        *,
        associations: int = 1,
        folder_name: str = "server",
        destinations: Mapping[str, int] | None = None,
    ) -> Iterator[Server]:
        """A running server that has nothing yet.

        Args:
            name: Of the server.
            associations: That it must be able to hold at a time.
            folder_name: Two at a time need different ones.
            destinations: Of C-MOVE, that an edge shall know: AE title -> port on loopback.
        """
        folder = self.workplace.fresh(folder_name)
        server = MADE[name](folder, associations)
        if destinations is not None:
            assert isinstance(server, Edge)
            server.acquaint(destinations)
        try:
            server.start()
            wait_until_idle(server.pid)
            yield server
        finally:
            server.discard()
            self.workplace.remove(folder)

    @contextmanager
    def holding(self, name: str, study: Sample) -> Iterator[tuple[Web, Watch]]:
        """A running server that has taken a study, and was started again since; watched."""
        with self.server(name) as server:
            study.warm()
            send([study.paths], server)
            check_complete(server, [study])
            server.stop()
            server.start()
            wait_until_idle(server.pid)
            if server.web is None:
                raise BenchError(f"{name} speaks no DICOMweb")
            with Watch(server.pid) as watch:
                yield server.web, watch

    def ask(self, web: Web, scripts: Sequence[Sequence[Request]]) -> Outcome:
        """Have clients repeat their scripts for as long as the scale says."""
        return self.crowd.ask(web, scripts, during=partial(time.sleep, self.scale.seconds))

    def add(self, line: Line, server: str, figure: float) -> None:
        """Put a figure into the table, and say it."""
        self._table.add(line, server, figure)
        where = f"{line.section}: {line.title}"
        print(f"bench: {where:<62} {server:<9} {figure:10.3f} {line.unit}", file=sys.stderr)

    def note(self, text: str) -> None:
        """Put a sentence below the table."""
        self._table.note(text)
        print(f"bench: {text}", file=sys.stderr)


def check_complete(server: Server, samples: Sequence[Sample]) -> None:
    """Compare what a server has with what was sent.

    Raises:
        BenchError: It is not all there; its time means nothing.
    """
    sent, there = sum(len(sample.paths) for sample in samples), server.count()
    if there != sent:
        raise BenchError(f"{server.name} has {there} instances, {sent} were sent")
