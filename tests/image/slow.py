"""A slow machine: 1 GiB, four cores, a disk of 30 MB/s and 500 operations a second; what it does.

``scripts/test-image --slow`` prints it. A modality sends a CT of 500 slices by ``dcmsend``, and a
viewer meanwhile reads by WADO-RS whatever of it is there: slice by slice, newest first.
"""

from __future__ import annotations

import json
import statistics
import threading
import time
from pathlib import Path

from tests.image.figure import MB, Figure
from tests.image.machine import Machine, built
from tests.image.studies import AS_STORED, OPEN, fingerprint, instances, send_folder, sent, study_of
from tests.samples import write_series

__all__ = ["SLICES", "Reader", "slow"]

SLICES = 500
SEED = 811


class Reader(threading.Thread):
    """A viewer that reads one slice after the other while the study comes in."""

    def __init__(self, machine: Machine, study: str) -> None:
        super().__init__()
        self._machine = machine
        self._study = study
        self._ended = threading.Event()
        self.searches: list[float] = []
        self.slices: list[float] = []
        self.read: set[str] = set()
        self.failed: list[str] = []

    def run(self) -> None:
        while not self._ended.is_set():
            if not (there := self._search()):
                self._ended.wait(0.2)
                continue
            for series, instance in there[-8:]:
                if self._ended.is_set():
                    return
                self._fetch(series, instance)

    def _search(self) -> list[tuple[str, str]]:
        started = time.perf_counter()
        status, body = self._machine.ask(
            f"/dicom-web/studies/{self._study}/instances?limit={SLICES}", seconds=300
        )
        if status not in (200, 204):
            self.failed.append(f"search: {status} {body[:200]!r}")
        if status != 200 or not body:
            return []
        self.searches.append(time.perf_counter() - started)
        found = [
            (one["0020000E"]["Value"][0], one["00080018"]["Value"][0]) for one in json.loads(body)
        ]
        return [one for one in found if one[1] not in self.read]

    def _fetch(self, series: str, instance: str) -> None:
        started = time.perf_counter()
        path = f"/dicom-web/studies/{self._study}/series/{series}/instances/{instance}"
        status, body = self._machine.ask(path, headers=AS_STORED, seconds=300)
        if status != 200:
            self.failed.append(f"{instance}: {status} {body[:200]!r}")
            return
        self.slices.append(time.perf_counter() - started)
        self.read.add(instance)

    def end(self) -> None:
        """Stop, once what it reads is read."""
        self._ended.set()
        self.join()


def slow(folder: Path) -> list[Figure]:
    """Have it work.

    Raises:
        AssertionError: Something was refused, lost or changed.
    """
    machine = Machine(folder, built(), memory=1024, cores=4, slow=True, dropins=OPEN)
    study = study_of(SEED)
    try:
        start = machine.start().until_ready(2400)
        reader = Reader(machine, study)
        files = folder / "ct"
        write_series(files, SLICES, seed=SEED)
        reader.start()
        try:
            started = time.perf_counter()
            done = send_folder(machine, files, 3000)
            taken = time.perf_counter() - started
        finally:
            reader.end()
        assert done.returncode == 0, done.stderr
        assert not reader.failed, reader.failed
        started = time.perf_counter()
        status, body = machine.ask(f"/dicom-web/studies/{study}", headers=AS_STORED, seconds=900)
        whole = time.perf_counter() - started
        assert status == 200, body[:500]
        there = dict(fingerprint(data) for data in instances(body))
        assert there == sent(SLICES, SEED), "what is there is not what was sent"
        slices, searches = reader.slices or [0.0], reader.searches or [0.0]
        rows = (
            ("first start to readyz", start, "s"),
            (f"intake of a CT, {SLICES} slices, {len(body) / MB:.0f} MB", taken, "s"),
            ("slices taken in a second", SLICES / taken, ""),
            ("slices read meanwhile by WADO-RS", len(reader.slices), ""),
            ("one slice read meanwhile, median", statistics.median(slices), "s"),
            ("one slice read meanwhile, longest", max(slices), "s"),
            ("a search for slices meanwhile, median", statistics.median(searches), "s"),
            ("the whole study by WADO-RS afterwards", whole, "s"),
        )
        return [Figure(f"slow machine: {what}", value, unit) for what, value, unit in rows]
    finally:
        machine.kill()
