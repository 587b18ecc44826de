"""STOW-RS: CT slices in requests of ten, by one client and by sixteen.

The clock runs from the first request to the end of the last answer; the bodies come from files,
and are in the page cache. What a server has answered it must have, or the figure is an error. A
server is new for every figure, so that nothing is sent to it twice.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from tests.bench.crowd import Request
from tests.bench.intake import PEAK
from tests.bench.retrieval import CLIENTS, by_clients
from tests.bench.stand import Stand, check_complete
from tests.bench.table import Line, Unit
from tests.bench.watch import Watch
from tests.bench.workplace import BenchError, Sample

__all__ = ["measure", "requests_of"]

_TOGETHER = 10
_BOUNDARY = "a-boundary-that-is-in-no-slice"
_TYPE = f'multipart/related; type="application/dicom"; boundary={_BOUNDARY}'
_PART = f"--{_BOUNDARY}\r\nContent-Type: application/dicom\r\n\r\n".encode("ascii")
_END = f"--{_BOUNDARY}--\r\n".encode("ascii")


def measure(stand: Stand) -> None:
    """Measure it."""
    for _ in range(stand.scale.rounds):
        for clients in CLIENTS:
            for name in stand.web_servers:
                _measure_one(stand, name, clients)


def _measure_one(stand: Stand, name: str, clients: int) -> None:
    study = stand.workplace.study(1)
    count = len(study.paths)
    requests = requests_of(study)
    scripts = [requests[client::clients] for client in range(clients)]
    section = f"STOW-RS: {count} CT slices, {study.size / 1e6:.0f} MB, {_TOGETHER} in a request"
    study.warm()
    with stand.server(name) as server:
        if server.web is None:
            raise BenchError(f"{name} speaks no DICOMweb")
        with Watch(server.pid) as watch:
            outcome = stand.crowd.ask(server.web, [script for script in scripts if script])
        check_complete(server, [study])
    line = by_clients(section, "throughput", Unit.THROUGHPUT, clients)
    stand.add(line, name, study.size / 1e6 / outcome.seconds)
    stand.add(Line(section, "peak memory", Unit.MEMORY, at_most=PEAK), name, watch.peak_bytes / 1e6)


def requests_of(study: Sample) -> list[Request]:
    """All of it, some slices in a request."""
    count = len(study.paths)
    return [_request(study.paths[at : at + _TOGETHER]) for at in range(0, count, _TOGETHER)]


def _request(paths: Sequence[Path]) -> Request:
    pieces: list[bytes | Path] = []
    for path in paths:
        pieces += (_PART, path, b"\r\n")
    return Request(
        "/dicom-web/studies",
        "application/dicom+json",
        content_type=_TYPE,
        body=(*pieces, _END),
    )
