"""``scripts/simulate``: run seeds until one fails, or all are through."""

from __future__ import annotations

import argparse
import logging
import sys
import time
from collections.abc import Sequence

from tests import nursery
from tests.simulation.simulator import Failure, simulate


def main(arguments: Sequence[str] | None = None) -> int:
    """Run; the exit status is 1 if a seed failed."""
    parser = argparse.ArgumentParser(prog="scripts/simulate")
    parser.add_argument("--seeds", type=int, default=1000, metavar="N", help="so many")
    parser.add_argument("--from", type=int, default=1, metavar="S", dest="first", help="from here")
    parser.add_argument("--seed", type=int, metavar="S", help="only this one, and its trace")
    parser.add_argument("--operations", type=int, default=150, metavar="N", help="of each seed")
    parser.add_argument("--go-on", action="store_true", help="past a seed that failed")
    options = parser.parse_args(arguments)
    logging.disable(logging.CRITICAL)
    seeds = range(options.first, options.first + options.seeds)
    if options.seed is not None:
        seeds = range(options.seed, options.seed + 1)
    began, failed = time.monotonic(), []
    with nursery.started() as nurse, nursery.in_use(nurse.spawn):
        for done, seed in enumerate(seeds):
            if done % 100 == 0 and done:
                print(f"simulate: {done} seeds, {time.monotonic() - began:.0f} s", file=sys.stderr)
            try:
                simulation = simulate(seed, options.operations)
            except Failure as failure:
                failed.append(seed)
                print(str(failure).splitlines()[-2] if options.go_on else failure, flush=True)
                if not options.go_on:
                    break
            else:
                if options.seed is not None:
                    print("\n".join(simulation.trace))
    words = f"failed: {', '.join(map(str, failed))}" if failed else "all is well"
    print(f"simulate: {len(seeds)} seeds, {time.monotonic() - began:.0f} s: {words}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
