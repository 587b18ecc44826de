"""Identifiers and other small data sets of DIMSE messages: bytes to DICOM JSON and back (PS3.18 F).

Promises that text comes out as ``str`` whatever character set it came in, and that what is written
says the character set it is in. Instances never come this way. No I/O.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from pydicom import Dataset
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_dataset

from edge.dicom.builder import ScanLimits
from edge.dicom.codec import codec_of
from edge.dicom.familiar import Familiar
from edge.dicom.uids import (
    EXPLICIT_VR_BIG_ENDIAN,
    EXPLICIT_VR_LITTLE_ENDIAN,
    IMPLICIT_VR_LITTLE_ENDIAN,
    encoding_of,
)
from edge.dicom.walker import Walker
from edge.errors import InvalidInstance

__all__ = ["IDENTIFIER_SYNTAXES", "read_identifier", "write_identifier"]

IDENTIFIER_SYNTAXES: Final = frozenset(
    {IMPLICIT_VR_LITTLE_ENDIAN, EXPLICIT_VR_LITTLE_ENDIAN, EXPLICIT_VR_BIG_ENDIAN}
)
"""Transfer syntaxes that identifiers are read and written in."""
_LIMITS: Final = ScanLimits(depth=16, memory=16 * 1024**2, steps=1024**2)
_UTF_8: Final = "ISO_IR 192"


def read_identifier(data: bytes, transfer_syntax: str) -> dict[str, Any]:
    """Read a data set.

    Args:
        data: All of it.
        transfer_syntax: One of ``IDENTIFIER_SYNTAXES``.

    Returns:
        DICOM JSON, keyed by tag.

    Raises:
        NotDicom: It can't be read.
    """
    walker = Walker(codec_of(encoding_of(transfer_syntax)), _LIMITS, 0, Familiar())
    walker.feed(data)
    walker.finish()
    return walker.model.root


def write_identifier(attributes: Mapping[str, Any], transfer_syntax: str) -> bytes:
    """Write a data set, in ASCII if every text of it fits, else in UTF-8.

    Args:
        attributes: DICOM JSON, keyed by tag; its Specific Character Set is replaced.
        transfer_syntax: One of ``IDENTIFIER_SYNTAXES``.

    Raises:
        InvalidInstance: Something in it is not of the model, or no value of its VR.
    """
    encoding = encoding_of(transfer_syntax)
    charset: dict[str, Any] = {}
    if not _is_ascii(attributes):
        charset = {"00080005": {"vr": "CS", "Value": [_UTF_8]}}
    rest = {tag: element for tag, element in attributes.items() if tag != "00080005"}
    out = DicomBytesIO()
    out.is_implicit_VR = encoding.implicit_vr
    out.is_little_endian = encoding.little_endian
    try:
        write_dataset(out, Dataset.from_json({**charset, **rest}))
    except Exception as error:
        # Whatever its writer stumbles over.
        raise InvalidInstance("a data set of a message can't be written") from error
    return out.getvalue()


def _is_ascii(node: Any) -> bool:
    if isinstance(node, Mapping):
        return all(map(_is_ascii, node.values()))
    if isinstance(node, list | tuple):
        return all(map(_is_ascii, node))
    return not isinstance(node, str) or node.isascii()
