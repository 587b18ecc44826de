"""The text of a file that people write: whatever editor saved it, and whatever they got wrong.

Takes what Windows' editor writes, too: UTF-16, a mark at the beginning, its ends of lines. Promises
that what can't be read is said with its line and how it is written. Does no I/O.
"""

from __future__ import annotations

import codecs
import re
import tomllib
from typing import Any, Final

from edge.errors import ConfigError

__all__ = ["LONGEST", "parsed", "text_of", "without_token"]

LONGEST: Final = 64 * 1024
"""Bytes of a file."""
_DEEPEST: Final = 16
"""Tables and lists in each other: settings have four."""
_MOST_POINTS: Final = 1000
"""In a line: to read a key of 30,000 takes 4 GiB and half a minute."""
_MOST_BITS: Final = 63
_AT_LINE = re.compile(r"\(at line (\d{1,9}), column \d+\)$")
"""Where `tomllib` says that something is wrong: at the end, behind what stands in the file."""
_UTF_16: Final = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
_CURLY: Final = frozenset("\u201c\u201d\u201e\u2018\u2019\u201a\u00ab\u00bb\u2033\u2032")
"""What a word processor makes of quotation marks."""
_STRAIGHTEN: Final = (
    'its quotation marks are curly, as word processors make them: write straight ones, "", in an '
    "editor of plain text"
)
_QUOTE: Final = 'text stands between straight quotation marks, such as name = "radiology"'
_UNCLOSED: Final = re.compile(r"'\\n'|Unterminated string|Expected \"'\"")
"""In what is said of a text that goes on to the end of its line, or of the file."""
_CLOSE: Final = "the quotation mark that ends a text is missing"
_SAVE: Final = (
    'save it as UTF-8: in Windows\' Notepad by "Save as", "Encoding"; in TextEdit of macOS after '
    '"Make Plain Text"'
)


def text_of(data: bytes, where: str) -> str:
    """The content of such a file, whatever editor wrote it; its lines end as Unix' do.

    Args:
        data: Its bytes.
        where: What it is called in errors.

    Raises:
        ConfigError: It is no text.
    """
    form = "utf-16" if data.startswith(_UTF_16) else "utf-8-sig"
    try:
        text = data.decode(form)
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1  # without the mark
        place = where if form == "utf-16" else f"{where}:{line}"
        raise ConfigError(f"{place}: is not text in UTF-8", hint=_SAVE) from error
    return text.replace("\r\n", "\n")


def without_token(text: str, token: str) -> str:
    """The file with its token struck out: it was taken, and opens nothing any more.

    It has as many characters as before, so that it can be written where it stands: blanks come
    behind the quotation mark that ended the token.
    """
    if not token:
        return text
    blanks = " " * len(token)
    return re.sub(rf"{re.escape(token)}([\"']?)", lambda found: f"{found[1]}{blanks}", text)


def parsed(text: str, where: str) -> dict[str, Any]:
    """It as TOML, with nothing in it that those who read on could not take.

    Args:
        text: The content of a file.
        where: What it is called in errors.

    Raises:
        ConfigError: It is no TOML, or has numbers or depths that nobody needs.
    """
    for number, line in enumerate(text.split("\n"), 1):
        if line.count(".") > _MOST_POINTS and not line.lstrip().startswith("#"):
            raise ConfigError(
                f"{where}:{number}: has more than {_MOST_POINTS} points in a line: no tables in"
                " tables are so deep"
            )
    try:
        tree = tomllib.loads(text)
    except (ValueError, RecursionError) as error:  # a number of too many digits is a ValueError
        place, what, hint = _explained(str(error), text, where)
        raise ConfigError(f"{place}: {what}", hint=hint) from error
    level: list[Any] = [tree]
    for _ in range(_DEEPEST):
        within = [
            one
            for holder in level
            for one in (holder.values() if isinstance(holder, dict) else holder)
        ]
        if any(isinstance(one, int) and one.bit_length() > _MOST_BITS for one in within):
            raise ConfigError(f"{where}: has a number that is too large for TOML")
        level = [one for one in within if isinstance(one, (dict, list))]
        if not level:
            return tree
    raise ConfigError(f"{where}: has tables in tables, more than {_DEEPEST}")


def _explained(error: str, text: str, where: str) -> tuple[str, str, str]:
    """The place of what is no TOML, with its line; what is wrong, and how it is written."""
    what, hint = f"is not TOML: {error}", ""
    found = _AT_LINE.search(error)
    line = text.split("\n")[int(found[1]) - 1] if found else ""
    if not _CURLY.isdisjoint(line):
        hint = _STRAIGHTEN
    elif _UNCLOSED.search(error):
        what, hint = f"is not TOML: {_CLOSE}", _QUOTE
    elif "Invalid value" in error:
        hint = _QUOTE
    return f"{where}:{found[1]}" if found else where, what, hint
