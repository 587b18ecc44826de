"""Sizes and times of the disk image, as one table: ``scripts/test-image --figures``.

Every figure is of this machine at this moment. Goals stand beside those that have one; a goal that
is missed is said, and makes the exit status 1.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path

from tests.image.machine import Machine, built, hindrance
from tests.samples import ct_series, write_series

MB = 1_000_000
LAB = """[Service]
Environment=EDGE_APPLIANCE__LAB=true EDGE_HTTP__AUTH=none EDGE_DIMSE__UNKNOWN_PEERS=accept
"""
CT = 500


@dataclass(frozen=True)
class Figure:
    """One row."""

    what: str
    value: float
    unit: str
    goal: float | None = None

    @property
    def is_missed(self) -> bool:
        """Whether there is a goal, and it is not met."""
        return self.goal is not None and self.value > self.goal

    def __str__(self) -> str:
        goal = "" if self.goal is None else f"goal {self.goal:.0f}"
        missed = "  MISSED" if self.is_missed else ""
        return f"{self.what:<66}{self.value:>9.1f} {self.unit:<6}{goal}{missed}"


def sizes() -> list[Figure]:
    """Of the files that were built."""
    folder = built().parent
    image = next(folder.glob("edge_*.img.zst")).stat().st_size
    viewer = folder.parent / "stage-amd64/opt/edge/.venv/share/edge/viewer"
    packed = 0
    if viewer.exists():
        tar = subprocess.run(
            ["tar", "-C", viewer, "-cf", "-", "."], capture_output=True, check=True
        )
        packed = len(
            subprocess.run(
                ["zstd", "-10"], input=tar.stdout, capture_output=True, check=True
            ).stdout
        )
    return [
        Figure("image, compressed", image / MB, "MB"),
        Figure("… without the viewer", (image - packed) / MB, "MB", 400),
        Figure("kernel with what starts first", (folder / "edge.efi").stat().st_size / MB, "MB"),
    ]


def usual(folder: Path) -> list[Figure]:
    """A machine with 2 GiB and two cores."""
    machine = Machine(folder, built())
    try:
        first = machine.start().until_ready()
        machine.stop()
        second = machine.start().until_ready()
        time.sleep(20)  # what a start does beside itself is over then
        memory = machine.free_memory
        free = memory["stat-free-memory"] + memory["stat-disk-caches"]
        used = memory["stat-total-memory"] - free
        return [
            Figure("first start to readyz (makes the data partition)", first, "s"),
            Figure("start to readyz", second, "s"),
            Figure(
                "memory after the start, without what the kernel keeps of files",
                used / MB,
                "MB",
                300,
            ),
        ]
    finally:
        machine.kill()


def slow(folder: Path) -> list[Figure]:
    """1 GiB, four cores, and a disk of 30 MB/s and 500 operations a second."""
    machine = Machine(
        folder, built(), memory=1024, cores=4, slow=True, dropins={"edge.service": LAB}
    )
    study = next(ct_series(1, rows=8, columns=8, seed=811)).ref.study_uid
    reads: list[float] = []
    is_over = threading.Event()

    def read() -> None:
        while not is_over.is_set():
            started = time.perf_counter()
            status, _ = machine.ask(f"/dicom-web/studies/{study}/metadata", seconds=300)
            if status == 200:
                reads.append(time.perf_counter() - started)
            is_over.wait(1)

    try:
        start = machine.start().until_ready(2400)
        with tempfile.TemporaryDirectory() as name:
            write_series(Path(name) / "ct", CT, seed=811)
            reader = threading.Thread(target=read)
            reader.start()
            started = time.perf_counter()
            done = subprocess.run(
                ["dcmsend", "--aetitle", "CT1", "--call", "EDGE", "--dimse-timeout", "600",
                 "--scan-directories", "127.0.0.1", str(machine.dicom_port), f"{name}/ct"],
                env={"TCP_NODELAY": "1", "PATH": "/usr/bin:/bin"}, capture_output=True, check=False,
            )  # fmt: skip
            taken = time.perf_counter() - started
            is_over.set()
            reader.join()
        assert done.returncode == 0, done.stderr.decode(errors="replace")
        started = time.perf_counter()
        status, body = machine.ask(
            f"/dicom-web/studies/{study}",
            headers={"Accept": 'multipart/related; type="application/dicom"; transfer-syntax=*'},
            seconds=900,
        )
        assert status == 200
        return [
            Figure("slow disk, 1 GiB: first start to readyz", start, "s"),
            Figure(f"… intake of {CT} CT slices, 252 MB", taken, "s"),
            Figure("… metadata of what is there meanwhile, longest", max(reads, default=0), "s"),
            Figure(
                f"… the study by WADO-RS, {len(body) / MB:.0f} MB",
                time.perf_counter() - started,
                "s",
            ),
        ]
    finally:
        machine.kill()


def main() -> int:
    """Print them."""
    if lacks := hindrance():
        print(f"figures: {lacks}", file=sys.stderr)
        return 2
    figures = []
    with tempfile.TemporaryDirectory() as name:
        for measure in (
            sizes,
            lambda: usual(Path(name) / "usual"),
            lambda: slow(Path(name) / "slow"),
        ):
            for figure in measure():
                print(figure, flush=True)
                figures.append(figure)
    return int(any(figure.is_missed for figure in figures))


if __name__ == "__main__":
    sys.exit(main())
