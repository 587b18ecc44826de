"""Vulnerabilities that are known of what is locked, from a file that is committed.

Owns ``advisories.json``: by package, what was published about it, as ranges of versions; and the
day up to which whoever wrote it looked. Promises that a locked version in one of those ranges is
found without a network.

What it can't know: what was published after that day; what is wrong with libraries that are
compiled into wheels (OpenSSL, libjpeg, OpenJPEG, SQLCipher), which have advisories of their own;
whether the edge uses what is broken at all; and what nobody has found. An empty answer is no proof.
"""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import yaml
from packaging.version import InvalidVersion, Version

from tests.supply.lock import Locked

__all__ = ["FILE", "NoAdvisories", "from_folder", "from_index", "known", "merged", "open_ones"]

FILE = Path(__file__).with_name("advisories.json")
Found = dict[str, list[dict[str, Any]]]
"""Records by package."""
_SECONDS = 60.0
_MOST = 16 * 1024**2


class NoAdvisories(Exception):
    """Where they were looked for, there are none to be had."""


def known(file: Path = FILE) -> dict[str, Any]:
    """All that is in the file."""
    found: dict[str, Any] = json.loads(file.read_text())
    return found


def open_ones(packages: Iterable[Locked], advisories: dict[str, Any]) -> list[str]:
    """Those that a locked version is open to, one line for each."""
    return [
        f"{one.name} {one.version}: {record['id']}" + _mended(record)
        for one in packages
        for record in advisories["packages"].get(one.name, ())
        if _is_in(one.version, record["ranges"]) and record["id"] not in advisories["accepted"]
    ]


def merged(found: Found, day: date) -> dict[str, Any]:
    """A file of what was found, with what was accepted before.

    Args:
        found: By package.
        day: Up to which was looked.
    """
    before = known()
    packages: dict[str, list[dict[str, Any]]] = {}
    for name in sorted(found.keys() | before["packages"].keys()):
        records = {it["id"]: it for it in (*before["packages"].get(name, ()), *found.get(name, ()))}
        packages[name] = [records[key] for key in sorted(records)]
    return {**before, "looked": max(before["looked"], day.isoformat()), "packages": packages}


def from_folder(folder: Path, packages: Iterable[Locked]) -> tuple[Found, date]:
    """What a folder of OSV records (JSON or YAML) has about them, and the day of its last change.

    Raises:
        NoAdvisories: It has no records.
    """
    names = {one.name for one in packages}
    found: Found = {}
    changed = ""
    for path in sorted(folder.rglob("*")):
        if path.suffix not in (".json", ".yaml", ".yml"):
            continue
        record = yaml.safe_load(path.read_text())  # which reads JSON, too
        if not isinstance(record, dict) or "modified" not in record:
            continue
        changed = max(changed, str(record["modified"])[:10])
        if record.get("withdrawn"):
            continue
        for name, ranges in _affected(record):
            if name in names and ranges:
                found.setdefault(name, []).append({"id": record["id"], "ranges": ranges})
    if not changed:
        raise NoAdvisories(f"{folder} has no record of an advisory")
    return found, date.fromisoformat(changed)


def from_index(
    address: str, packages: Iterable[Locked], read: Callable[[str], bytes] | None = None
) -> tuple[Found, date]:
    """What the package index says of exactly the versions that are locked, today.

    Args:
        address: Of the index, as pip has it: it ends with ``/simple``.
        packages: Those.
        read: Gets a document.

    Raises:
        NoAdvisories: It has no documents of that kind.
    """
    base = address.rstrip("/").removesuffix("/simple")
    found: Found = {}
    for one in packages:
        try:
            text = (read or _read)(f"{base}/pypi/{one.name}/{one.version}/json")
            listed = json.loads(text)["vulnerabilities"]
        except (OSError, ValueError, KeyError, TypeError) as error:
            why = getattr(error, "code", type(error).__name__)
            raise NoAdvisories(f"this index tells nothing of {one.name}: {why}") from error
        for record in listed:
            if not record.get("withdrawn"):
                fixed = (record.get("fixed_in") or [""])[0]
                exact = {"introduced": one.version, **({"fixed": fixed} if fixed else {})}
                found.setdefault(one.name, []).append({"id": record["id"], "ranges": [exact]})
    return found, datetime.now(UTC).date()


def _read(address: str) -> bytes:
    request = urllib.request.Request(address, headers={"Accept": "application/json"})
    with urllib.request.urlopen(request, timeout=_SECONDS) as answer:
        data: bytes = answer.read(_MOST + 1)
    if len(data) > _MOST:
        raise ValueError("too long")
    return data


def _affected(record: dict[str, Any]) -> Iterator[tuple[str, list[dict[str, str]]]]:
    """Package and ranges of an OSV record."""
    for affected in record.get("affected") or ():
        package = affected.get("package") or {}
        if package.get("ecosystem") != "PyPI":
            continue
        ranges: list[dict[str, str]] = []
        for each in affected.get("ranges") or ():
            if each.get("type") != "ECOSYSTEM":
                continue
            for event in each.get("events") or ():
                if "introduced" in event:
                    ranges.append({"introduced": str(event["introduced"])})
                elif ranges:
                    ranges[-1].update({key: str(value) for key, value in event.items()})
        yield str(package.get("name", "")).lower(), ranges


def _is_in(version: str, ranges: Iterable[dict[str, str]]) -> bool:
    """Whether a version is in one of them; one that can't be compared counts as if it were."""
    try:
        ours = Version(version)
        for each in ranges:
            fixed, last = each.get("fixed"), each.get("last_affected")
            begun = each["introduced"] == "0" or ours >= Version(each["introduced"])
            ended = (fixed and ours >= Version(fixed)) or (last and ours > Version(last))
            if begun and not ended:
                return True
    except InvalidVersion:
        return True
    return False


def _mended(record: dict[str, Any]) -> str:
    fixed = [each["fixed"] for each in record["ranges"] if "fixed" in each]
    return f" (mended in {', '.join(fixed)})" if fixed else ""
