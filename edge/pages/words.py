"""The catalogue: every word of the web page in every language, and how that writes numbers.

Owns the languages that there are, the choice among them, and the messages (gettext, ``.po``). The
words of this code are English; a message without a translation stays English rather than vanish.
Times are those of the box.
"""

from __future__ import annotations

import gettext
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final, Literal

import msgspec
from babel import Locale
from babel.dates import format_date, format_skeleton, format_time, format_timedelta
from babel.messages.pofile import read_po
from babel.numbers import format_decimal, format_percent

__all__ = ["DIRECTIONS", "LANGUAGES", "Messages", "Words", "chosen", "noted", "read_messages"]

LANGUAGES: Final[Mapping[str, str]] = {
    "en": "English",
    "fr": "Français",
    "es": "Español",
    "ar": "العربية",
}
"""What each calls itself."""
DIRECTIONS: Final[Mapping[str, Literal["ltr", "rtl"]]] = {"ar": "rtl"}
_LOCALES: Final = {"en": "en_GB"}
"""Where not the language's own: clocks of clinics have 24 hours."""
_ENGLISH_PLURAL: Final = "(n != 1)"
_PLURAL: Final = re.compile(r"[n0-9?:()<>=!&|%\s]+")
_RANGE: Final = re.compile(r"([a-zA-Z]{1,8})(?:-[a-zA-Z0-9-]+)?\s*(?:;\s*q=([01](?:\.[0-9]*)?))?")
_UNITS: Final = ("B", "kB", "MB", "GB", "TB", "PB")


def noted(text: str) -> str:
    """Have a text in the catalogue that is looked up later."""
    return text


@dataclass(frozen=True, slots=True)
class Messages:
    """Of one language."""

    single: Mapping[str, str] = field(default_factory=dict)
    plural: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """By the English singular: one for each form of the language."""
    rule: str = _ENGLISH_PLURAL
    """Which form *n* has; C, and JavaScript."""

    def for_scripts(self, used: Iterable[str]) -> bytes:
        """A module of those that scripts use."""
        wanted = sorted(set(used))
        known: dict[str, str | tuple[str, ...]] = {
            one: self.plural.get(one) or self.single[one]
            for one in wanted
            if one in self.plural or one in self.single
        }
        text = msgspec.json.encode(known).decode()
        return (
            f"export const messages={text};\nexport const form=n=>Number({self.rule});\n".encode()
        )


def read_messages(folder: Path) -> Messages:
    """All catalogues of a language, one for each page and one that they share. Blocks."""
    single: dict[str, str] = {}
    plural: dict[str, tuple[str, ...]] = {}
    rule = _ENGLISH_PLURAL
    for path in sorted(folder.glob("*.po")):
        with path.open("rb") as file:
            catalogue = read_po(file, locale=folder.name)
        if _PLURAL.fullmatch(catalogue.plural_expr):
            rule = catalogue.plural_expr
        for message in catalogue:
            if not message.id or message.fuzzy:
                continue
            if isinstance(message.id, str):
                if message.string:
                    single[message.id] = str(message.string)
            elif isinstance(message.string, tuple | list) and all(message.string):
                plural[message.id[0]] = tuple(message.string)
    return Messages(single, plural, rule)


class Words:
    """One language, as pages use it.

    Args:
        language: Its code.
        messages: Its catalogue.
    """

    def __init__(self, language: str, messages: Messages) -> None:
        self.language = language
        self.direction = DIRECTIONS.get(language, "ltr")
        self.messages = messages
        self._locale = Locale.parse(_LOCALES.get(language, language))
        self._form: Callable[[int], int] = gettext.c2py(messages.rule)

    def gettext(self, text: str, /, **values: object) -> str:
        """A text, with its values in place."""
        return self.messages.single.get(text, text) % values if values else self._plain(text)

    def ngettext(self, one: str, many: str, number: int, /, **values: object) -> str:
        """A text that counts; the number is its ``%(n)s``, written as the language does."""
        forms = self.messages.plural.get(one)
        found = (one if number == 1 else many) if forms is None else forms[self._form(number)]
        return found % {"n": self.number(number), **values}

    def _plain(self, text: str) -> str:
        return self.messages.single.get(text, text).replace("%%", "%")

    # Numbers and times ----------------------------------------------------------------------------

    def number(self, value: float) -> str:
        """Grouped as the language does."""
        return format_decimal(value, locale=self._locale)

    def percent(self, share: float) -> str:
        """Of 1, in whole percents."""
        return format_percent(share, "#,##0%", locale=self._locale)

    def bytes(self, count: float) -> str:
        """In the largest unit of a thousand that leaves a whole number; three digits at most."""
        unit = 0
        while count >= 999.5 and unit < len(_UNITS) - 1:
            count /= 1000
            unit += 1
        pattern = "0" if count >= 100 or unit == 0 else "0.#"
        return self._apart(
            f"{format_decimal(count, pattern, locale=self._locale)}\u00a0{_UNITS[unit]}"
        )

    def degrees(self, value: float) -> str:
        """Celsius."""
        return self._apart(f"{format_decimal(value, '0', locale=self._locale)}\u00a0°C")

    def _apart(self, text: str) -> str:
        """Latin letters behind a number: they stay behind it among Arabic ones (UAX 9)."""
        return text if self.direction == "ltr" else f"\u2066{text}\u2069"

    def duration(self, seconds: float) -> str:
        """About so long: in its largest unit."""
        whole = timedelta(seconds=max(1, round(seconds)))
        return format_timedelta(whole, threshold=1.2, locale=self._locale)

    def time(self, moment: float) -> str:
        """Hour and minute."""
        return format_time(_local(moment), "short", locale=self._locale)

    def date(self, moment: float) -> str:
        """The day."""
        return format_date(_local(moment).date(), "long", locale=self._locale)

    def moment(self, moment: float, now: float) -> str:
        """As short as it can be told: the time of today, else the day, too."""
        local = _local(moment)
        if local.date() == _local(now).date():
            return self.time(moment)
        day = format_skeleton("MMMd", local, locale=self._locale)
        return f"{day}, {self.time(moment)}"


def chosen(cookie: str, header: str, otherwise: str) -> str:
    """The language: what somebody chose, else what their browser asks for, else another.

    Args:
        cookie: Its choice; anything.
        header: ``Accept-Language`` (RFC 9110 12.5.4).
        otherwise: What the box is set to.
    """
    if cookie in LANGUAGES:
        return cookie
    asked: list[tuple[float, int, str]] = []
    for place, part in enumerate(header.split(",")[:20]):
        if (match := _RANGE.fullmatch(part.strip())) and match[1].lower() in LANGUAGES:
            asked.append((-float(match[2] or 1), place, match[1].lower()))
    return next((name for weight, _, name in sorted(asked) if weight < 0), otherwise)


def _local(moment: float) -> datetime:
    """The moment on the clock of the box, naive: Babel is to change nothing of it."""
    return datetime.fromtimestamp(moment, UTC).astimezone().replace(tzinfo=None)
