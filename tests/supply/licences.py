"""Which licences the packages that run are under, and whether they may be.

Owns the list of what is allowed: nothing under the GPL is loaded into the product's processes. What
the manual says is the truth; it is compared with what each package says of itself. Of libraries
that are compiled into a package, only the manual knows.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import metadata

from tests.supply.lock import ROOT, locked

__all__ = ["ALLOWED", "NOTED", "Licence", "faults", "licences", "said_by"]

ALLOWED = frozenset(
    "0BSD Apache-2.0 BSD-2-Clause BSD-3-Clause CC0-1.0 MIT MIT-0 MIT-CMU MPL-2.0 PSF-2.0"
    " Zlib".split()
)
"""Of packages, by their SPDX identifiers."""
NOTED = {
    "GPL-3.0 with runtime exception": "the compiler's own library, which any program may use",
    "LGPL-2.1": "a library that is linked, and may be replaced by whoever has the box",
    "IJG": "wants to be named in documents",
    "OpenSSL": "wants to be named in documents",
    "BSD": "",
    "MIT and the like": "",
}
"""Of what is compiled into packages, beside those above: what there is to know."""
_CLASSIFIERS = {
    "Apache Software License": "Apache-2.0",
    "MIT License": "MIT",
    "Mozilla Public License 2.0 (MPL 2.0)": "MPL-2.0",
    "Python Software Foundation License": "PSF-2.0",
    "BSD License": "BSD",
}
_PLAIN = {"Apache 2.0": "Apache-2.0", "Apache License, Version 2.0": "Apache-2.0"}
_ROW = re.compile(r"\| ([a-z0-9-]+)(?: \(with ([^)]*)\))? \| ([^|(]+?)(?: \(([^)]*)\))? \|")
_SILENT = frozenset({"sqlcipher3"})
"""They say nothing of it in their metadata, only in the text that comes with them."""


@dataclass(frozen=True, slots=True)
class Licence:
    """Of a package."""

    name: str
    expression: str
    """SPDX."""
    holds: str = ""
    """What is compiled into it."""
    held: str = ""
    """The licences of that."""


def licences(page: str | None = None) -> dict[str, Licence]:
    """Of every package in the manual's table."""
    table = (ROOT / "manual/licences.md").read_text() if page is None else page
    return {
        row[1]: Licence(row[1], _spdx(row[3]), row[2] or "", row[4] or "")
        for row in _ROW.finditer(table)
        if row[1] != "package"
    }


def said_by(name: str) -> str | None:
    """What an installed package says of itself; None if it is not installed, or says nothing."""
    try:
        about = metadata.metadata(name)
    except metadata.PackageNotFoundError:
        return None
    if expression := about.get("License-Expression"):
        return str(expression)
    classified = [text.rpartition(" :: ")[2] for text in about.get_all("Classifier", [])]
    known = [_CLASSIFIERS[text] for text in classified if text in _CLASSIFIERS]
    plain = str(about.get("License") or "").strip()
    if known and known != ["BSD"]:
        return known[0]
    return _PLAIN.get(plain, plain) or (known[0] if known else None)


def faults() -> list[str]:
    """What is wrong with the licences of what is locked."""
    table, names = licences(), {one.name for one in locked()}
    found = [
        f"{name}: is in the manual's table, and not locked" for name in table if name not in names
    ]
    for name in sorted(names):
        found += (
            _faults(table[name]) if name in table else [f"{name}: is not in the manual's table"]
        )
    return found


def _faults(licence: Licence) -> Iterator[str]:
    name, said = licence.name, said_by(licence.name)
    for part in _parts(licence.expression):
        if part not in ALLOWED:
            yield f"{name}: {part} is not among the licences that are allowed"
    for part in filter(None, licence.held.split(", ")):
        if part not in ALLOWED | NOTED.keys():
            yield f"{name}: what is compiled into it is under {part}, which is not known"
    if said is None and name not in _SILENT and name in _installed():
        yield f"{name}: says nothing of its licence"
    if said is not None and not _agree(licence.expression, said):
        yield f"{name}: says {said}, and the manual {licence.expression}"


def _installed() -> set[str]:
    return {re.sub(r"[-_.]+", "-", it.metadata["Name"]).lower() for it in metadata.distributions()}


def _spdx(words: str) -> str:
    return words.strip().replace(" and ", " AND ").replace(" or ", " OR ")


def _parts(expression: str) -> list[str]:
    return [part.strip("() ") for part in re.split(r" (?:AND|OR) ", expression)]


def _agree(ours: str, theirs: str) -> bool:
    if theirs == "BSD":
        return ours.startswith("BSD-")
    return set(_parts(ours)) == set(_parts(theirs))
