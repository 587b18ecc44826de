"""What was last seen of the disk image in QEMU: ``image/results.txt``, a line for each.

Owns that file. ``scripts/test-image --record`` has it written; a machine that can't build the
image, or may not take the time, prints it, so that nobody takes "not run" for "all is well". Lines
are those of tests and of figures:

    2026-11-30  0123456789ab  passed       61.2 s      test_qemu.py::test_flashed_it_boots
    2026-11-30  0123456789ab  figure      287.4 MB     memory taken after the start (goal 300)

The commit is that which the image was built from, with a ``+`` behind it where there was more than
was committed. What is run again takes the place of its former line; what was not run stays.
"""

from __future__ import annotations

import datetime as dt
import fcntl
import re
import signal
import sys
from dataclasses import dataclass
from pathlib import Path

from tests.image.machine import built

__all__ = ["FILE", "KINDS", "Result", "main", "merged", "noted", "read", "unseen", "write"]

FILE = Path(__file__).resolve().parent.parent.parent / "image" / "results.txt"
KINDS = ("passed", "failed", "skipped", "figure", "missed")
"""Of a test; a figure; one that misses its goal."""
_LINE = re.compile(
    r"(\d{4}-\d{2}-\d{2})  ([0-9a-f]{12}\+?) {1,2}(\w+) +(-?\d+\.\d) (\S*) +(\S.*)", re.ASCII
)


@dataclass(frozen=True)
class Result:
    """One line."""

    day: str
    commit: str
    kind: str
    value: float
    unit: str
    name: str

    def __str__(self) -> str:
        begin = f"{self.day}  {self.commit:<13} {self.kind:<7}{self.value:>11.1f} {self.unit:<6}"
        return f"{begin} {self.name}"

    @classmethod
    def of(cls, line: str) -> Result:
        """What a line says.

        Raises:
            ValueError: It has another form.
        """
        if not (found := _LINE.fullmatch(line)) or found[3] not in KINDS:
            raise ValueError(f"{FILE.name}: {line!r} has not the form of a result")
        dt.date.fromisoformat(found[1])
        return cls(found[1], found[2], found[3], float(found[4]), found[5], found[6])


def read(path: Path = FILE) -> list[Result]:
    """All of them.

    Raises:
        ValueError: A line has another form.
    """
    if not path.exists():
        return []
    return [Result.of(line) for line in path.read_text().splitlines() if line[:1] not in ("#", "")]


def merged(former: list[Result], latter: list[Result]) -> list[Result]:
    """The latter, and of the former what was not run again; in the order of their names."""
    by_name = {one.name: one for one in (*former, *latter)}
    return sorted(by_name.values(), key=lambda one: (one.kind in ("figure", "missed"), one.name))


def write(results: list[Result], path: Path = FILE) -> None:
    """Keep them."""
    said = (__doc__ or "").splitlines()[0].partition(":")[0]
    path.write_text(
        "\n".join([f"# {said}.", "# See tests/image/results.py.", *map(str, results), ""])
    )


def noted(
    rows: list[tuple[str, float, str, str]], profile: str = "amd64", path: Path = FILE
) -> None:
    """Keep what was seen now, of the image that is built: kind, value, unit, name of each."""
    day = dt.datetime.now(dt.UTC).date().isoformat()
    commit = (built(profile).parent / "commit").read_text().strip()
    with path.open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)  # two files of tests may end at the same time
        write(merged(read(path), [Result(day, commit, *row) for row in rows]), path)


def unseen(results: list[Result]) -> list[str]:
    """Tests in QEMU that have no line."""
    seen = {one.name.partition("[")[0] for one in results}
    return [
        name
        for path in sorted(Path(__file__).parent.glob("test_qemu*.py"))
        for line in path.read_text().splitlines()
        if (found := re.match(r"def (test_\w+)", line))
        and (name := f"{path.name}::{found[1]}") not in seen
    ]


def main() -> int:
    """Print them, and what has none."""
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # who reads may have seen enough
    results = read()
    for one in results:
        print(one)
    for name in (left := unseen(results)):
        print(f"not seen yet: {name}")
    failed = [one.name for one in results if one.kind not in ("passed", "figure")]
    print(
        f"results: {len(results)} lines, {len(failed)} of them not as they should be; "
        f"{len(left)} tests have none"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
