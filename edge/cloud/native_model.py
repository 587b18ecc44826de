"""The Native DICOM Model in XML (PS3.19 A.1), read into the DICOM JSON model (PS3.18 F.2).

Owns the reading of ``application/dicom+xml``: some archives answer so whatever is asked of them.
Promises bounded work on hostile input: no document types, no entities, a nesting limit. Keeps what
answers are made of: UIDs, numbers, text, names, sequences. Never fetches anything.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from xml.parsers import expat

__all__ = ["NativeModelError", "parse_native_model"]

_MAX_DEPTH = 128
_TAG = re.compile(r"[0-9A-Fa-f]{8}")
_INTEGERS = frozenset({"IS", "SL", "SS", "SV", "UL", "US", "UV"})
_NUMBERS = frozenset({"DS", "FD", "FL"})
_NAME_PARTS = ("FamilyName", "GivenName", "MiddleName", "NamePrefix", "NameSuffix")
_NAME_GROUPS = frozenset({"Alphabetic", "Ideographic", "Phonetic"})


class NativeModelError(ValueError):
    """The document is not a Native DICOM Model."""


@dataclass
class _Attribute:
    """An attribute that is being read, and its current value."""

    tag: str
    vr: str
    values: list[Any] = field(default_factory=list)
    name: dict[str, dict[str, str]] = field(default_factory=dict)


class _Reader:
    """Follows expat's events; every open attribute or item is one entry of a stack."""

    def __init__(self) -> None:
        self.root: dict[str, Any] = {}
        self._datasets = [self.root]
        self._attributes: list[_Attribute] = []
        self._group = ""
        self._text: list[str] = []
        self._depth = 0

    def start(self, name: str, attributes: dict[str, str]) -> None:
        self._depth += 1
        if self._depth > _MAX_DEPTH:
            raise NativeModelError("nested too deeply")
        self._text.clear()
        match name.rpartition(":")[2]:
            case "DicomAttribute":
                tag, vr = attributes.get("tag", ""), attributes.get("vr", "UN")
                if not _TAG.fullmatch(tag):
                    raise NativeModelError("an attribute without a tag")
                self._attributes.append(_Attribute(tag.upper(), vr))
            case "Item":
                self._current().values.append({})
                self._datasets.append(self._current().values[-1])
            case "PersonName":
                self._current().name = {}
            case group if group in _NAME_GROUPS and self._attributes:
                self._group = group
                self._current().name[group] = {}

    def end(self, name: str) -> None:
        self._depth -= 1
        match name.rpartition(":")[2]:
            case "DicomAttribute":
                self._end_of_attribute()
            case "Item":
                self._datasets.pop()
            case "PersonName":
                attribute = self._current()
                groups = {group: _person_name(it) for group, it in attribute.name.items()}
                attribute.values.append(groups)
            case "Value" if self._attributes and self._current().vr != "SQ":
                self._current().values.append(_value("".join(self._text), self._current().vr))
            case part if part in _NAME_PARTS and self._attributes and self._current().name:
                self._current().name[self._group][part] = "".join(self._text)
        self._text.clear()

    def text(self, data: str) -> None:
        self._text.append(data)

    def _current(self) -> _Attribute:
        if not self._attributes:
            raise NativeModelError("a value outside of an attribute")
        return self._attributes[-1]

    def _end_of_attribute(self) -> None:
        attribute = self._attributes.pop()
        element: dict[str, Any] = {"vr": attribute.vr}
        if attribute.values:
            element["Value"] = attribute.values
        self._datasets[-1][attribute.tag] = element


def _value(text: str, vr: str) -> Any:
    """A value as JSON has it: numbers as numbers, where they are numbers."""
    convert: Callable[[str], Any] | None = (
        int if vr in _INTEGERS else float if vr in _NUMBERS else None
    )
    if convert is None:
        return text
    try:
        return convert(text)
    except ValueError:
        return text


def _person_name(parts: dict[str, str]) -> str:
    """PS3.5 6.2.1.1: components between carets, empty ones at the end left out."""
    return "^".join(parts.get(part, "") for part in _NAME_PARTS).rstrip("^")


def _refuse(*_: object) -> None:
    raise NativeModelError("a document type declaration")


def parse_native_model(document: bytes) -> dict[str, Any]:
    """One data set.

    Raises:
        NativeModelError: It is not well-formed XML, not of this model, or tries to be clever.
    """
    reader = _Reader()
    parser = expat.ParserCreate()
    parser.StartElementHandler = reader.start
    parser.EndElementHandler = reader.end
    parser.CharacterDataHandler = reader.text
    parser.StartDoctypeDeclHandler = _refuse
    parser.buffer_text = True
    try:
        parser.Parse(document, True)
    except expat.ExpatError as error:
        raise NativeModelError(f"not well-formed XML: {error}") from error
    return reader.root
