"""Sync: so long it takes to bring instances to an Orthanc, by the edge and by its peers.

The same instances go over the same line: the edge's uploads, the job of another Orthanc's DICOMweb
plugin, ``storescu`` and ``dcmsend``; each from a sender that was filled before, to an Orthanc that
has nothing yet, once over loopback and once through a proxy with the bandwidth and latency of a
usual line. The clock stops when the receiving Orthanc has all, for each of them. It starts when the
sender does: the job is asked for, the program is started, the edge finds the line up (its log says
so). What the edge does beside, to read everything back and compare it, is a line of its own.
"""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from tests.bench import sender
from tests.bench.servers import EDGE, ORTHANC, STORESCP, Edge, Orthanc
from tests.bench.stand import Stand, check_complete
from tests.bench.table import Line, Unit
from tests.bench.wire import LogWatch, Wire
from tests.bench.workplace import BenchError, Sample

__all__ = ["SendingEdge", "fill", "found_online", "measure", "until"]

RATE, LATENCY = 20_000_000 / 8, 0.02
"""Bytes a second each way, and seconds."""
_LOOK = 0.02
_SLOWEST = 100_000
"""Bytes a second below which a sender is given up."""


class SendingEdge(Edge):
    """An edge that gets an archive once it is filled."""

    def give_archive(self, port: int, auth: tuple[str, str]) -> None:
        """From the next start on it has one."""
        user, password = map(json.dumps, auth)
        with self.config.open("a", encoding="utf-8") as file:
            file.write(
                f'[[cloud.archive]]\nname = "cloud"\nurl = "http://127.0.0.1:{port}/dicom-web"\n'
                f'auth = {{ kind = "basic", user = {user}, password = {password} }}\n'
            )

    @property
    def log_path(self) -> Path:
        """Where its words are."""
        return self._folder / f"{self.name}.log"

    def custody(self) -> dict[str, int]:
        """Custody -> instances."""
        with self.web.reader() as reader:
            found: dict[str, int] = json.loads(reader.get("/api/v1/status", keep=True).body)[
                "custody"
            ]
        return found

    def is_acknowledged(self, count: int) -> bool:
        """Whether the archive said yes to so many."""
        custody = self.custody()
        return custody.get("ACKNOWLEDGED", 0) + custody.get("VERIFIED", 0) == count


def measure(stand: Stand) -> None:
    """Measure it, once: it takes long."""
    scale = stand.scale
    for sent, rate, latency in ((scale.sent, None, 0.0), (scale.sent_slowly, RATE, LATENCY)):
        sample = stand.workplace.small_instances(sent)
        line = "over loopback"
        if rate is not None:
            line = f"over {rate * 8 / 1e6:.0f} Mbit/s, {latency * 1000:.0f} ms"
        section = f"sync of {sent} instances, {sample.size / 1e6:.0f} MB, {line}"
        sample.warm()
        by_program = {
            program: _by_dcmtk(stand, sample, program, rate, latency)
            for program in ("storescu", "dcmsend")
        }
        peer = _by_orthanc(stand, sample, rate, latency)
        edge, verified = _by_edge(stand, sample, rate, latency)
        for program, seconds in by_program.items():
            there = Line(section, f"all there (right: {program})", Unit.SECONDS, first=True)
            stand.add(there, EDGE, edge)
            if program == "storescu":
                stand.add(there, ORTHANC, peer)
            stand.add(there, STORESCP, seconds)
        stand.add(Line(section, "all verified", Unit.SECONDS), EDGE, verified)
        best = min(peer, *by_program.values())
        stand.note(f"Best of the peers : edge, {section}: {best / edge:.2f}.")


@contextmanager
def _receiver(
    stand: Stand, rate: float | None, latency: float
) -> Iterator[tuple[Orthanc, int, int]]:
    """An Orthanc that has nothing, and the ports by which HTTP and DICOM get to it."""
    folder = stand.workplace.fresh("receiver")
    server = Orthanc(folder)
    with ExitStack() as stack:
        stack.callback(stand.workplace.remove, folder)
        stack.callback(server.discard)
        server.start()
        ports = [server.web.port, server.dicom_port]
        if rate is not None:
            wires = [stack.enter_context(Wire(port, rate, latency)) for port in ports]
            ports = [wire.port for wire in wires]
        yield server, ports[0], ports[1]


