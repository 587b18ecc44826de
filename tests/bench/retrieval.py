"""Retrieval over WADO-RS by one client and by sixteen: a study, its metadata, its frames.

Only servers that speak DICOMweb are measured, all by the same clients and with the same Accept
headers; any transfer syntax will do, so nobody has to transcode. A server is restarted between
intake and retrieval, so that nothing is in its own memory; its files are in the page cache, as it
has just written them.
"""

from __future__ import annotations

import json
import random
from collections.abc import Sequence

from edge.dicom.instance import InstanceRef
from tests.bench.crowd import Request
from tests.bench.intake import PEAK
from tests.bench.servers import Web
from tests.bench.stand import Stand
from tests.bench.table import Line, Unit
from tests.bench.workplace import BenchError, Sample

__all__ = [
    "CLIENTS",
    "FRAMES",
    "STUDY",
    "by_clients",
    "frame_path",
    "instance_path",
    "measure",
    "shuffled",
]

CLIENTS = (1, 16)

STUDY = 'multipart/related; type="application/dicom"; transfer-syntax=*'
FRAMES = 'multipart/related; type="application/octet-stream"; transfer-syntax=*'
_METADATA = "application/dicom+json"
_FRAME_BYTES = 512 * 512 * 2
_STUDY_RATE = 800.0
"""Megabytes of a whole study in a second, to one viewer."""


def measure(stand: Stand) -> None:
    """Measure it."""
    study = stand.workplace.study(1)
    section = f"WADO-RS: a study of {len(study.paths)} CT slices, {study.size / 1e6:.0f} MB"
    for name in stand.web_servers:
        with stand.holding(name, study) as (web, watch):
            _first_metadata(stand, section, name, web, study)
            for _ in range(stand.scale.rounds):
                for clients in CLIENTS:
                    _metadata(stand, section, name, web, study, clients)
                    _study(stand, section, name, web, study, clients)
                    _frames(stand, section, name, web, study, clients)
        peak = Line(section, "peak memory", Unit.MEMORY, at_most=PEAK)
        stand.add(peak, name, watch.peak_bytes / 1e6)


def shuffled(requests: Sequence[Request], clients: int) -> list[list[Request]]:
    """The same requests for each client, each in an order of its own."""
    return [random.Random(client).sample(requests, len(requests)) for client in range(clients)]


def by_clients(
    section: str, title: str, unit: Unit, clients: int, *, at_least: float | None = None
) -> Line:
    """A line in which the edge shall be ahead."""
    title = f"{title}, {clients} client{'s' if clients > 1 else ''}"
    return Line(section, title, unit, ahead=True, at_least=at_least)


def instance_path(ref: InstanceRef) -> str:
    """Of an instance."""
    return f"/dicom-web/studies/{ref.study_uid}/series/{ref.series_uid}/instances/{ref.sop_uid}"


def frame_path(ref: InstanceRef) -> str:
    """Of its first frame."""
    return f"{instance_path(ref)}/frames/1"


def _first_metadata(stand: Stand, section: str, name: str, web: Web, study: Sample) -> None:
    with web.reader() as reader:
        answer = reader.get(_metadata_path(study), accept=_METADATA, keep=True)
    if answer.status != 200 or len(json.loads(answer.body)) != len(study.paths):
        raise BenchError(f"{name}: the metadata is not that of every instance")
    line = Line(section, "metadata, the first time", Unit.SECONDS, ahead=True)
    stand.add(line, name, answer.seconds)


def _metadata_path(study: Sample) -> str:
    return f"/dicom-web/studies/{study.study_uid}/metadata"


def _metadata(stand: Stand, section: str, name: str, web: Web, study: Sample, clients: int) -> None:
    request = Request(_metadata_path(study), _METADATA, least=100 * len(study.paths))
    outcome = stand.ask(web, [[request]] * clients)
    line = by_clients(section, "metadata", Unit.FREQUENCY, clients)
    stand.add(line, name, outcome.per_second)


def _study(stand: Stand, section: str, name: str, web: Web, study: Sample, clients: int) -> None:
    path = f"/dicom-web/studies/{study.study_uid}"
    request = Request(path, STUDY, least=_FRAME_BYTES * len(study.paths))
    outcome = stand.ask(web, [[request]] * clients)
    goal = _STUDY_RATE if clients == 1 else None
    line = by_clients(section, "study", Unit.THROUGHPUT, clients, at_least=goal)
    stand.add(line, name, outcome.megabytes_per_second)


def _frames(stand: Stand, section: str, name: str, web: Web, study: Sample, clients: int) -> None:
    requests = [Request(frame_path(ref), FRAMES, least=_FRAME_BYTES) for ref in study.refs]
    outcome = stand.ask(web, shuffled(requests, clients))
    line = by_clients(section, "frames", Unit.FREQUENCY, clients)
    stand.add(line, name, outcome.per_second)
