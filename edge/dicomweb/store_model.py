"""Metadata as a client stores it: bounded, weighed, and understood (PS3.18 10.5.1.4).

Owns how much metadata a request may bring. Promises that its bytes, its instances and the memory
that it takes once understood are bounded before it is understood, in each request and in all of
them together. What is slow here is meant for a worker thread. Knows nothing of bulk data but where
a data set refers to it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final

import msgspec

from edge.dicom.xml_model import XmlModelError, from_xml
from edge.dicomweb.responses import DICOM_JSON, DICOM_XML, Refused

__all__ = [
    "MAX_INSTANCES",
    "MAX_MEMORY",
    "MAX_METADATA",
    "METADATA",
    "XML",
    "MetadataBudget",
    "first",
    "understood",
    "uris",
    "weight_of",
]

METADATA: Final = (DICOM_JSON, DICOM_XML)
"""Media types of metadata."""
MAX_METADATA: Final = 16 * 1024 * 1024
"""Bytes of all metadata in one request."""
MAX_INSTANCES: Final = 20_000
"""Instances that the metadata of one request may describe: as many as a body may have parts."""
MAX_MEMORY: Final = 16 * MAX_METADATA
"""Bytes that all metadata of one request may take; real metadata grows some tenfold."""
XML: Final = (DICOM_XML, "application/xml", "text/xml")
"""Media types that metadata in XML may have."""
_JSON_WEIGHTS: Final = ((b"{", 216), (b"[", 88), (b",", 64))
_XML_WEIGHTS: Final = ((b"<", 320),)
"""Bytes that what such a character announces takes at the most, once it is understood."""
_DEEPEST: Final = 64


class MetadataBudget:
    """Bytes of memory that the metadata of all requests together may take."""

    def __init__(self, most: int = 2 * MAX_MEMORY) -> None:
        self._most = most
        self._held = 0

    @contextmanager
    def share(self) -> Iterator[Callable[[int], None]]:
        """Count what one request holds, by calling what is given with a number of bytes."""
        taken = 0

        def take(count: int) -> None:
            nonlocal taken
            if self._held + count > self._most:
                raise Refused(503, "too much metadata arrives at once", hint="send it again")
            taken += count
            self._held += count

        try:
            yield take
        finally:
            self._held -= taken


def weight_of(text: bytearray, essence: str) -> int:
    """Bytes that metadata will take at the most, by what can be counted before it is understood."""
    weights = _XML_WEIGHTS if essence in XML else _JSON_WEIGHTS
    return sum(text.count(mark) * weight for mark, weight in weights)


def understood(text: bytes, essence: str, most: int) -> list[dict[str, Any]]:
    """The data sets of a part, of which there may be *most*.

    They are counted before the first is understood, and each is a step of its own: between them,
    the thread lets others go on.

    Raises:
        Refused: 413, there are more; 400, they can't be understood.
    """
    try:
        raw: list[Any] = [text]
        if essence not in XML and text.lstrip().startswith(b"["):
            raw = msgspec.json.decode(text, type=list[msgspec.Raw])
        _check_number(len(raw), most)
        rows = list(map(from_xml if essence in XML else msgspec.json.decode, raw))
    except (XmlModelError, msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        why = "it is nested too deeply" if isinstance(error, RecursionError) else ""
        raise Refused(
            400, f"the metadata can't be understood: {why or 'not well-formed'}"
        ) from error
    if not all(isinstance(row, dict) for row in rows):
        raise Refused(400, "the metadata is no array of data sets (PS3.18 F.2.1)")
    return rows


def _check_number(instances: int, most: int) -> None:
    if instances > most:
        raise Refused(
            413,
            f"the metadata describes more than {MAX_INSTANCES} instances",
            hint="send fewer instances at once",
        )


def uris(node: Mapping[str, Any], depth: int) -> Iterator[str]:
    """Every BulkDataURI of a data set; what is nested too deeply is refused later."""
    for element in node.values():
        if not isinstance(element, dict):
            continue
        if isinstance(uri := element.get("BulkDataURI"), str):
            yield uri
        elif element.get("vr") == "SQ" and depth < _DEEPEST:
            for item in _items(element):
                yield from uris(item, depth + 1)


def _items(element: Mapping[str, Any]) -> list[dict[str, Any]]:
    values = element.get("Value")
    return [one for one in values if isinstance(one, dict)] if isinstance(values, list) else []


def first(attributes: Mapping[str, Any], tag: str) -> str:
    """The first value of an element, if it is text; otherwise an empty one."""
    element = attributes.get(tag)
    values = element.get("Value") if isinstance(element, dict) else None
    return values[0] if isinstance(values, list) and values and isinstance(values[0], str) else ""