def _wait(server: Orthanc, sample: Sample, begun: float) -> float:
    """Seconds from *begun* until a server has all of a sample."""
    deadline = begun + 60 + sample.size / _SLOWEST
    while server.count() < len(sample.paths):
        if time.perf_counter() > deadline:
            raise BenchError(f"{sample.size / 1e6:.0f} MB did not arrive in time")
        time.sleep(_LOOK)
    return time.perf_counter() - begun


def _by_dcmtk(
    stand: Stand, sample: Sample, program: str, rate: float | None, latency: float
) -> float:
    with _receiver(stand, rate, latency) as (server, _, port):
        # The folder itself, for a command line holds only so many names.
        command = [program, "--scan-directories", "--aetitle", "BENCH", "--call", server.ae_title]
        folder = str(sample.paths[0].parent)
        begun = time.perf_counter()
        done = subprocess.run(
            [*command, "127.0.0.1", str(port), folder],
            env=os.environ | {"TCP_NODELAY": "1"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=60 + sample.size / _SLOWEST,
            check=False,
        )
        if done.returncode:
            raise BenchError(f"{program}: {done.stderr.decode(errors='replace')[-500:]}")
        seconds = _wait(server, sample, begun)
        check_complete(server, [sample])
        return seconds


def _by_orthanc(stand: Stand, sample: Sample, rate: float | None, latency: float) -> float:
    folder = stand.workplace.fresh("server")
    peer = Orthanc(folder)
    try:
        with _receiver(stand, rate, latency) as (server, port, _):
            user, password = server.auth
            url = f"http://127.0.0.1:{port}/dicom-web/"
            known = {"archive": {"Url": url, "Username": user, "Password": password}}
            web = {"Enable": True, "Root": "/dicom-web/", "Servers": known}
            peer.restart(DicomWeb=web)
            fill(peer, sample)
            studies = peer.request("GET", "/studies")
            begun = time.perf_counter()
            job = {"Resources": studies, "Synchronous": False}
            peer.request("POST", "/dicom-web/servers/archive/stow", json=job)
            return _wait(server, sample, begun)
    finally:
        peer.discard()
        stand.workplace.remove(folder)


def _by_edge(
    stand: Stand, sample: Sample, rate: float | None, latency: float
) -> tuple[float, float]:
    folder = stand.workplace.fresh("server")
    edge = SendingEdge(folder)
    count = len(sample.paths)
    try:
        edge.start()
        fill(edge, sample)
        edge.stop()
        with _receiver(stand, rate, latency) as (server, port, _):
            edge.give_archive(port, server.auth)
            with found_online(edge) as begun:
                edge.start()
            there = _wait(server, sample, begun())
            until(lambda: edge.is_acknowledged(count), "all is acknowledged")
            until(lambda: edge.custody().get("VERIFIED") == count, "all is verified")
            return there, time.perf_counter() - begun()
    finally:
        edge.discard()
        stand.workplace.remove(folder)


@contextmanager
def found_online(edge: SendingEdge) -> Iterator[Callable[[], float]]:
    """When the edge found the line up, from its own log, as ``time.perf_counter`` counts."""
    with LogWatch(edge.log_path, "archive cloud: online") as watch:
        yield watch.moment


def until(condition: Callable[[], bool], what: str, *, seconds: float = 1800.0) -> None:
    """Wait for something.

    Raises:
        BenchError: It did not come to be in time.
    """
    deadline = time.perf_counter() + seconds
    while not condition():
        if time.perf_counter() > deadline:
            raise BenchError(f"not in time: {what}")
        time.sleep(0.1)


def fill(server: Edge | Orthanc, sample: Sample) -> None:
    """Have a server take a sample."""
    parts: Sequence[Sequence[Path]] = sample.split(1)
    sender.send(parts, server)
    check_complete(server, [sample])
