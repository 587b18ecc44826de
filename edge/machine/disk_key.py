"""The recovery key of the disk: a second way into data that a TPM opens; as root.

A TPM that is cleared, replaced or reset by an update of the firmware opens nothing any more, and
what exists only here would be lost. So the encryption of the data (LUKS2) gets a second slot, for a
recovery key as systemd-cryptenroll makes it: 256 random bits. On paper it is nine groups of eight
characters (`edge.written`), as that of the backups is, and is not read as that one. It is made at
the first start that a TPM opens the data at; a copy on a bigger disk opens by the same one
(``image/libexec/disk``), a box after a factory reset has another.

It is kept on the encrypted data itself, for root alone; as long as the machine runs, the service
may read it in ``/run/edge-machine``, to show it to an admin. Who has it needs the disk, too.

Crash order: room for the file -> a file from before goes, for it opens no slot -> the slot -> those
of recovery keys from before go (systemd-cryptenroll wipes once it has enrolled, and spares what it
enrolled) -> the file. A start that finds one without the other makes both anew. Calls block.
"""

from __future__ import annotations

import contextlib
import grp
import os
import re
from typing import Final

from edge.crypto.durable import sync_folder, write_file
from edge.crypto.paper import Paper, from_paper, to_paper
from edge.errors import MachineRefused
from edge.machine.places import Places
from edge.machine.tools import Tools

__all__ = ["groups_of", "keep_disk_key", "passphrase_from"]

_MODHEX: Final = "cbdefghijklnrtuv"
"""Characters that are in the same place on every keyboard; systemd's slots want them."""
_HEX: Final = "0123456789abcdef"
_CHARACTERS: Final = 71
"""Of them: eight groups of eight."""
_PASSPHRASE: Final = re.compile(rf"([{_MODHEX}]{{8}})(-[{_MODHEX}]{{8}}){{7}}")
_TOKEN: Final = re.compile(r'"type": *"systemd-recovery"')
"""By which the head of the partition says that a slot is of a recovery key."""
_GROUP: Final = "edge"


def keep_disk_key(places: Places, tools: Tools) -> bool:
    """See that there is one, and that the service can show it; whether one was made.

    Where no TPM opens the data, there is none, and nothing is done.

    Raises:
        MachineRefused: The TPM does not give what another slot takes, or a program is missing.
        OSError: It can't be kept.
    """
    try:
        how = (places.own_disk / "key").read_text(encoding="ascii").strip()
    except FileNotFoundError:
        how = ""
    if how not in {"tpm2", "recovery"}:
        return False
    kept = _kept(places)
    disk = str(places.data_disk.resolve())
    dump = ("luksDump", "--dump-json-metadata", disk)
    if made := how == "tpm2" and not (kept and _TOKEN.search(tools.run("cryptsetup", *dump))):
        kept = _make(places, tools, disk)
    if kept:
        _show(places, kept)
    return made


def _make(places: Places, tools: Tools, disk: str) -> str:
    """Another, in a slot and in its file."""
    places.kept.mkdir(mode=0o700, parents=True, exist_ok=True)
    place = places.disk_key_kept.with_name(".disk-key.room")
    try:
        # A disk that is full is found out before the head of the partition is written to.
        write_file(place, b"-" * _CHARACTERS)
        # Beside the slot that is made now, the next start took it for that one's.
        places.disk_key_kept.unlink(missing_ok=True)
        sync_folder(places.kept)
        said = tools.run(
            "systemd-cryptenroll",
            "--unlock-tpm2-device=auto",
            "--wipe-slot=recovery",
            "--recovery-key",
            disk,
        )
        found = _PASSPHRASE.search(said)
        if found is None:
            raise MachineRefused("systemd-cryptenroll told no recovery key of the disk")
        with place.open("r+b") as opened:
            opened.write(found[0].encode("ascii"))
            opened.flush()
            os.fsync(opened.fileno())
        place.replace(places.disk_key_kept)
        sync_folder(places.kept)
    finally:
        with contextlib.suppress(OSError):
            place.unlink()
    return found[0]


def _kept(places: Places) -> str:
    """As systemd writes it; empty: there is none, or it is damaged."""
    try:
        text = places.disk_key_kept.read_text(encoding="ascii")
    except (FileNotFoundError, UnicodeDecodeError):
        return ""
    return text if _PASSPHRASE.fullmatch(text) else ""


def _show(places: Places, kept: str) -> None:
    """Where the service's group may read it, until the machine ends."""
    secret = bytes.fromhex(kept.replace("-", "").translate(str.maketrans(_MODHEX, _HEX)))
    written = " ".join(to_paper(secret, Paper.DISK))
    unfinished = places.disk_key.with_name(f".{places.disk_key.name}.new")
    unfinished.unlink(missing_ok=True)
    flags = os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_WRONLY | os.O_CLOEXEC
    descriptor = os.open(unfinished, flags, 0o600)
    with open(descriptor, "wb") as opened:  # noqa: PTH123 - of a descriptor
        opened.write(written.encode("ascii"))
        with contextlib.suppress(KeyError, PermissionError):
            os.fchown(descriptor, -1, grp.getgrnam(_GROUP).gr_gid)
            os.fchmod(descriptor, 0o640)
    unfinished.replace(places.disk_key)


def groups_of(places: Places) -> list[str]:
    """For paper; none: this machine's data opens otherwise, or the key was not made yet."""
    try:
        return places.disk_key.read_text(encoding="ascii").split()
    except FileNotFoundError:
        return []


def passphrase_from(typed: str) -> str:
    """What opens the slot, of what somebody typed from paper.

    Raises:
        WrongKey: It is none; the message names the groups to look at, or which other key it is.
    """
    secret = from_paper(typed, Paper.DISK)
    modhex = secret.hex().translate(str.maketrans(_HEX, _MODHEX))
    return "-".join(modhex[at : at + 8] for at in range(0, len(modhex), 8))
