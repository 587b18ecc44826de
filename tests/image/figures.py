"""Sizes, times and memory of the disk image, as one table: ``scripts/test-image --figures``.

Every figure is of this machine at this moment. Goals stand beside those that have one; a goal that
is missed is said, and makes the exit status 1.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from tests.image import memory, results
from tests.image.figure import MB, Figure
from tests.image.hands import Hands
from tests.image.machine import Machine, built, hindrance
from tests.image.slow import slow

__all__ = ["main", "sizes", "usual"]


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
        Figure("image, compressed, without the viewer", (image - packed) / MB, "MB", 400),
        Figure("kernel with what starts first", (folder / "edge.efi").stat().st_size / MB, "MB"),
    ]


def usual(folder: Path) -> list[Figure]:
    """A machine with 2 GiB and two cores: how long it takes to start, and what is in its memory."""
    machine = Machine(folder, built())
    try:
        first = machine.start().until_ready()
        worked = machine.processor_seconds
        machine.stop()
        with Hands() as hands:
            machine.units, machine.dropins = hands.units, hands.dropins
            second = machine.start().until_ready()
            worked_again = machine.processor_seconds
            seen = memory.seen(hands)
    finally:
        machine.kill()
    return [
        Figure("first start to readyz, which makes the data partition", first, "s"),
        Figure("first start to readyz, processor time of QEMU", worked, "s"),
        Figure("start to readyz", second, "s"),
        Figure("start to readyz, processor time of QEMU", worked_again, "s"),
        Figure("memory taken after the start", seen.taken / MB, "MB", 300),
        Figure("memory taken after the start: the kernel", seen.kernel / MB, "MB"),
        Figure("memory taken after the start: files in memory alone", seen.files / MB, "MB"),
        *(
            Figure(f"… {service}: {name}"[:64], alone / MB, "MB", is_detail=True)
            for service, name, _, alone in seen.processes
            if alone > MB
        ),
    ]


def kept(figures: list[Figure]) -> None:
    """Write them to image/results.txt."""
    rows = []
    for figure in figures:
        if figure.is_detail:
            continue
        goal = "" if figure.goal is None else f" (goal {figure.goal:.0f})"
        kind = "missed" if figure.is_missed else "figure"
        rows.append((kind, figure.value, figure.unit, f"{figure.what}{goal}"))
    results.noted(rows)


def main(arguments: Sequence[str] | None = None) -> int:
    """Print them."""
    parser = argparse.ArgumentParser(prog="scripts/test-image", description=main.__doc__)
    parser.add_argument("what", choices=("figures", "slow"), nargs="*", default=["figures"])
    parser.add_argument("--record", action="store_true", help="keep them in image/results.txt")
    given = parser.parse_args(arguments)
    if lacks := hindrance():
        print(f"figures: {lacks}", file=sys.stderr)
        return 2
    figures = []
    with tempfile.TemporaryDirectory() as name:
        wanted: list[Callable[[], list[Figure]]] = []
        if "figures" in given.what:
            wanted += [sizes, lambda: usual(Path(name) / "usual")]
        if "slow" in given.what:
            wanted.append(lambda: slow(Path(name) / "slow"))
        for measure in wanted:
            for figure in measure():
                print(figure, flush=True)
                figures.append(figure)
    if given.record:
        kept(figures)
    return int(any(figure.is_missed for figure in figures))


if __name__ == "__main__":
    sys.exit(main())
