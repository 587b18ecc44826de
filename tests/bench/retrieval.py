"""Retrieval over WADO-RS: a study's metadata, the study, and its frames one at a time.

Only servers that speak DICOMweb are measured, all by the same client and with the same Accept
headers. A server is restarted between intake and retrieval, so that nothing is in its own memory;
its files are in the page cache, as it has just written them.
"""

from __future__ import annotations

import json
import time

from tests.bench.intake import PEAK
from tests.bench.reader import Answer, Reader
from tests.bench.sender import send
from tests.bench.servers import Web
from tests.bench.stand import Stand, check_complete
from tests.bench.table import Line, Unit
from tests.bench.watch import Watch
from tests.bench.workplace import BenchError, Sample

__all__ = ["measure"]

_STUDY = 'multipart/related; type="application/dicom"; transfer-syntax=*'
_FRAMES = 'multipart/related; type="application/octet-stream"; transfer-syntax=*'
_METADATA = "application/dicom+json"
_FRAME_SECONDS = 10.0
"""After so long, fewer frames must do."""
_FRAME_BYTES = 512 * 512 * 2


def measure(stand: Stand) -> None:
    """Measure it."""
    study = stand.workplace.study(1)
    for _ in range(stand.scale.rounds):
        for name in stand.servers:
            _measure_one(stand, name, study)


def _measure_one(stand: Stand, name: str, study: Sample) -> None:
    with stand.server(name) as server:
        if server.web is None:
            return
        study.warm()
        send([study.paths], server)
        check_complete(server, [study])
        server.stop()
        server.start()
        with Watch(server.pid) as watch:
            _retrieve(stand, name, server.web, study)
    section = _section(study)
    stand.add(Line(section, "peak memory", Unit.MEMORY, at_most=PEAK), name, watch.peak_bytes / 1e6)


def _retrieve(stand: Stand, name: str, web: Web, study: Sample) -> None:
    section, root = _section(study), f"/dicom-web/studies/{study.study_uid}"
    with web.reader() as reader:
        for title in ("metadata, the first time", "metadata, again"):
            answer = _get(reader, f"{root}/metadata", _METADATA, keep=True)
            if len(json.loads(answer.body)) != len(study.paths):
                raise BenchError(f"{name}: the metadata is not that of every instance")
            stand.add(Line(section, title, Unit.SECONDS), name, answer.seconds)
        for _ in range(2):
            answer = _get(reader, root, _STUDY)
            if answer.length < _FRAME_BYTES * len(study.paths):
                raise BenchError(f"{name}: the study is not whole")
            rate = answer.length / 1e6 / answer.seconds
            stand.add(Line(section, "study", Unit.THROUGHPUT), name, rate)
        rate = _frames_per_second(reader, study, stand.scale.frames)
        stand.add(Line(section, "frames, one at a time", Unit.FREQUENCY), name, rate)


def _frames_per_second(reader: Reader, study: Sample, count: int) -> float:
    begun, done = time.perf_counter(), 0
    for ref in study.refs[:count]:
        path = (
            f"/dicom-web/studies/{ref.study_uid}/series/{ref.series_uid}"
            f"/instances/{ref.sop_uid}/frames/1"
        )
        if _get(reader, path, _FRAMES).length < _FRAME_BYTES:
            raise BenchError("a frame is not whole")
        done += 1
        if time.perf_counter() - begun > _FRAME_SECONDS:
            break
    return done / (time.perf_counter() - begun)


def _get(reader: Reader, path: str, accept: str, *, keep: bool = False) -> Answer:
    answer = reader.get(path, accept=accept, keep=keep)
    if answer.status != 200:
        raise BenchError(f"GET {path}: status {answer.status}")
    return answer


def _section(study: Sample) -> str:
    return f"WADO-RS: a study of {len(study.paths)} CT slices, {study.size / 1e6:.0f} MB"
