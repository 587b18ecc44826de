"""Demographics: what an archive's answer about a study says of patient and study, and its editing.

Owns which attributes a person edits there, when two values of one say the same, and how an edit is
laid over a data set. Promises that only what is well formed is taken from an answer, and that
spelling is no edit: padding, empty components, fractions of a second, forms of Unicode, or a
component group that an archive does not keep. No I/O.
"""

from __future__ import annotations

import contextlib
import re
import unicodedata
import zlib
from collections.abc import Mapping
from typing import Any, Final

import msgspec
from pydicom.datadict import keyword_for_tag

from edge.dicom.dictionary import VRS
from edge.dicom.query import moment

__all__ = ["DEMOGRAPHICS", "described", "is_same", "keyword", "overlaid", "overlaid_document"]

Attributes = Mapping[str, Any]
"""DICOM JSON."""

DEMOGRAPHICS: Final = (
    "00080020 00080030 00080050 00080051 00080090 00081030 00081060 00100010 00100020 00100021 "
    "00100022 00100030 00100032 00100040 00101000 00101001 00101002 00200010"
).split()
"""Of patient and study what says who, when and for whom: attributes of a study search's answer."""

_GROUPS: Final = ("Alphabetic", "Ideographic", "Phonetic")
_LONGEST: Final = 1024
"""Characters of a value; the longest of these VRs has 64 for each group of a name (PS3.5 6.2)."""
_MOST_VALUES: Final = 64
_DEEPEST: Final = 4
_TAG: Final = re.compile("[0-9A-F]{8}")
_STRANGE: Final = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff\ufffd-\uffff]")
_SEPARATORS: Final = {"DA": {ord("."): None}, "TM": {ord(":"): None}}
"""As dates and times were written before 1993 (PS3.5 6.2)."""
_FORM: Final = re.compile(r"[^\\]*")
"""A backslash would be two values."""
_FORMS: Final = {
    "DA": re.compile("[0-9]{8}"),
    "TM": re.compile(r"[0-9]{2}([0-9]{2}([0-9]{2}(\.[0-9]{1,6})?)?)?"),
    "UI": re.compile(r"[0-9.]{1,64}"),
    "LT": re.compile(".*", re.DOTALL),
    "ST": re.compile(".*", re.DOTALL),
    "UT": re.compile(".*", re.DOTALL),
}
"""Of values, where PS3.5 6.2 leaves little open."""
_TEXTS: Final = frozenset("AE AS CS DA DT LO LT PN SH SQ ST TM UC UI UR UT".split())
_DATA_SET = msgspec.json.Decoder(dict[str, msgspec.Raw])


def keyword(tag: str) -> str:
    """What an attribute is called, where its value may not be said."""
    return keyword_for_tag(int(tag, 16)) or tag


def described(answer: Attributes) -> dict[str, Any]:
    """The demographics of an archive's answer, as they may be shown.

    What is absent, empty or not well formed says nothing, and is left out: many archives answer
    with attributes that they do not keep.
    """
    found = {tag: _formed(tag, answer.get(tag)) for tag in DEMOGRAPHICS}
    return {tag: attribute for tag, attribute in found.items() if attribute is not None}


def is_same(first: Any, second: Any) -> bool:
    """Whether two attributes, DICOM JSON, say the same; None is one that is absent."""
    ours, theirs = _values(first), _values(second)
    if len(ours) != len(theirs):
        return False
    vr = (first or second or {}).get("vr", "UN")
    return all(_is_same(vr, one, other) for one, other in zip(ours, theirs, strict=True))


def overlaid(attributes: Attributes, overlay: Attributes) -> dict[str, Any]:
    """A data set with an edit laid over it, tags ascending."""
    return dict(sorted({**attributes, **overlay}.items()))


def overlaid_document(document: bytes, overlay: str) -> bytes:
    """The same of a deflated JSON object; nothing of it is read that the edit does not touch."""
    attributes: dict[str, Any] = _DATA_SET.decode(zlib.decompress(document))
    return zlib.compress(msgspec.json.encode(overlaid(attributes, _DATA_SET.decode(overlay))), 1)


