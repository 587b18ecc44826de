"""The long run: ``python -m tests.fuzz SECONDS [TARGET …]``; see ``scripts/fuzz``."""

from __future__ import annotations

import argparse
import itertools
import logging
import resource
import secrets
import sys
import time
import traceback
from pathlib import Path

from tests.fuzz.run import TARGETS, replay, run

FINDINGS = Path("build/fuzz")
"""Where the smallest example of each finding is written, below the name of its target."""
LONGEST_ROUND = 300.0
"""Seconds that one counts for: a machine may be halted meanwhile."""
MOST_MEMORY = 12 * 1024**3
"""Bytes of addresses: a bomb that goes off is a finding, and not the end of the machine."""


def main() -> int:
    """Exit status 1 if something was found."""
    parser = argparse.ArgumentParser(prog="scripts/fuzz", description=__doc__)
    parser.add_argument("seconds", type=float, metavar="SECONDS")
    parser.add_argument("targets", nargs="*", metavar="TARGET", help=", ".join(TARGETS))
    parser.add_argument("--seed", type=int, help="one round of each target, with this seed")
    parser.add_argument("--again", type=Path, nargs="+", help="these examples of the one target")
    options = parser.parse_args()
    if unknown := set(options.targets) - TARGETS.keys():
        parser.error(
            f"no such target: {', '.join(sorted(unknown))}; there are {', '.join(TARGETS)}"
        )
    names = options.targets or list(TARGETS)
    logging.getLogger().addHandler(logging.NullHandler())  # refusals are no news here
    resource.setrlimit(resource.RLIMIT_AS, (MOST_MEMORY, MOST_MEMORY))
    if options.again:
        replay(names[0], *options.again)
        return 0
    left, found, rounds, examples = options.seconds, 0, 0, 0
    for name in itertools.cycle(names) if options.seed is None else names:
        if options.seed is None and left <= 0:
            break
        began = time.monotonic()
        number = secrets.randbelow(2**32) if options.seed is None else options.seed
        try:
            examples += run(name, TARGETS[name].at_a_time, number=number, keep=FINDINGS)
        except Exception:  # noqa: BLE001 - whatever it is, it is a finding
            found += 1
            print(f"-- {name}, --seed {number}", flush=True)
            traceback.print_exc(file=sys.stdout)
        rounds += 1
        left -= min(time.monotonic() - began, LONGEST_ROUND)
    print(f"fuzz: {rounds} rounds, {found} with a finding, the others of {examples} examples")
    return int(found > 0)


if __name__ == "__main__":
    sys.exit(main())
