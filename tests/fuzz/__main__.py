"""The long run: ``python -m tests.fuzz SECONDS [TARGET …]``; see ``scripts/fuzz``."""

from __future__ import annotations

import argparse
import itertools
import secrets
import sys
import time
import traceback

from tests.fuzz.run import TARGETS, run

_AT_A_TIME = 300


def main() -> int:
    """Exit status 1 if something was found."""
    parser = argparse.ArgumentParser(prog="scripts/fuzz", description=__doc__)
    parser.add_argument("seconds", type=float, metavar="SECONDS")
    parser.add_argument("targets", nargs="*", metavar="TARGET", help=", ".join(TARGETS))
    parser.add_argument("--seed", type=int, help="one round of each target, with this seed")
    options = parser.parse_args()
    if unknown := set(options.targets) - TARGETS.keys():
        parser.error(
            f"no such target: {', '.join(sorted(unknown))}; there are {', '.join(TARGETS)}"
        )
    names = options.targets or list(TARGETS)
    ends = time.monotonic() + options.seconds
    found, rounds = 0, 0
    for name in itertools.cycle(names) if options.seed is None else names:
        if options.seed is None and time.monotonic() > ends:
            break
        number = secrets.randbelow(2**32) if options.seed is None else options.seed
        try:
            run(name, _AT_A_TIME, number=number)
        except Exception:  # noqa: BLE001 - whatever it is, it is a finding
            found += 1
            print(f"-- {name}, --seed {number}", flush=True)
            traceback.print_exc(file=sys.stdout)
        rounds += 1
    print(f"fuzz: {rounds} rounds of {_AT_A_TIME} examples, {found} of them with a finding")
    return int(found > 0)


if __name__ == "__main__":
    sys.exit(main())
