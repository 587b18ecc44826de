"""What an update says of itself: a JSON document that is signed as it stands, byte by byte.

Pure. Promises that what was understood is consistent: sizes that a file can have, digests of their
length, parts that belong to one kind of machine. Fields that are not known are passed over, so that
a later manifest of the same form can say more.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Final, Literal

import msgspec

from edge.errors import UpdateRefused
from edge.updates.versions import Version, check_version

__all__ = ["ALIGN", "FORM", "MOST_BYTES", "Machine", "Manifest", "Name", "Part", "parse", "written"]

FORM: Final = 1
"""Of the manifest and of the file; a later one is refused."""
ALIGN: Final = 4096
"""Parts begin at multiples of this."""
MOST_BYTES: Final = 8 * 1024**3
"""Of a part, as it stands in a slot."""
_MOST_NOTES: Final = 20_000

Machine = Literal["x86-64", "arm64", "rpi"]
"""Kinds: two that start by UEFI, and the Raspberry Pi, which does so by its own firmware."""
Name = Literal["root", "verity", "uki", "boot"]
_NEEDED: Final[Mapping[str, frozenset[str]]] = {
    "x86-64": frozenset({"root", "verity", "uki"}),
    "arm64": frozenset({"root", "verity", "uki"}),
    "rpi": frozenset({"root", "verity", "boot"}),
}
_HEX = r"^[0-9a-f]{64}$(?!\n)"
_Digest = Annotated[str, msgspec.Meta(pattern=_HEX)]
_Count = Annotated[int, msgspec.Meta(ge=1, le=MOST_BYTES)]


class Part(msgspec.Struct, frozen=True, omit_defaults=True):
    """One of them."""

    name: Name
    bytes: _Count
    """As it stands in its slot,"""
    sha256: _Digest
    """and the digest of that."""
    stored_bytes: _Count
    """In the bundle, where it may be packed,"""
    stored_sha256: _Digest
    """and the digest of that: nothing is unpacked that was not proven."""
    packing: Literal["none", "trimmed", "xz"] = "none"
    """``trimmed``: without the zeros at its end, of which a slot that is not full has many."""


class Manifest(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """All of it."""

    form: int
    product: Literal["edge"] = "edge"
    version: str
    minimum_version: str
    """The oldest version from which it can be taken."""
    machine: Machine
    made: float
    """POSIX seconds."""
    root_hash: _Digest
    """Of verity; names the partitions, too (Discoverable Partitions Specification)."""
    security: bool = False
    """It mends something that others may know of."""
    notes: Mapping[str, Annotated[str, msgspec.Meta(max_length=_MOST_NOTES)]] = {}
    """Language -> what is new; ``en`` is always there."""
    parts: tuple[Part, ...]

    def part(self, name: Name) -> Part:
        """The one of that name.

        Raises:
            KeyError: There is none, which is so for another kind of machine alone.
        """
        return {part.name: part for part in self.parts}[name]

    def check_for(self, machine: str, running: str, *, may_go_back: bool = False) -> None:
        """Do nothing if a machine may take this.

        Args:
            machine: Its kind.
            running: The version that runs there.
            may_go_back: A person at the machine says that an older one is meant.

        Raises:
            UpdateRefused: It is for another kind of machine, no newer one, or comes too soon.
        """
        if self.machine != machine:
            raise UpdateRefused(
                f"version {self.version} is for {self.machine}, and this machine is {machine}",
                hint="take the bundle that was made for this kind of machine",
            )
        if Version(self.version) == Version(running):
            raise UpdateRefused(f"version {running} runs already")
        if Version(self.version) < Version(running) and not may_go_back:
            raise UpdateRefused(
                f"version {self.version} is older than the one that runs, {running}",
                hint="an older version may have faults that others know of; who sits at the machine"
                " can say edge update take --force",
            )
        if Version(running) < Version(self.minimum_version):
            raise UpdateRefused(
                f"version {self.version} can be taken from {self.minimum_version} on, and"
                f" {running} runs",
                hint=f"take version {self.minimum_version} first",
            )


def written(manifest: Manifest) -> bytes:
    """As it is signed."""
    return msgspec.json.format(msgspec.json.encode(manifest), indent=1) + b"\n"


def parse(data: bytes) -> Manifest:
    """What was signed, understood. It is to be believed only if the signature was proven before.

    Raises:
        UpdateRefused: It can't be understood.
    """
    try:
        if msgspec.json.decode(data, type=_Form).form != FORM:
            raise UpdateRefused(
                "the update is of a form that this version does not know",
                hint="an older update has to be taken first; its notes say which",
            )
        found = msgspec.json.decode(data, type=Manifest)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise UpdateRefused(f"what the update says of itself can't be understood: {error}") from (
            error
        )
    check_version(found.version)
    check_version(found.minimum_version)
    names = [part.name for part in found.parts]
    if set(names) != _NEEDED[found.machine] or len(names) != len(set(names)):
        raise UpdateRefused(f"the update does not have the parts of {found.machine}: {names}")
    for part in found.parts:
        is_whole = part.packing != "none" or part.bytes == part.stored_bytes
        if not is_whole or (part.packing == "trimmed" and part.bytes < part.stored_bytes):
            raise UpdateRefused("the update says two sizes of a part that is not packed")
    if "en" not in found.notes:
        raise UpdateRefused("the update has no notes in English")
    return found


class _Form(msgspec.Struct):
    form: int
