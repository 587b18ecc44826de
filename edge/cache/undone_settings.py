"""Settings that a file brought which did not set the box up, or with which it does not start.

Promises that they go only if they are the very ones: what anybody changed since stays. Calls block.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

from edge.cache.own_settings import FORMER, REFUSED, REFUSED_WHY, Written, written_in
from edge.crypto.durable import one_at_a_time, sync_folder, write_file
from edge.errors import DecisionRefused, StorageFull
from edge.loading import OWN

__all__ = ["digest_of", "forget_taken_back", "is_taken_back", "undo_change"]


def undo_change(folder: Path, before: Written, after: Written) -> None:
    """Have the file as before a change, of which the service was not told.

    Args:
        folder: ``data_dir``.
        before: What `OwnSettings.written` was then.
        after: What it was to be once the change was made.

    Raises:
        DecisionRefused: Somebody changed it since, it was damaged, or the service runs with it.
        StorageFull: It could not be read, or not be written.
    """
    with one_at_a_time(folder):
        try:
            now = written_in(folder)
            if now != after and now.text != before.text:
                raise DecisionRefused("the settings were changed meanwhile, or are in force")
            if now.text != before.text:
                write_file(folder / OWN, before.text.encode())
            if before.is_proven and not now.is_proven:
                (folder / FORMER).unlink(missing_ok=True)
                sync_folder(folder)
        except UnicodeDecodeError as error:
            raise DecisionRefused("the settings were damaged meanwhile") from error
        except OSError as error:
            raise StorageFull(f"the settings could not be taken back: {error.strerror}") from error


def is_taken_back(folder: Path, digest: str, before: str | None) -> bool:
    """Whether settings were taken back, and do not stand there again.

    Args:
        folder: ``data_dir``.
        digest: SHA-256 of the file with them.
        before: What the file said before, by which it is known on a disk that was full; None: that
            is not known.
    """
    now = _digest(folder / OWN)
    is_former = before is not None and now == digest_of(before)
    return now != digest and (is_former or _digest(folder / REFUSED) == digest)


def forget_taken_back(folder: Path, digest: str) -> None:
    """Nobody wants these settings any more, if they were taken back last.

    Args:
        folder: ``data_dir``.
        digest: As of `is_taken_back`.
    """
    with one_at_a_time(folder):
        if digest and _digest(folder / REFUSED) == digest:
            (folder / REFUSED).unlink(missing_ok=True)
            (folder / REFUSED_WHY).unlink(missing_ok=True)
            sync_folder(folder)


def digest_of(text: str) -> str:
    """By which settings are known again."""
    return hashlib.sha256(text.encode()).hexdigest()


def _digest(path: Path) -> str:
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except FileNotFoundError:
        return digest_of("")
    except OSError:  # it is not any settings
        return ""
