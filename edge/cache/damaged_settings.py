"""A file of the box's own settings that does not load: what of it can be kept, is.

Owns ``settings.toml.damaged``, the file as it was, and ``settings.toml.damaged.why``, what was
wrong with it: that is there until somebody saves settings again, and an alarm for so long. Promises
that images come in whatever became of the box's own settings: what the file of the machine says
holds, with all of the own file that can still be understood. A value that does not fit, or is not
known to this version, takes no other away; of an array, such as the archives, an unknown key of a
table alone goes, or else all of it. What was wrong for a time alone, such as a file on a disk that
came late, is put back by the next start that finds it right, unless somebody saved settings since.
Calls block.

Crash order: the damaged file is kept -> why is written -> the mended file replaces it. Whoever
starts in between finds the damaged one, and does it again. The other way: the file is put back ->
why goes.
"""

from __future__ import annotations

import hashlib
import os
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from edge.cache.own_settings import DAMAGED, DAMAGED_WHY, FORMER
from edge.crypto.durable import one_at_a_time, sync_folder, write_file
from edge.errors import ConfigError
from edge.loading import OWN, data_dir, layered
from edge.overlay import to_toml

__all__ = ["damage", "put_right", "spare"]

_MOST: Final = 500
"""Things that are taken out one after another, before all of it is."""
_MOST_BYTES: Final = 1024 * 1024
_NAMED: Final = 3
_UNKNOWN: Final = "is not a known key"


def spare(file: Path | None, environ: Mapping[str, str] = os.environ) -> str:
    """Have an own file that loads, if it was that which did not; what was wrong, in words.

    Args:
        file: The configuration of the machine; None if there is none.
        environ: Where the variables are looked up.

    Returns:
        Empty if it is not the own file that is at fault, or nothing can be done about it.
    """
    try:
        folder = data_dir(file, environ)
        layered(file, environ, own="")
        with one_at_a_time(folder):
            return _spare(file, environ, folder)
    except (ConfigError, OSError):
        return ""


def damage(folder: Path) -> str:
    """What is wrong with the own file that was set aside; empty if somebody has seen to it."""
    try:
        why = (folder / DAMAGED_WHY).read_text(encoding="utf-8", errors="replace")[:4000]
    except OSError:
        return ""
    return why.partition("\n")[0].strip()[:2000]


def put_right(file: Path | None, environ: Mapping[str, str] = os.environ) -> bool:
    """Put the file back that was set aside, if it loads now; whether that was done.

    Args:
        file: The configuration of the machine; None if there is none.
        environ: Where the variables are looked up.
    """
    try:
        folder = data_dir(file, environ)
        with one_at_a_time(folder):
            return _put_right(file, environ, folder)
    except (ConfigError, OSError, UnicodeDecodeError):
        return False


def _put_right(file: Path | None, environ: Mapping[str, str], folder: Path) -> bool:
    own, aside, why = folder / OWN, folder / DAMAGED, folder / DAMAGED_WHY
    if not why.exists():
        return False
    if why.read_text(encoding="utf-8", errors="replace").split("\n")[1:2] != [_digest(own)]:
        return False  # somebody saved settings since
    with aside.open("rb") as opened:
        content = opened.read(_MOST_BYTES + 1)
    if len(content) > _MOST_BYTES:
        return False
    layered(file, environ, own=content.decode())
    write_file(own, content)
    why.unlink()
    return True


def _digest(own: Path) -> str:
    return hashlib.sha256(own.read_bytes()).hexdigest()


def _spare(file: Path | None, environ: Mapping[str, str], folder: Path) -> str:
    own, former = folder / OWN, folder / FORMER
    tree, content, whole = _read(own)
    wrong = [whole] if whole else []
    while (error := _error(file, environ, tree)) is not None:
        wrong.append(f"{error.key} {error.what}" if error.key else str(error))
        rest = _without(tree, error.key.split("."), is_unknown=error.what == _UNKNOWN)
        if rest == tree:  # what is at fault is what is not there: the section goes
            rest = _without(tree, error.key.split(".")[:1], is_unknown=False)
        tree = {} if rest == tree or len(wrong) > _MOST else rest
    if not wrong:
        return ""  # it loads: somebody mended it meanwhile
    more = f" and {len(wrong) - _NAMED} more" if len(wrong) > _NAMED else ""
    kept = "the others hold" if tree else "none of it holds"
    words = f"{OWN}: {'; '.join(wrong[:_NAMED])}{more}: {kept}, the file is kept as {DAMAGED}"
    if content is None:
        _move_away(own, folder / DAMAGED)
    else:
        write_file(folder / DAMAGED, content)
    if former.exists() and not former.is_file():
        _move_away(former, folder / f"{FORMER}.damaged")
    made = (to_toml(tree) if tree else "").encode()
    what = " ".join(words.split())
    write_file(folder / DAMAGED_WHY, f"{what}\n{hashlib.sha256(made).hexdigest()}\n".encode())
    write_file(own, made)
    return words


def _error(
    file: Path | None, environ: Mapping[str, str], tree: Mapping[str, Any]
) -> ConfigError | None:
    """What is wrong with that as the own file; None if it loads."""
    if not tree:
        return None  # that was looked at first
    try:
        layered(file, environ, own=to_toml(tree))
    except ConfigError as error:
        return error
    return None


def _read(own: Path) -> tuple[dict[str, Any], bytes | None, str]:
    """What can be understood of it; its bytes, if they can be had; what is wrong with all of it."""
    try:
        with own.open("rb") as opened:
            content = opened.read(_MOST_BYTES + 1)
    except OSError as error:
        return {}, None, f"it can't be read: {error.strerror}"
    if len(content) > _MOST_BYTES:
        return {}, None, "it is too long for settings"
    try:
        return tomllib.loads(content.decode()), content, ""
    except UnicodeDecodeError:
        return {}, content, "it is not text in UTF-8"
    except (ValueError, RecursionError) as error:
        return {}, content, f"it is not valid TOML: {error}"


def _without(tree: Any, keys: Sequence[str], *, is_unknown: bool) -> dict[str, Any]:
    """The tree without what stands there; of an array, all of it, or a key of one table."""
    key, *rest = keys
    if not isinstance(tree, dict) or key not in tree:
        return dict(tree)
    made, inner = dict(tree), tree[key]
    if rest and isinstance(inner, dict):
        made[key] = _without(inner, rest, is_unknown=is_unknown)
    elif is_unknown and len(rest) > 1 and isinstance(inner, list) and rest[0].isdecimal():
        made[key] = [
            _without(one, rest[1:], is_unknown=True) if number == int(rest[0]) else one
            for number, one in enumerate(inner)
        ]
    else:
        del made[key]
    return made


def _move_away(path: Path, to: Path) -> None:
    """Give it another name, in place of a file; a folder that stands there is let alone."""
    names = (to, *(to.with_name(f"{to.name}.{number}") for number in range(1, 1000)))
    path.rename(next(name for name in names if not name.is_dir()))
    sync_folder(path.parent)
