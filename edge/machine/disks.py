"""The disks of the machine, and what each is to the box; as root.

Owns the words for a disk that somebody chooses by, and what a disk must be to take the data over.
What ``lsblk`` says is read for what is needed of it: a disk names itself, and its words are a
stranger's. Calls block.

A disk is chosen by its name and by ``seen``, which is made of all that was shown of it: if another
one has the name by now, or something else is on it, the choice is not valid any more.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

import msgspec

from edge.errors import MachineRefused
from edge.machine.places import Places
from edge.machine.tools import Tools

__all__ = ["DATA", "LEFT", "TAKES_OVER", "Disk", "disks_of", "short"]

DATA: Final = "edge-data"
"""Label of the partition with the data."""
LEFT: Final = "edge-data-old-"
"""… of what was left behind; then, the beginning of the UUID of the partition that has it now."""
TAKES_OVER: Final = "edge-data-new-"
"""… of what takes the data over; then, the beginning of the UUID of the partition that has it."""

_SHORT: Final = 8
_COLUMNS: Final = (
    "NAME,SIZE,TYPE,RO,RM,MODEL,SERIAL,WWN,PTUUID,FSTYPE,UUID,PARTLABEL,PARTUUID,MOUNTPOINTS"
)
_PASSED_OVER: Final = ("zram", "ram", "fd", "sr", "nbd", "dm-", "md")
_STRANGE: Final = re.compile(r"[^\w .:+/()-]", re.ASCII)


class Disk(msgspec.Struct, frozen=True):
    """One of them."""

    name: str
    """As the kernel calls it, such as ``sdb``."""
    size: int
    """Bytes."""
    model: str
    serial: str
    holds: tuple[str, ...]
    """What is on it; nothing if it is empty."""
    role: str
    """What it is to the box; empty: nothing."""
    hindrance: str
    """Why it can't take the data over; empty: it can."""
    is_left: bool = False
    """It has the data as it was before it moved."""
    wwn: str = ""
    """Its number in the world, of those that have one."""
    content: str = ""
    """Made of all that tells what is on it from anything else; empty if nothing is."""

    @property
    def seen(self) -> str:
        """All that is shown of it, in a few characters."""
        told = [self.name, self.size, self.model, self.serial, self.holds, self.wwn, self.content]
        return _digest(told)

    @property
    def itself(self) -> tuple[str, ...]:
        """What it says of itself that no other one should say; nothing if it has no number."""
        if not self.wwn and not self.serial:
            return ()
        return self.wwn, self.serial, self.model, str(self.size)

    @property
    def known(self) -> str:
        """What people know it by."""
        words = " ".join(word for word in (self.model, self.serial) if word)
        return f"{self.name}, {self.size / 10**9:.0f} GB, {words or 'without a name'}"

    def __str__(self) -> str:
        if self.role:
            return f"{self.known}: {self.role}"
        holds = f"not empty ({', '.join(self.holds)})" if self.holds else "empty"
        return f"{self.known}: {holds}{f'; {self.hindrance}' if self.hindrance else ''}"


def short(uuid: str) -> str:
    """The beginning of a partition's UUID, as it stands in a label (which has 36 characters)."""
    return uuid[:_SHORT].lower()


def disks_of(places: Places, tools: Tools) -> list[Disk]:
    """All that could hold data.

    Raises:
        MachineRefused: They can't be looked at.
    """
    said = tools.run("lsblk", "--json", "--bytes", "--output", _COLUMNS)
    try:
        found = json.loads(said)["blockdevices"]
        return list(_disks(found, places))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise MachineRefused("what lsblk says of the disks can't be understood") from error


def _disks(found: list[Mapping[str, Any]], places: Places) -> Iterator[Disk]:
    started_from = (places.own_disk / "whole").resolve().name
    data = places.data_disk.resolve().name
    uuid = next((p["partuuid"] or "" for d in found for p in _parts(d) if p["name"] == data), "")
    for one in found:
        if one["type"] != "disk" or one["name"].startswith(_PASSED_OVER) or not one["size"]:
            continue
        parts = _parts(one)
        labels = [part.get("partlabel") or "" for part in parts]
        holds = [_plain(part.get("partlabel") or part.get("fstype") or "") for part in parts]
        if one.get("fstype") and not parts:
            holds = [_plain(one["fstype"])]
        was_moved = LEFT + short(uuid) in labels
        is_left = was_moved and any(
            part.get("partlabel") == LEFT + short(uuid) and part.get("fstype") for part in parts
        )
        role = _role(
            has_data=any(part["name"] == data for part in parts),
            is_start=one["name"] == started_from,
            is_left=is_left,
            was_moved=was_moved,
            takes_over=TAKES_OVER + short(uuid) in labels,
        )
        yield Disk(
            name=str(one["name"]),
            size=int(one["size"]),
            model=_plain(one.get("model")),
            serial=_plain(one.get("serial")),
            holds=tuple(word or "a partition" for word in holds),
            role=role,
            hindrance=_hindrance(one, role),
            is_left=is_left,
            wwn=_plain(one.get("wwn")),
            content=_content(one),
        )


def _role(
    *, has_data: bool, is_start: bool, is_left: bool, was_moved: bool, takes_over: bool
) -> str:
    if has_data:
        return "has the data of this box" if is_start else "has the data; started from another disk"
    if is_left:
        return "has the data as it was before it moved (edge machine erase-old)"
    if was_moved:
        return "had the data before it moved, and its keys are destroyed"
    if is_start:
        return "the machine was started from it"
    return "takes the data over" if takes_over else ""


def _hindrance(one: Mapping[str, Any], role: str) -> str:
    if role and role != "takes the data over":
        return role
    if one["ro"]:
        return "it can't be written"
    if one["rm"]:
        return "it is removable: a machine that starts from such a one takes it for the installer"
    if any(place for each in _all_of(one) for place in each.get("mountpoints") or ()):
        return "it is in use"
    return ""


def _all_of(one: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """It, and whatever is made of it: partitions, what is decrypted, volumes."""
    yield one
    for child in one.get("children") or ():
        yield from _all_of(child)


def _content(one: Mapping[str, Any]) -> str:
    told = [
        [
            str(each.get(name) or "")
            for name in ("fstype", "uuid", "partlabel", "partuuid", "ptuuid")
        ]
        for each in (one, *_parts(one))
    ]
    return _digest(told) if any(map(any, told)) else ""


def _digest(told: object) -> str:
    return hashlib.sha256(json.dumps(told).encode()).hexdigest()[:16]


def _parts(one: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return [part for part in one.get("children") or () if part.get("type") == "part"]


def _plain(word: object) -> str:
    return _STRANGE.sub("?", str(word or "").strip())[:40]
