"""Trees of settings, written as TOML, and changed at single keys.

Owns the text of a file that a program writes and people read: a table for each section, an array of
tables where there is one, everything else on one line, so that an error can name it. Reads nothing:
``settings`` does. What is written here is read there as it was.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

__all__ = ["put", "take", "to_toml"]

_BARE = re.compile(r"[A-Za-z0-9_-]+")
_HEAD = (
    "# Written by the box: what was set on its page, or by edge config set.",
    "# What /etc/edge/edge.toml and the environment say wins over this.",
)


def to_toml(tree: Mapping[str, Any], *, head: Sequence[str] = _HEAD) -> str:
    """All of it, below comments that say what it is."""
    return "\n".join([*head, *_table(tree, ()), ""])


def take(tree: Mapping[str, Any], keys: Sequence[str]) -> Any:
    """What stands at these keys; None if nothing does."""
    found: Any = tree
    for key in keys:
        if not isinstance(found, Mapping) or key not in found:
            return None
        found = found[key]
    return found


def put(tree: Mapping[str, Any], keys: Sequence[str], value: Any) -> dict[str, Any]:
    """The tree with that at these keys; the one that was given stays as it is.

    None takes away what is there, and the tables that are empty then.
    """
    key, *rest = keys
    made = dict(tree)
    if rest:
        inner = made.get(key)
        value = put(inner if isinstance(inner, Mapping) else {}, rest, value) or None
    if value is None:
        made.pop(key, None)
    else:
        made[key] = value
    return made


def _table(tree: Mapping[str, Any], keys: tuple[str, ...]) -> Iterator[str]:
    """The lines of a table: its own keys before the tables in it, or they would be of those."""
    for key, value in sorted(tree.items()):
        if not _is_table(value):
            yield f"{_key(key)} = {_value(value)}"
    for key, value in sorted(tree.items()):
        inside = (*keys, key)
        name = ".".join(map(_key, inside))
        if isinstance(value, Mapping):
            yield from ("", f"[{name}]")
            yield from _table(value, inside)
        elif _is_table(value):
            for one in value:
                yield from ("", f"[[{name}]]")
                yield from (f"{_key(each)} = {_value(said)}" for each, said in sorted(one.items()))


def _is_table(value: object) -> bool:
    if isinstance(value, list):
        return bool(value) and all(isinstance(one, Mapping) for one in value)
    return isinstance(value, Mapping)


def _key(key: str) -> str:
    return key if _BARE.fullmatch(key) else _text(key)


def _value(value: Any) -> str:
    """On one line: a table in an array of tables is an inline one."""
    if isinstance(value, Mapping):
        inside = ", ".join(f"{_key(key)} = {_value(one)}" for key, one in sorted(value.items()))
        return f"{{ {inside} }}"
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_value, value))}]"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return repr(value)
    return _text(str(value))


def _text(text: str) -> str:
    # JSON's escapes are TOML's (basic strings); of controls, it lets DEL stand.
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