def _formed(tag: str, attribute: Any, depth: int = 0) -> dict[str, Any] | None:
    """An attribute with the dictionary's VR and its values; None if it has none, or others."""
    vr = VRS.get(int(tag, 16), "UN")
    given = attribute.get("Value") if isinstance(attribute, dict) else None
    if not isinstance(given, list) or len(given) > _MOST_VALUES or depth > _DEEPEST:
        return None
    values = [_value(vr, one, depth) for one in given]
    if not any(values) or any(one is None and it for one, it in zip(values, given, strict=True)):
        return None
    return {"vr": vr, "Value": values}


def _value(vr: str, value: Any, depth: int) -> Any:
    """A value as the JSON model has it (PS3.18 F.2); None if it is empty, or no such value."""
    if vr == "SQ":
        return _item(value, depth) if isinstance(value, dict) else None
    if vr == "PN":
        groups = {"Alphabetic": value} if isinstance(value, str) else value
        if not isinstance(groups, dict):
            return None
        found = {name: _text(groups.get(name)) or "" for name in _GROUPS}
        return {name: text for name, text in found.items() if text.strip("^?= ")} or None
    if isinstance(value, int | float) and not isinstance(value, bool):
        value = str(value)  # of an ID: no attribute here is a number
    text = _text(value) or ""
    text = text.translate(_SEPARATORS.get(vr, {}))
    return text if text and _FORMS.get(vr, _FORM).fullmatch(text) else None


def _item(item: Mapping[Any, Any], depth: int) -> dict[str, Any]:
    """An item of a sequence; what is not text has no place in these."""
    found = {}
    for tag, attribute in item.items():
        if isinstance(tag, str) and _TAG.fullmatch(tag) and VRS.get(int(tag, 16)) in _TEXTS:
            formed = _formed(tag, attribute, depth + 1)
            if formed is not None:
                found[tag] = formed
    return dict(sorted(found.items()))


def _text(value: Any) -> str | None:
    """Text that was understood on its way: U+FFFD stands for what some character set had not."""
    text = value.strip(" \0") if isinstance(value, str) else ""
    return text if text and len(text) <= _LONGEST and not _STRANGE.search(text) else None


def _values(attribute: Any) -> list[Any]:
    """Its values, without empty ones at the end."""
    given = attribute.get("Value") if isinstance(attribute, dict) else None
    values = list(given) if isinstance(given, list) else []
    while values and values[-1] in (None, "", {}):
        values.pop()
    return values


def _is_same(vr: str, ours: Any, theirs: Any) -> bool:
    if vr == "SQ":
        return _is_same_item(ours or {}, theirs or {})
    if vr == "PN":
        mine, other = _groups(ours), _groups(theirs)
        # One that keeps the first group only says nothing of the others.
        shared = mine.keys() & other.keys()
        return all(mine[name] == other[name] for name in shared) if shared else mine == other
    return _plain(vr, ours) == _plain(vr, theirs)


def _is_same_item(ours: Attributes, theirs: Attributes) -> bool:
    """By what both have: an archive may keep less of an item."""
    mine, other = ({tag for tag in item if _values(item[tag])} for item in (ours, theirs))
    shared = mine & other
    return all(is_same(ours[tag], theirs[tag]) for tag in shared) if shared else mine == other


def _groups(name: Any) -> dict[str, str]:
    """Component groups without padding, each with its name; some write all of them as one text."""
    if not isinstance(name, dict):
        name = {"Alphabetic": name or ""}
    texts = {group: str(name.get(group) or "") for group in _GROUPS}
    if "=" in texts["Alphabetic"]:
        texts |= dict(zip(_GROUPS, texts["Alphabetic"].split("="), strict=False))
    folded = {
        group: "^".join(part.strip() for part in _unified(text).split("^")).rstrip("^")
        for group, text in texts.items()
    }
    return {group: text for group, text in folded.items() if text}


def _plain(vr: str, value: Any) -> str:
    text = _unified("" if value is None else str(value))
    if vr == "DA":
        return text.replace(".", "")
    if vr == "TM" and text:
        return moment(text.replace(":", ""), "0")[:6]
    return text


def _unified(text: str) -> str:
    """One form of Unicode, without padding; UTF-8 that was taken for Latin-1 is read once more."""
    if not text.isascii():
        with contextlib.suppress(UnicodeError):  # mostly it is what it says
            text = text.encode("latin-1").decode("utf-8")
    return unicodedata.normalize("NFC", text).strip(" \0")
