"""The Native DICOM Model in XML (PS3.19 A.1), from and to the DICOM JSON model (PS3.18 F.2).

Owns ``application/dicom+xml``, both ways: clients may ask for it, some archives answer in it
whatever is asked of them, and a store may bring it. Promises bounded work on hostile input (no
document types, no entities, a nesting limit) and a well-formed document for any data set. Never
fetches what a ``BulkData`` element refers to.

Private attributes keep the block that they stand in: ``tag`` is the one of the data set, and
``privateCreator`` says who reserved its block.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from math import isfinite
from typing import Any, Final
from xml.parsers import expat
from xml.sax.saxutils import escape, quoteattr

from pydicom.datadict import dictionary_keyword, dictionary_VR

from edge.dicom.dictionary import creator_of

__all__ = ["NAMESPACE", "XmlModelError", "from_xml", "to_xml"]

NAMESPACE: Final = "http://dicom.nema.org/PS3.19/models/NativeDICOM"

_MAX_DEPTH = 128
_MAX_VALUES = 100_000
_TAG = re.compile(r"[0-9A-Fa-f]{8}")
_VR = re.compile(r"[A-Z]{2}")
_NUMBER = re.compile(r"[1-9][0-9]{0,5}")
_INTEGER = re.compile(r"\s*[+-]?[0-9]{1,20}\s*")
_DECIMAL = re.compile(r"\s*[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?\s*")
_INTEGERS = frozenset({"IS", "SL", "SS", "SV", "UL", "US", "UV"})
_NUMBERS = frozenset({"DS", "FD", "FL"})
_NAME_PARTS = ("FamilyName", "GivenName", "MiddleName", "NamePrefix", "NameSuffix")
_NAME_GROUPS = ("Alphabetic", "Ideographic", "Phonetic")
# XML 1.0 2.2 has no way to write these, not even as character references.
_UNWRITABLE = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
# A parser would make a line feed of a bare carriage return (XML 1.0 2.11).
_KEPT = {"\r": "&#13;"}


class XmlModelError(ValueError):
    """The document is not a Native DICOM Model."""


def to_xml(attributes: Mapping[str, Any]) -> bytes:
    """Write a data set as a document of its own, in UTF-8.

    Characters that XML can't hold (control characters) become U+FFFD.

    Args:
        attributes: DICOM JSON, keyed by tag.
    """
    document = (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        f'<NativeDicomModel xmlns="{NAMESPACE}" xml:space="preserve">'
        f"{''.join(_attributes(attributes))}</NativeDicomModel>"
    )
    return document.encode()


def _attributes(attributes: Mapping[str, Any]) -> Iterator[str]:
    for tag, element in attributes.items():
        vr = element.get("vr", "UN")
        yield f'<DicomAttribute tag="{tag}" vr="{vr}"{_identity(tag, attributes)}>'
        if uri := element.get("BulkDataURI"):
            yield f"<BulkData uri={quoteattr(_writable(uri))}/>"
        elif (data := element.get("InlineBinary")) is not None:
            yield f"<InlineBinary>{data}</InlineBinary>"
        for number, value in enumerate(element.get("Value", ()), 1):
            # An element for each value, an empty one, too, or those at the end would be lost.
            if vr == "SQ":
                yield f'<Item number="{number}">'
                yield from _attributes(value or {})
                yield "</Item>"
            elif vr == "PN":
                yield f'<PersonName number="{number}">{"".join(_name(value or {}))}</PersonName>'
            else:
                text = "" if value is None else _text(str(value))
                yield f'<Value number="{number}">{text}</Value>'
        yield "</DicomAttribute>"


def _identity(tag: str, attributes: Mapping[str, Any]) -> str:
    """Keyword of a standard attribute, private creator of a private one."""
    number = int(tag, 16)
    if number >> 16 & 1:
        creator = creator_of(number, attributes)
        return f" privateCreator={quoteattr(_writable(creator))}" if creator else ""
    try:
        keyword = dictionary_keyword(number)
    except KeyError:
        return ""
    return f' keyword="{keyword}"' if keyword else ""


def _name(value: Mapping[str, str]) -> Iterator[str]:
    """One person name (PS3.19 A.1.5), its component groups and their components."""
    for group in _NAME_GROUPS:
        if text := value.get(group):
            yield f"<{group}>"
            for part, component in zip(_NAME_PARTS, text.split("^", 4), strict=False):
                if component:
                    yield f"<{part}>{_text(component)}</{part}>"
            yield f"</{group}>"


def _text(text: str) -> str:
    return escape(_writable(text), _KEPT)


def _writable(text: str) -> str:
    return _UNWRITABLE.sub("\ufffd", text)


def from_xml(document: bytes) -> dict[str, Any]:
    """Read one data set.

    Returns:
        DICOM JSON, keyed by tag. What can't be read as a number of its VR stays text; a value
        that is empty, or that the document left out between others, is None.

    Raises:
        XmlModelError: It is not well-formed XML, not of this model, or tries to be clever.
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
    except XmlModelError:
        raise
    except (expat.ExpatError, LookupError, ValueError) as error:
        # The last two are of an encoding that Python does not have, or not for a parser.
        raise XmlModelError(f"not well-formed XML: {error}") from error
    return reader.root


