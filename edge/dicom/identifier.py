"""Identifiers and other small data sets of DIMSE messages: bytes to DICOM JSON and back (PS3.18 F).

Promises that text comes out as ``str`` whatever character set it came in, and that what is written
says the character set it is in. Instances never come this way. No I/O.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from typing import Any, Final

from edge.dicom.builder import ScanLimits
from edge.dicom.codec import codec_of
from edge.dicom.familiar import Familiar
from edge.dicom.identifier_writer import IdentifierWriter
from edge.dicom.uids import (
    DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN,
    EXPLICIT_VR_BIG_ENDIAN,
    EXPLICIT_VR_LITTLE_ENDIAN,
    IMPLICIT_VR_LITTLE_ENDIAN,
    encoding_of,
)
from edge.dicom.walker import Walker
from edge.errors import NotDicom

__all__ = ["IDENTIFIER_SYNTAXES", "IdentifierWriter", "read_identifier", "write_identifier"]

IDENTIFIER_SYNTAXES: Final = frozenset(
    {
        IMPLICIT_VR_LITTLE_ENDIAN,
        EXPLICIT_VR_LITTLE_ENDIAN,
        EXPLICIT_VR_BIG_ENDIAN,
        DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN,
    }
)
"""Transfer syntaxes that identifiers are read and written in."""
_LIMITS: Final = ScanLimits(depth=16, memory=16 * 1024**2, steps=1024**2)
_MOST_INFLATED: Final = 4 * 1024**2
"""Bytes of a deflated data set, once it is inflated."""


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
    encoding = encoding_of(transfer_syntax)
    if encoding.deflated:
        data = _inflated(data)
    walker = Walker(codec_of(encoding), _LIMITS, 0, Familiar())
    walker.feed(data)
    walker.finish()
    return walker.model.root


def write_identifier(
    attributes: Mapping[str, Any],
    transfer_syntax: str,
    charset: Sequence[str | None] = (),
    *,
    is_lenient: bool = False,
) -> bytes:
    """Write a data set.

    Whoever writes many of one kind makes an `IdentifierWriter` for them.

    Args:
        attributes: DICOM JSON, keyed by tag; its Specific Character Set is replaced.
        transfer_syntax: One of ``IDENTIFIER_SYNTAXES``.
        charset: The character set that it shall be in; empty: ASCII. UTF-8 where text does not fit.
        is_lenient: A value that can't be written is left empty, instead of being an error.

    Raises:
        InvalidInstance: Something in it is not of the model, or no value of its VR.
    """
    return IdentifierWriter(transfer_syntax, charset, is_lenient=is_lenient).write(attributes)


def _inflated(data: bytes) -> bytes:
    inflate = zlib.decompressobj(wbits=-zlib.MAX_WBITS)
    try:
        found = inflate.decompress(data, _MOST_INFLATED)
    except zlib.error as error:
        raise NotDicom("a data set is not deflated, as it should be") from error
    if not inflate.eof:
        raise NotDicom("a deflated data set is cut off, or inflates beyond measure")
    return found
