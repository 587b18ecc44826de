"""C-MOVE and C-GET of a CT study: by the same client, to the same destinations, for every server.

Destinations throw away what they get: DCMTK's ``storescp``, and a receiver of our own, which is
quicker. A server is restarted between intake and retrieval; its files are in the page cache.
"""

from __future__ import annotations

import os
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

from tests.bench.dimse import DESTINATION, TITLE, destination, get_study
from tests.bench.intake import PEAK
from tests.bench.sender import send
from tests.bench.servers import Edge, Orthanc, Server
from tests.bench.stand import Stand, check_complete
from tests.bench.table import Line, Unit
from tests.bench.watch import Watch, wait_until_idle
from tests.bench.workplace import BenchError, Sample
from tests.ports import free_port

__all__ = ["get", "measure", "move"]

STORESCP = "STORESCP"
_PATIENCE = 300.0


def measure(stand: Stand) -> None:
    """Measure it."""
    study = stand.workplace.study(1)
    section = f"C-MOVE, C-GET: a study of {len(study.paths)} CT slices, {study.size / 1e6:.0f} MB"
    with destination() as own, _storescp() as theirs:
        for name in stand.web_servers:
            with stand.server(name) as server:
                study.warm()
                send([study.paths], server)
                check_complete(server, [study])
                _acquaint(server, {DESTINATION: own, STORESCP: theirs})
                wait_until_idle(server.pid)
                with Watch(server.pid) as watch:
                    for _ in range(stand.scale.rounds):
                        _measure_round(stand, section, server, study)
            peak = Line(section, "peak memory", Unit.MEMORY, at_most=PEAK)
            stand.add(peak, name, watch.peak_bytes / 1e6)


def _measure_round(stand: Stand, section: str, server: Server, study: Sample) -> None:
    ways = {
        "C-MOVE to storescp": partial(move, server, study, STORESCP),
        "C-MOVE to a quick receiver": partial(move, server, study, DESTINATION),
        "C-GET": partial(get, server, study),
    }
    for title, way in ways.items():
        begun = time.perf_counter()
        way()
        rate = study.size / 1e6 / (time.perf_counter() - begun)
        stand.add(Line(section, title, Unit.THROUGHPUT, ahead=True), server.name, rate)


def get(server: Server, study: Sample) -> None:
    """C-GET of it.

    Raises:
        BenchError: Not all of it came.
    """
    taken = get_study(server.dicom_port, server.ae_title, study.study_uid)
    if (taken.status, taken.instances) != (0, len(study.paths)):
        raise BenchError(f"{server.name}: C-GET gave {taken}")


def move(server: Server, study: Sample, to: str) -> None:
    """C-MOVE of it to a destination that the server knows.

    Raises:
        BenchError: It did not succeed.
    """
    done = subprocess.run(
        [
            *("movescu", "-v", "-S", "-aet", TITLE, "-aec", server.ae_title, "-aem", to),
            *("-k", "QueryRetrieveLevel=STUDY", "-k", f"StudyInstanceUID={study.study_uid}"),
            *("127.0.0.1", str(server.dicom_port)),
        ],
        env=os.environ | {"TCP_NODELAY": "1"},
        capture_output=True,
        text=True,
        timeout=_PATIENCE,
        check=False,
    )
    if done.returncode or "Success" not in done.stderr + done.stdout:
        words = (done.stderr + done.stdout).strip()[-500:]
        raise BenchError(f"{server.name}: C-MOVE to {to}: {words}")


def _acquaint(server: Server, destinations: dict[str, int]) -> None:
    """Restart a server that knows who asks and where images may go."""
    if isinstance(server, Edge):
        server.stop()
        server.acquaint(destinations)
        server.start()
    elif isinstance(server, Orthanc):
        modalities = {title: [title, "127.0.0.1", port] for title, port in destinations.items()}
        asking = {TITLE: [TITLE, "127.0.0.1", 104]}
        server.restart(
            DicomModalities=modalities | asking,
            DicomAlwaysAllowGet=True,
            DicomAlwaysAllowMove=True,
        )


@contextmanager
def _storescp() -> Iterator[int]:
    """DCMTK's receiver, with orders to write nothing; the port."""
    port = free_port()
    process = subprocess.Popen(
        ["storescp", "-q", "--ignore", "-aet", STORESCP, str(port)],
        env=os.environ | {"TCP_NODELAY": "1"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        for _ in range(500):
            try:
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
                break
            except OSError:
                time.sleep(0.02)
        yield port
    finally:
        process.kill()
        process.wait()
