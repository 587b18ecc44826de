"""An update that somebody brought: on a stick with a folder ``EDGE-UPDATE``, or as a file.

Copies what is proven into ``data_dir/update``, where the service finds it. Promises that nothing is
copied of a bundle that this machine may not take, that what was copied is proven again, and that a
copy which was cut short is none. Of several sticks at one moment, one is copied after the other.
Run by root, it gives what it made to the owner of the data. Everything here blocks.
"""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from edge.crypto.durable import hand_over, lock_file, sync_folder
from edge.errors import StorageFull, UpdateRefused
from edge.updates.bundle import SUFFIX, open_bundle
from edge.updates.history import Deed
from edge.updates.journal import Folder, Found
from edge.updates.machine import Place
from edge.updates.manifest import Manifest
from edge.updates.versions import Version

__all__ = ["FOLDER", "bring", "found_of", "full", "has_any", "newest_on", "refuse"]

FOLDER: Final = "EDGE-UPDATE"
_PIECE: Final = 1024**2
_MOST: Final = 100
"""Files that are looked at."""
_PATIENCE: Final = 900.0
"""Seconds until a slow stick is copied; what looks at sticks has twice the time."""


def found_of(manifest: Manifest, total: int, *, where: str = "", etag: str = "") -> Found:
    """What is kept of an update."""
    return Found(
        version=manifest.version,
        where=where,
        bytes=total,
        made=manifest.made,
        notes=dict(manifest.notes),
        security=manifest.security,
        etag=etag,
    )


def has_any(path: Path) -> bool:
    """Whether somebody meant this stick, or folder, or file, to bring an update."""
    return path.is_file() or (path / FOLDER).is_dir()


def newest_on(path: Path, keys: Sequence[Ed25519PublicKey], place: Place) -> Path:
    """The file that this machine should take: *path* itself, or the newest below it.

    Raises:
        UpdateRefused: There is none; why not, if there was one at all.
    """
    if path.is_file():
        return path
    folder = path / FOLDER if (path / FOLDER).is_dir() else path
    # What a Mac puts beside each file begins with a dot.
    found = sorted(path for path in folder.glob(f"*{SUFFIX}") if not path.name.startswith("."))
    files = found[:_MOST]
    if not files:
        raise UpdateRefused(
            f"no update is in {folder}",
            hint=f"it is a file *{SUFFIX}, in a folder {FOLDER} of the stick",
        )
    best: tuple[Version, Path] | None = None
    refused: UpdateRefused | None = None
    for file in files:
        try:
            with open_bundle(file, keys) as bundle:
                bundle.manifest.check_for(place.kind, place.version)
                version = Version(bundle.manifest.version)
        except UpdateRefused as error:
            named = "" if str(error).startswith(file.name) else f"{file.name}: "
            refused = refused or UpdateRefused(f"{named}{error}", hint=error.hint)
            continue
        if best is None or best[0] < version:
            best = version, file
    if best is None:
        raise refused or UpdateRefused(f"no update is in {folder}")
    return best[1]


def bring(
    folder: Folder,
    source: Path,
    keys: Sequence[Ed25519PublicKey],
    place: Place,
    *,
    by: str,
    patience: float = _PATIENCE,
) -> Found:
    """Copy a bundle, and prove what was copied; it is in the history then.

    What is here already, as it should be, is not copied again.

    Crash order: write ``.part`` -> fsync -> rename -> history.

    Args:
        folder: Where to.
        source: The file.
        keys: Those that are believed.
        place: The machine.
        by: Who says so.
        patience: Seconds to wait until whatever is being copied is.

    Raises:
        UpdateRefused: It can't be used.
        StorageFull: There is no room.
    """
    with open_bundle(source, keys) as bundle:
        manifest, total = bundle.manifest, bundle.head.total
        manifest.check_for(place.kind, place.version)
        folder.make()
        with _alone(folder, patience):
            folder.drop_copies()  # of a stick that was pulled out
            if not _has(folder.bundle(manifest.version), manifest, keys):
                free = shutil.disk_usage(folder.path).free
                if free < 2 * total:
                    raise full(2 * total, free)
                bundle.prove()
                _take_in(folder, source, manifest, total, keys)
            last = next(
                (one for one in folder.history()[::-1] if one.version == manifest.version), None
            )
            if last is None or last.deed is not Deed.BROUGHT:
                folder.note(Deed.BROUGHT, manifest.version, by=by)
    return found_of(manifest, total)


@contextlib.contextmanager
def _alone(folder: Folder, patience: float) -> Iterator[None]:
    """While nobody else copies something here.

    Raises:
        UpdateRefused: Somebody does for so many seconds.
    """
    flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        descriptor = os.open(folder.path / "copying.lock", flags, 0o600)
    except OSError as error:
        raise UpdateRefused(f"the update can't be copied: {error.strerror}") from error
    try:
        hand_over(descriptor, folder.path)
        try:
            lock_file(descriptor, patience)
        except TimeoutError:
            raise UpdateRefused(
                "an update from another stick is being copied",
                hint="wait until it is here, and put this stick in again",
            ) from None
        yield
    finally:
        os.close(descriptor)


def _has(path: Path, manifest: Manifest, keys: Sequence[Ed25519PublicKey]) -> bool:
    """Whether this very bundle lies there, as it should be."""
    try:
        with open_bundle(path, keys) as bundle:
            bundle.prove()
            return bundle.manifest == manifest
    except UpdateRefused:
        return False


def _take_in(
    folder: Folder,
    source: Path,
    manifest: Manifest,
    total: int,
    keys: Sequence[Ed25519PublicKey],
) -> None:
    """Copy it, and give it its name once the copy is proven."""
    part = folder.copying(manifest.version)
    _copy(source, part, total)
    try:
        with open_bundle(part, keys) as copied:
            copied.prove()
            if copied.manifest != manifest:
                raise UpdateRefused("the file was changed while it was copied")
        part.replace(folder.bundle(manifest.version))
        sync_folder(folder.path)
    except OSError as error:
        raise UpdateRefused(f"the update could not be copied: {error.strerror}") from error
    finally:
        part.unlink(missing_ok=True)


def full(needed: int, free: int) -> StorageFull:
    """That there is no room: how much is needed and free, in bytes, and what makes room."""
    return StorageFull(
        f"there is no room for the update: {needed / 1e6:.0f} MB have to be free for it and for"
        f" images, and {free / 1e6:.0f} MB are",
        hint="images make room once an archive has them: see what waits to be sent; delete studies"
        " that nobody needs, or have a bigger disk",
    )


def refuse(folder: Folder, why: str, *, by: str) -> None:
    """Have in the history that a stick was refused, once however often it is put in."""
    history = folder.history()
    last = history[-1] if history else None
    if last is None or (last.deed, last.why) != (Deed.REFUSED, why):
        folder.note(Deed.REFUSED, "", why=why, by=by)


def _copy(source: Path, target: Path, total: int) -> None:
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        target.unlink(missing_ok=True)
        descriptor = os.open(target, flags, 0o600)
    except OSError as error:
        raise UpdateRefused(f"the update could not be copied: {error.strerror}") from error
    try:
        hand_over(descriptor, target.parent)
        with source.open("rb") as file:
            left = total
            while left and (piece := file.read(min(_PIECE, left))):
                left -= len(piece)
                rest = memoryview(piece)
                while rest:
                    rest = rest[os.write(descriptor, rest) :]
        os.fsync(descriptor)
    except OSError as error:
        target.unlink(missing_ok=True)
        raise UpdateRefused(f"the update could not be copied: {error.strerror}") from error
    finally:
        os.close(descriptor)
