"""``scripts/bench``: parse, measure section by section, print one table, say whether goals are met.

Exit status: 0 the goals are met; 1 one is not, and the last lines say which; 2 something could not
be measured. A new section is one module with ``measure(stand)`` and one line in ``SECTIONS``.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from types import FrameType
from typing import Any

from tests.bench import (
    access,
    audit,
    badline,
    clients,
    intake,
    large,
    moving,
    rendered,
    retrieval,
    rotation,
    search,
    stow,
    sync,
)
from tests.bench.crowd import Crowd
from tests.bench.retrieval import CLIENTS
from tests.bench.servers import SERVERS
from tests.bench.stand import Stand
from tests.bench.table import Table
from tests.bench.workplace import FULL, LARGE, QUICK, BenchError, Scale, Workplace

SECTIONS: dict[str, Callable[[Stand], None]] = {
    "clients": clients.measure,
    "intake": intake.measure,
    "stow": stow.measure,
    "retrieval": retrieval.measure,
    "moves": moving.measure,
    "rendered": rendered.measure,
    "search": search.measure,
    "memory": large.measure,
    "sync": sync.measure,
    "line": badline.measure,
    "keys": rotation.measure,
    "access": access.measure,
    "audit": audit.measure,
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the bench; the exit status."""
    options = _parser().parse_args(arguments)
    scale = options.scale
    if options.rounds is not None:
        scale = replace(scale, rounds=options.rounds)
    if options.filling is not None:
        scale = replace(scale, filling=options.filling)
    sections = [name for name in SECTIONS if name in options.sections or not options.sections]
    servers = [name for name in SERVERS if name in options.server or not options.server]
    machine = _machine()
    table = Table(servers)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _interrupted)
    try:
        with Crowd(max(CLIENTS)) as crowd, Workplace(scale) as workplace:
            stand = Stand(workplace, crowd, scale, table, servers)
            for name in sections:
                SECTIONS[name](stand)
    except (BenchError, OSError, RuntimeError, subprocess.SubprocessError) as error:
        print(f"bench: {error}", file=sys.stderr)
        print(f"Not complete; what was measured until then:\n\n{table.as_text()}")
        return 2
    except KeyboardInterrupt:
        print("bench: stopped; everything is cleaned up", file=sys.stderr)
        return 130
    goals = table.goals()
    _print(table, scale, machine)
    for goal in goals:
        if not goal.met:
            print(f"MISSED  {goal.text}")
    if options.json is not None:
        report = {
            "machine": machine,
            "scale": asdict(scale),
            "lines": table.as_json(),
            "goals": [asdict(goal) for goal in goals],
        }
        options.json.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    return 0 if all(goal.met for goal in goals) else 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="scripts/bench",
        description="Measures the edge beside Orthanc and DCMTK's storescp, in one table.",
        epilog="Figures compare within one run only; leave the machine alone while it runs.",
    )
    parser.add_argument(
        "sections",
        nargs="*",
        metavar="SECTION",
        choices=[*SECTIONS, []],
        help=f"what to measure: {', '.join(SECTIONS)} (default: all)",
    )
    parser.set_defaults(scale=FULL)
    scales = parser.add_mutually_exclusive_group()
    for option, scale, words in (
        ("--quick", QUICK, "small and once: does it all work?"),
        ("--large", LARGE, "search in an index of 1,000,000 instances, too: half an hour more"),
    ):
        scales.add_argument(option, dest="scale", action="store_const", const=scale, help=words)
    parser.add_argument(
        "--filling",
        type=float,
        metavar="S",
        help="fill Orthanc's index for so many seconds at the most"
        f" (default: {FULL.filling:.0f}, with --large {LARGE.filling:.0f})",
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there, too")
    parser.add_argument(
        "--rounds", type=int, metavar="N", help=f"repeat so often (default: {FULL.rounds})"
    )
    parser.add_argument(
        "--server",
        action="append",
        default=[],
        choices=list(SERVERS),
        help="only this one; may be given again",
    )
    return parser


def _print(table: Table, scale: Scale, machine: dict[str, Any]) -> None:
    print(f"{machine['processor']}, {machine['processors']} processors, {machine['memory_gb']} GB;")
    print(f"{', '.join(machine['versions'])}; load at the start {machine['load']:.1f}")
    print()
    print(table.as_text())
    print()
    print(f"Of {scale.rounds} rounds the best time and rate, the worst peak; CT pixels are noise.")
    print("The first metadata, and searches while a study comes in, are measured once.")
    print("HTTP: TCP_NODELAY, a connection and a process for each client, any transfer syntax;")
    print(f"clients that ask again and again: one answer to warm up, then {scale.seconds} s.")
    print("edge : Orthanc above 1 means that the edge is ahead (faster, or holding less).")


def _machine() -> dict[str, Any]:
    """What the figures depend on."""
    models = [
        line.partition(":")[2].strip()
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        if line.startswith("model name")
    ]
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return {
        "processor": models[0] if models else platform.machine(),
        "processors": os.cpu_count(),
        "memory_gb": round(memory / 1e9),
        "load": os.getloadavg()[0],
        "versions": [
            f"Python {platform.python_version()}",
            _version("Orthanc", "/usr/sbin/Orthanc", "--version"),
            _version("DCMTK", "dcmsend", "--version"),
        ],
    }


def _version(name: str, *command: str) -> str:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=False)
    except OSError:
        return f"no {name}"
    numbers = (word for word in done.stdout.split() if word.lstrip("v")[:1].isdecimal())
    return f"{name} {next(numbers, '?').lstrip('v')}"


def _interrupted(_number: int, _frame: FrameType | None) -> None:
    """Ctrl-C and SIGTERM: stop measuring and clean up, which a second one must not cut short."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
