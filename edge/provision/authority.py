"""The clinic's own authority: a file beside the one that sets a box up, which names it.

Looks at what lies there, and trusts nothing. Reading the certificates takes a moment of processor.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from edge.authorities import text_of
from edge.errors import ConfigError, MachineRefused
from edge.machine.trust import only_authorities

__all__ = ["NAME", "authority_of", "not_named"]

NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
"""Of a file beside that which sets a box up."""


def authority_of(name: str, place: str, beside: Mapping[str, bytes]) -> str:
    """The authorities, in PEM; empty if no file is named.

    Args:
        name: Of their file; empty: none is named.
        place: File and line that name it.
        beside: The files that lie there, by their names.

    Raises:
        ConfigError: The file is not there, or has others than those.
    """
    if not name:
        return ""
    # FAT, on which it lies, tells no case apart.
    known = {one.lower(): data for one, data in beside.items()} | dict(beside)
    data = known.get(name, known.get(name.lower()))
    if data is None:
        raise _wrong(
            f'{place}: ca = "{name}" names a file that is not there, or too long',
            f"put {name} into the folder of edge.toml, or leave the line out",
        )
    try:
        return only_authorities(text_of(data))
    except MachineRefused as error:
        raise _wrong(f'{place}: ca = "{name}": {error}', error.hint) from error


def not_named(name: str, beside: Mapping[str, bytes]) -> str:
    """What to say of authorities that lie there, and that the file does not name; else empty.

    Args:
        name: As for `authority_of`.
        beside: Likewise.
    """
    if name:
        return ""
    for one, data in sorted(beside.items()):
        try:
            only_authorities(text_of(data))
        except MachineRefused:
            continue
        if not NAME.fullmatch(one):  # nor can such a name always be written down
            return (
                "the authority that lies beside the file is not trusted: call it ca.pem, and write"
                ' a line ca = "ca.pem" below [setup]'
            )
        return f'the authority in {one} is not trusted: a line ca = "{one}" below [setup] names it'
    return ""


def _wrong(what: str, hint: str) -> ConfigError:
    error = ConfigError(what, hint=hint)
    error.key = "setup.ca"
    return error
