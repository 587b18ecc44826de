"""The Image Pixel module of metadata, held against the pixels that come with it (PS3.18 10.5.2).

Owns what counts as a contradiction between them. Promises that what can be told without decoding is
told before the instance is kept: pixels under a module that is not theirs can't be shown, and only
who sends both knows which is right. What the metadata leaves out contradicts nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from edge.errors import InvalidInstance

if TYPE_CHECKING:
    from edge.dicom.picture import Picture

__all__ = [
    "FRAMES",
    "PHOTOMETRIC",
    "ROWS",
    "SAMPLES",
    "check_native",
    "check_picture",
    "contradiction",
    "number_of",
    "said_of",
]

SAMPLES: Final = "00280002"
PHOTOMETRIC: Final = "00280004"
FRAMES: Final = "00280008"
ROWS: Final = "00280010"
_COLUMNS: Final = "00280011"
_BITS: Final = "00280100"
_NAMES: Final = {
    SAMPLES: "Samples per Pixel",
    PHOTOMETRIC: "Photometric Interpretation",
    FRAMES: "Number of Frames",
    ROWS: "Rows",
    _COLUMNS: "Columns",
    _BITS: "Bits Allocated",
    "00280101": "Bits Stored",
    "00280102": "High Bit",
    "00280103": "Pixel Representation",
}


def check_picture(attributes: Mapping[str, Any], picture: Picture) -> None:
    """Hold the module against a picture that is kept as it is.

    Raises:
        InvalidInstance: Its size or its number of colours is another.
    """
    found = {ROWS: picture.rows, _COLUMNS: picture.columns, SAMPLES: picture.samples}
    for tag, number in found.items():
        if number_of(attributes, tag) not in (None, number):
            raise contradiction(tag)


def check_native(attributes: Mapping[str, Any], length: int) -> None:
    """Hold the module against native pixels, of which there may be more, but not fewer.

    Args:
        attributes: Metadata of the instance.
        length: Bytes of its Pixel Data.

    Raises:
        InvalidInstance: There are fewer, or what is said of them is no number.
    """
    bits = number_of(attributes, FRAMES) or 1
    for tag in (ROWS, _COLUMNS, SAMPLES, _BITS):
        bits *= number_of(attributes, tag) or 0
    photometric = said_of(attributes, PHOTOMETRIC)
    if isinstance(photometric, str) and photometric.endswith(("_422", "_420")):
        bits //= 2  # chrominance is subsampled: a third less, or a half (PS3.3 C.7.6.3.1.2)
    if length * 8 < bits:
        raise InvalidInstance(
            f"the pixels have {length} bytes, which are fewer than the metadata says",
            hint="see that Rows, Columns and Number of Frames are those of the pixels",
        )


def contradiction(tag: str) -> InvalidInstance:
    """What is raised for an element that says something else than the pixels."""
    return InvalidInstance(
        f"{_NAMES[tag]} of the metadata is not that of the picture",
        hint="leave the Image Pixel module out: it is taken from the picture",
    )


def said_of(attributes: Mapping[str, Any], tag: str) -> object:
    """The value of an element of the metadata; None if it has none.

    Raises:
        InvalidInstance: It has several, or is no element.
    """
    element = attributes.get(tag, {})
    values = element.get("Value", []) if isinstance(element, dict) else None
    if not isinstance(values, list) or len(values) > 1:
        raise contradiction(tag)
    return values[0] if values and values[0] != "" else None


def number_of(attributes: Mapping[str, Any], tag: str) -> int | None:
    """The same as a number; IS may be a string in JSON, and is one in XML (PS3.18 F.2.3).

    Raises:
        InvalidInstance: It is none.
    """
    said = said_of(attributes, tag)
    if said is None:
        return None
    try:
        number = int(said) if isinstance(said, str | int | float) else None
    except (ValueError, OverflowError):
        number = None
    if number is None or (isinstance(said, float) and number != said):
        raise contradiction(tag)
    return number
