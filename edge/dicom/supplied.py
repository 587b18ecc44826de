"""An attribute that a person supplies for the copy of an instance: ``PatientID=4711``.

Owns how such a text is read, which attributes may be supplied, and how the value is written into a
data set. What names an instance, what describes its pixels and how its text is encoded can't be
supplied: the copy would be another instance, or be misread. No I/O.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from pydicom import config as pydicom_config
from pydicom.datadict import tag_for_keyword
from pydicom.valuerep import validate_value

from edge.dicom.charset import encoded_text
from edge.dicom.dictionary import VRS
from edge.dicom.encoder import encoded
from edge.dicom.query import called
from edge.dicom.recoder import Replacement
from edge.errors import DecisionRefused, InvalidInstance

__all__ = ["parse_supplied", "replacements", "require_missing"]

_TAG: Final = re.compile(r"\(?([0-9A-Fa-f]{4}),?([0-9A-Fa-f]{4})\)?")
_TEXT: Final = frozenset("LO LT PN SH ST UC UT".split())
"""In the character set of the data set; any other text is of the default repertoire."""
_SINGLE: Final = frozenset("LT ST UR UT".split())
"""A backslash is a character of the value (PS3.5 6.2)."""
_PLAIN: Final = frozenset("AE AS CS DA DS DT IS TM UR".split())
_NUMBERS: Final = frozenset("FD FL SL SS SV UL US UV".split())
_LONG: Final = frozenset("UC UR UT SV UV".split())
"""Of those that may be supplied, the VRs whose header has twelve bytes."""
_CHARACTER_SET: Final = "00080005"
_PIXELS: Final = frozenset(
    f"0028{number}" for number in "0002 0004 0006 0008 0010 0011 0100 0101 0102 0103 2110".split()
)
"""How pixels are to be read; of the Image Pixel module (PS3.3 C.7.6.3) and its like."""


def parse_supplied(text: str) -> tuple[str, dict[str, Any]]:
    """Read ``ATTRIBUTE=VALUE``; several values are separated by backslashes.

    Returns:
        Tag and element, as they stand in the DICOM JSON model (PS3.18 F.2).

    Raises:
        DecisionRefused: There is no such attribute, it can't be supplied, or it can't have this
            value. What was given as the value is not repeated.
    """
    name, equals, value = text.partition("=")
    tag = _tag_of(name.strip())
    if not equals or not value:
        raise DecisionRefused(
            f"no value is named for {called(tag)}", hint="for example PatientID=4711"
        )
    vr = VRS[int(tag, 16)]
    values = [value] if vr in _SINGLE else value.split("\\")
    try:
        shown = [_model_value(vr, one) for one in values]
    except ValueError as error:
        raise DecisionRefused(f"{called(tag)} can't have this value: its VR is {vr}") from error
    return tag, {"vr": vr, "Value": shown}


def _tag_of(name: str) -> str:
    """The tag of an attribute that may be supplied.

    Raises:
        DecisionRefused: It may not, or there is none of this name.
    """
    number = tag_for_keyword(name)
    if number is None and (match := _TAG.fullmatch(name)):
        number = int(match[1] + match[2], 16)
    if number is None or number not in VRS or number >> 16 & 1 or number >> 16 < 8:
        raise DecisionRefused(
            "that is no attribute of the dictionary (PS3.6)",
            hint="name it by its keyword or tag: PatientID, or 0010,0020",
        )
    tag = f"{number:08X}"
    suppliable = VRS[number] in _TEXT | _PLAIN | _NUMBERS
    if not suppliable or tag == _CHARACTER_SET or tag in _PIXELS:
        raise DecisionRefused(
            f"{called(tag)} can't be supplied",
            hint="UIDs, sequences, pixels, what describes them, and the character set are the"
            " device's to say",
        )
    return tag


def _model_value(vr: str, value: str) -> Any:
    """One value in the JSON model.

    Raises:
        ValueError: It is none of this VR.
    """
    if vr in _NUMBERS:
        return float(value) if vr in ("FD", "FL") else int(value)
    allowed = "\r\n\f\t" if vr in ("LT", "ST", "UT") else ""
    if any(ord(char) < 32 and char not in allowed for char in value):
        raise ValueError("control characters")
    validate_value(vr, value, pydicom_config.RAISE)
    return {"Alphabetic": value} if vr == "PN" else value


def require_missing(tag: str, attributes: Mapping[str, Any]) -> None:
    """Do nothing if an attribute is absent or empty in a data set.

    Raises:
        DecisionRefused: It has a value, which is not to be replaced.
    """
    element = attributes.get(tag) or {}
    values = element.get("Value") or ()
    has_value = any(value not in (None, "", {}) for value in values)
    if has_value or element.get("InlineBinary") or element.get("BulkDataURI"):
        raise DecisionRefused(
            f"{called(tag)} has a value in the image",
            hint="only what is missing or empty can be supplied; correct it at the device",
        )


def replacements(
    supplied: Mapping[str, Any], attributes: Mapping[str, Any]
) -> dict[int, Replacement]:
    """Supplied attributes as they are written into a data set.

    Args:
        supplied: As ``parse_supplied`` gives them, by tag.
        attributes: Of the data set: its character set is that of the values.

    Raises:
        DecisionRefused: The character set of the data set has no such characters.
    """
    element = attributes.get(_CHARACTER_SET) or {}
    terms = element.get("Value") or ()
    found = {}
    for tag, one in supplied.items():
        vr, values = one["vr"], one["Value"]
        try:
            value = _binary(tag, one) if vr in _NUMBERS else _text(vr, values, terms)
        except (UnicodeEncodeError, InvalidInstance) as error:
            raise DecisionRefused(
                f"the value of {called(tag)} can't be written in this image's character set",
                hint="supply it in plain ASCII",
            ) from error
        found[int(tag, 16)] = Replacement(vr, value)
    return found


def _text(vr: str, values: list[Any], terms: Any) -> bytes:
    texts = [one["Alphabetic"] if vr == "PN" else one for one in values]
    joined = "\\".join(texts)
    value = encoded_text(joined, terms) if vr in _TEXT else joined.encode("ascii")
    return value + b" " * (len(value) % 2)


def _binary(tag: str, element: Mapping[str, Any]) -> bytes:
    whole = b"".join(piece for piece in encoded({tag: element}) if isinstance(piece, bytes))
    return whole[12 if element["vr"] in _LONG else 8 :]
