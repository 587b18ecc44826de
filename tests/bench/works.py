"""Pieces of work that one edge is given, again and again, to be compared with another.

What comes in is a part of a study, new to the edge each time, which must have it afterwards; what
is read is the whole study. Every answer is looked at as in the other sections of the bench.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from functools import partial

from tests.bench.compare import Done
from tests.bench.crowd import Request
from tests.bench.dimse import DESTINATION
from tests.bench.finder import Finder, identifier
from tests.bench.moving import get, move
from tests.bench.retrieval import FRAMES, STUDY, frame_path, instance_path, shuffled
from tests.bench.sender import send
from tests.bench.servers import Server, Web
from tests.bench.stand import Stand, check_complete
from tests.bench.stow import requests_of
from tests.bench.watch import wait_until_idle
from tests.bench.workplace import BenchError, Sample

__all__ = ["Works", "turns_of"]

_TURNS = 8
"""Short ones, one soon after the other."""
_LONG_TURNS = 4
"""Of what takes its time: a part that comes in, or a study that goes out."""
_PARTS = 20
"""Enough for these, each of four at the most, and for warming up."""
_SHORT = 5
"""A turn is so much shorter than what else is asked again and again."""
_CLIENTS = 4
_SEARCHES = 4000
"""More than the audit has spans for that are under way."""
_LEAST = 100
_FRAME_BYTES = 512 * 512 * 2


def turns_of(stand: Stand) -> tuple[int, int]:
    """Of what takes its time, and of what does not, in a round; one in a quick run."""
    return (1, 1) if stand.scale.rounds == 1 else (_LONG_TURNS, _TURNS)


class Works:
    """What is done with one running edge that has nothing yet.

    Args:
        stand: Where.
        server: The edge.
    """

    def __init__(self, stand: Stand, server: Server) -> None:
        self._stand = stand
        self._server = server
        self._study = stand.workplace.study(1)
        self._left = self._study.parts(_PARTS)
        self._sent: list[Sample] = []
        self._seconds = stand.scale.seconds / _SHORT

    def warm_up(self, *webs: Web) -> None:
        """Everything is done once, as whoever does it first waits for what is loaded then.

        The first look at a password takes its time, too, by intent.
        """
        self.store()
        self.stow(webs[0])
        for web in webs:
            self._stand.crowd.ask(web, [[Request("/dicom-web/studies", "application/dicom+json")]])

    def store(self) -> Done:
        """A part comes in by C-STORE, over one association."""
        part = self._next()
        seconds = send([part.paths], self._server)
        return self._came(part, seconds)

    def stow(self, web: Web) -> Done:
        """A part comes in by STOW-RS."""
        part = self._next()
        requests = requests_of(part)
        scripts = [requests[client::_CLIENTS] for client in range(_CLIENTS)]
        outcome = self._stand.crowd.ask(web, [script for script in scripts if script])
        return self._came(part, outcome.seconds)

    def complete(self) -> None:
        """All that is left comes in, and is read once: then it is in the page cache."""
        while self._left:
            self.store()
        get(self._server, self._study)

    def instances(self, web: Web) -> Done:
        """Instances are opened by WADO-RS, one in a request."""
        refs = self._study.refs
        return self._ask(web, [Request(instance_path(ref), STUDY, _FRAME_BYTES) for ref in refs])

    def frames(self, web: Web) -> Done:
        """Frames are."""
        refs = self._study.refs
        return self._ask(web, [Request(frame_path(ref), FRAMES, _FRAME_BYTES) for ref in refs])

    def search(self, web: Web) -> Done:
        """All studies are listed by QIDO-RS; every search is another, so none is joined."""
        paths = [f"/dicom-web/studies?limit={number}" for number in range(100, 100 + _SEARCHES)]
        return self._ask(web, [Request(path, "application/dicom+json", _LEAST) for path in paths])

    def get(self) -> Done:
        """The study is fetched by C-GET, over an association each time."""
        return self._repeat(partial(get, self._server, self._study), self._study.size / 1e6)

    def move(self) -> Done:
        """It is sent on by C-MOVE."""
        moving = partial(move, self._server, self._study, DESTINATION)
        return self._repeat(moving, self._study.size / 1e6)

    def find(self) -> Done:
        """All studies are listed by C-FIND, over one association."""
        with Finder(self._server) as finder:
            return self._repeat(partial(self._find_with, finder), 1)

    def _next(self) -> Sample:
        part = self._left.pop(0)
        part.warm()
        return part

    def _came(self, part: Sample, seconds: float) -> Done:
        wait_until_idle(self._server.pid)  # what is written behind the answer is a part of it
        self._sent.append(part)
        check_complete(self._server, self._sent)
        return Done(part.size / 1e6 / seconds, len(part.paths))

    def _ask(self, web: Web, requests: Sequence[Request]) -> Done:
        during = partial(time.sleep, self._seconds)
        outcome = self._stand.crowd.ask(web, shuffled(requests, _CLIENTS), during=during)
        return Done(outcome.per_second, len(outcome.waits))

    def _find_with(self, finder: Finder) -> None:
        if not finder.find(identifier())[0]:
            raise BenchError(f"{self._server.name} does not find what it holds")

    def _repeat(self, work: Callable[[], None], size: float) -> Done:
        """For a while, and once at least."""
        times, begun = 0, time.perf_counter()
        while not times or time.perf_counter() - begun < self._seconds:
            work()
            times += 1
        return Done(times * size / (time.perf_counter() - begun), times)
