"""What the edge is made of: see ``scripts/sbom``."""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from edge.viewer import package
from tests.supply import advisories, bom, licences
from tests.supply.lock import locked

_DEFAULT = "pip._internal.models.index"
"""Where pip itself keeps the address that it uses if none is configured."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Do what is asked; the exit status."""
    parser = argparse.ArgumentParser(prog="scripts/sbom", description=__doc__)
    acts = parser.add_mutually_exclusive_group()
    acts.add_argument("--licences", action="store_true", help="who is under which licence")
    acts.add_argument("--check", action="store_true", help="say what is wrong, without a network")
    acts.add_argument(
        "--audit",
        nargs="?",
        const="",
        metavar="FOLDER",
        help="renew the known advisories from the package index, or from a folder of OSV records",
    )
    options = parser.parse_args(arguments)
    if options.licences:
        _print_licences()
    elif options.check:
        return _check()
    elif options.audit is not None:
        return _audit(options.audit)
    else:
        sys.stdout.write(bom.written())
    return 0


def _print_licences() -> None:
    for one in licences.licences().values():
        print(f"{one.name:<24}{one.expression}")
        if one.holds:
            print(f"{'':<24}with {one.holds}: {one.held}")
    print(f"{package.NAME:<24}{package.LICENCE}")
    print(f"{'':<24}runs in browsers; its notices are served beside it")
    for name, why in licences.NOTED.items():
        if why:
            print(f"note: {name}: {why}")


def _check() -> int:
    found = [*licences.faults(), *advisories.open_ones(locked(), advisories.known())]
    for line in found:
        print(f"supply: {line}")
    if not found:
        print(f"supply: no advisory that was known on {advisories.known()['looked']} is open")
    return int(bool(found))


def _audit(folder: str) -> int:
    try:
        if folder:
            found, day = advisories.from_folder(Path(folder), locked())
        else:
            found, day = advisories.from_index(_index(), locked())
    except advisories.NoAdvisories as error:
        print(f"supply: {error}; nothing was changed", file=sys.stderr)
        return 1
    renewed = advisories.merged(found, day)
    advisories.FILE.write_text(written(renewed))
    return _check()


def written(known: dict[str, object]) -> str:
    """As it is committed: a line for each advisory."""
    packages = known["packages"]
    assert isinstance(packages, dict)
    lines = [
        f'    "{name}": [\n'
        + ",\n".join(f"      {json.dumps(record)}" for record in records)
        + "\n    ]"
        for name, records in packages.items()
        if records
    ]
    head = {name: value for name, value in known.items() if name != "packages"}
    said = json.dumps(head, indent=2, ensure_ascii=False)[:-2]
    return said + ',\n  "packages": {\n' + ",\n".join(lines) + "\n  }\n}\n"


def _index() -> str:
    """The address that pip uses."""
    if address := os.environ.get("PIP_INDEX_URL"):
        return address
    asked = [sys.executable, "-m", "pip", "config", "get", "global.index-url"]
    done = subprocess.run(asked, capture_output=True, text=True, check=False)
    if done.returncode == 0 and done.stdout.strip():
        return done.stdout.strip()
    code = f"from {_DEFAULT} import PyPI; print(PyPI.simple_url)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    if done.returncode:
        raise advisories.NoAdvisories("pip does not say where its index is")
    return done.stdout.strip()


if __name__ == "__main__":
    sys.exit(main())
