"""Rendered frames over WADO-RS, as JPEG in the window of the data set, by one client and sixteen.

A picture that was asked for before is a matter of a cache, one that was not of decoding and
encoding: they stand in lines of their own. A first time comes but once: one client and sixteen ask
for different slices then, and each round has a server that has made no picture yet.
"""

from __future__ import annotations

from tests.bench.crowd import Request
from tests.bench.retrieval import CLIENTS, by_clients, frame_path, shuffled
from tests.bench.stand import Stand
from tests.bench.table import Line, Unit

__all__ = ["measure"]

_JPEG = "image/jpeg"
_PICTURE_BYTES = 10_000


def measure(stand: Stand) -> None:
    """Measure it."""
    study = stand.workplace.study(1)
    half = min(stand.scale.rendered, len(study.refs)) // 2
    requests = [
        Request(f"{frame_path(ref)}/rendered", _JPEG, least=_PICTURE_BYTES)
        for ref in study.refs[: 2 * half]
    ]
    section = f"WADO-RS: rendered frames of 512 x 512, {2 * half} pictures"
    for _ in range(stand.scale.rounds):
        for name in stand.web_servers:
            with stand.holding(name, study) as (web, watch):
                for clients, fresh in zip(CLIENTS, (requests[:half], requests[half:]), strict=True):
                    scripts = [fresh[client::clients] for client in range(clients)]
                    outcome = stand.crowd.ask(web, [script for script in scripts if script])
                    line = by_clients(section, "the first time", Unit.FREQUENCY, clients)
                    stand.add(line, name, outcome.per_second)
                for clients in CLIENTS:
                    outcome = stand.ask(web, shuffled(requests, clients))
                    line = by_clients(section, "again", Unit.FREQUENCY, clients)
                    stand.add(line, name, outcome.per_second)
            stand.add(Line(section, "peak memory", Unit.MEMORY), name, watch.peak_bytes / 1e6)