def _refuse(*_: object) -> None:
    raise XmlModelError("a document type declaration")


@dataclass
class _Attribute:
    """An attribute that is being read, and its current value."""

    tag: str
    vr: str
    values: list[Any] = field(default_factory=list)
    number: int = 0
    """Which value is being read, from 1."""
    name: dict[str, dict[str, str]] = field(default_factory=dict)
    bulk: dict[str, str] = field(default_factory=dict)
    """``BulkDataURI`` or ``InlineBinary``."""

    def put(self, value: Any) -> None:
        self.values += [None] * (self.number - 1 - len(self.values))
        self.values.append(value)

    def element(self) -> dict[str, Any]:
        if self.bulk:
            return {"vr": self.vr, **self.bulk}
        return {"vr": self.vr, "Value": self.values} if self.values else {"vr": self.vr}


class _Reader:
    """Follows expat's events; every open attribute or item is one entry of a stack."""

    def __init__(self) -> None:
        self.root: dict[str, Any] = {}
        self._datasets = [self.root]
        self._attributes: list[_Attribute] = []
        self._group = ""
        self._text: list[str] = []
        self._depth = 0
        self._left_out = 0
        """Values of all attributes that only the number of a later one tells of."""

    def start(self, name: str, attributes: dict[str, str]) -> None:
        self._depth += 1
        if self._depth > _MAX_DEPTH:
            raise XmlModelError("nested too deeply")
        self._text.clear()
        match name.rpartition(":")[2]:
            case "DicomAttribute":
                self._attributes.append(_Attribute(*_tag_and_vr(attributes)))
            case "Item":
                self._begin_value(attributes)
                self._datasets.append({})
                self._current().put(self._datasets[-1])
            case "PersonName":
                self._begin_value(attributes)
                self._current().name = {}
            case "Value" if self._attributes:
                self._begin_value(attributes)
            case "BulkData" if self._attributes:
                uri = attributes.get("uri") or attributes.get("uuid", "")
                self._current().bulk = {"BulkDataURI": uri}
            case group if group in _NAME_GROUPS and self._attributes:
                self._group = group
                self._current().name[group] = {}

    def end(self, name: str) -> None:
        self._depth -= 1
        text = "".join(self._text)
        match name.rpartition(":")[2]:
            case "DicomAttribute":
                attribute = self._attributes.pop()
                self._datasets[-1][attribute.tag] = attribute.element()
            case "Item":
                self._datasets.pop()
            case "PersonName":
                attribute = self._current()
                groups = {group: _components(it) for group, it in attribute.name.items()}
                attribute.put(groups or None)
            case "Value" if self._attributes and self._current().vr != "SQ":
                self._current().put(_value(text, self._current().vr))
            case "InlineBinary" if self._attributes:
                self._current().bulk = {"InlineBinary": "".join(text.split())}
            case part if part in _NAME_PARTS and self._attributes and self._current().name:
                self._current().name[self._group][part] = text
        self._text.clear()

    def text(self, data: str) -> None:
        self._text.append(data)

    def _current(self) -> _Attribute:
        if not self._attributes:
            raise XmlModelError("a value outside of an attribute")
        return self._attributes[-1]

    def _begin_value(self, attributes: Mapping[str, str]) -> None:
        """Which value of the attribute follows: the next one, unless it says otherwise."""
        current = self._current()
        number = attributes.get("number", "")
        current.number = int(number) if _NUMBER.fullmatch(number) else len(current.values) + 1
        self._left_out += max(0, current.number - 1 - len(current.values))
        if max(current.number, self._left_out) > _MAX_VALUES:
            raise XmlModelError("an attribute of too many values")


def _tag_and_vr(attributes: Mapping[str, str]) -> tuple[str, str]:
    tag, vr = attributes.get("tag", "").upper(), attributes.get("vr", "")
    if not _TAG.fullmatch(tag):
        raise XmlModelError("an attribute without a tag")
    if not vr:
        try:
            vr = dictionary_VR(int(tag, 16)).split(" ")[0]
        except KeyError:
            vr = "UN"
    if not _VR.fullmatch(vr):
        raise XmlModelError(f"the attribute {tag} has no value representation")
    return tag, vr


def _value(text: str, vr: str) -> Any:
    """A value as JSON has it: numbers as numbers, where they are numbers; None if it is empty.

    Python takes more for a number than the model does: NaN, infinity, digits with a line between.
    """
    if not text:
        return None
    if vr in _INTEGERS:
        return int(text) if _INTEGER.fullmatch(text) else text
    if vr in _NUMBERS and _DECIMAL.fullmatch(text) and isfinite(number := float(text)):
        return number
    return text


def _components(parts: Mapping[str, str]) -> str:
    """PS3.5 6.2.1.1: components between carets, empty ones at the end left out."""
    return "^".join(parts.get(part, "") for part in _NAME_PARTS).rstrip("^")
