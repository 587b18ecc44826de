"""What the pixels of an instance are: the Image Pixel Module (PS3.3 C.7.6.3) as one value.

Owns the reading of it from the DICOM JSON model, the sizes that follow, and the check against the
budget that comes before anything is decoded. It holds no pixels. Whatever the attributes say, a
description that exists is one that makes sense: sizes are positive, stored bits fit into cells.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from edge.errors import NotAnImage, PixelBudgetExceeded
from edge.pixels import syntaxes

__all__ = ["ImageDescription"]

_PIXEL_DATA: Final = "7FE00010"
_FLOATS: Final = {"7FE00008": 32, "7FE00009": 64}
"""Float and Double Float Pixel Data, with the bits of a cell (PS3.3 C.7.6.24, C.7.6.25)."""
_SUBSAMPLED: Final = ("YBR_FULL_422", "YBR_PARTIAL_422")
_BY_CODEC: Final = {"YBR_ICT": "RGB", "YBR_RCT": "RGB"}
"""JPEG 2000 undoes its component transformation by itself (PS3.5 8.2.4)."""
_OFFERED: Final = syntaxes.NATIVE - {syntaxes.GE_PRIVATE}
_CELLS: Final = (1, 8, 16, 32, 64)


@dataclass(frozen=True, slots=True)
class ImageDescription:
    """The pixels of one instance, as they are stored.

    A cell holds one sample of one pixel; ``bits_stored`` of its ``bits_allocated`` bits count.
    """

    transfer_syntax: str
    rows: int
    columns: int
    samples: int
    """Per pixel: 1, 3 or 4."""
    photometric: str
    """Photometric Interpretation (0028,0004)."""
    bits_allocated: int
    bits_stored: int
    high_bit: int
    signed: bool
    planar: int = 0
    """Planar Configuration (0028,0006): 1 if each colour has a plane of its own."""
    frames: int = 1
    floating: bool = False
    """Cells are IEEE 754 numbers of 32 or 64 bits."""
    words: bool = True
    """Native cells stand in 16-bit words (OW), which matters in big endian only."""

    @classmethod
    def of(cls, attributes: Mapping[str, Any], transfer_syntax: str) -> ImageDescription:
        """Read it from a data set in the DICOM JSON model.

        Raises:
            NotAnImage: There are no pixels, or what is said of them makes no sense.
        """
        if syntaxes.is_video(transfer_syntax):
            raise NotAnImage("the instance is a video", hint="retrieve it as it is stored")
        element = next((key for key in (_PIXEL_DATA, *_FLOATS) if key in attributes), None)
        if element is None:
            raise NotAnImage("the instance has no pixels")
        allocated = _FLOATS.get(element) or _number(attributes, "00280100")
        samples = _number(attributes, "00280002", 1)
        stored = allocated if element in _FLOATS else _number(attributes, "00280101", allocated)
        high_bit = stored - 1 if element in _FLOATS else _number(attributes, "00280102", stored - 1)
        planar = _number(attributes, "00280006", 0)
        found = cls(
            transfer_syntax=transfer_syntax,
            rows=_number(attributes, "00280010"),
            columns=_number(attributes, "00280011"),
            samples=samples,
            photometric=_text(attributes, "00280004") or ("RGB" if samples > 1 else "MONOCHROME2"),
            bits_allocated=allocated,
            bits_stored=stored,
            high_bit=high_bit,
            signed=element not in _FLOATS and _number(attributes, "00280103", 0) == 1,
            planar=planar if samples > 1 else 0,
            frames=max(1, _number(attributes, "00280008", 1)),
            floating=element in _FLOATS,
            words=attributes[element].get("vr") != "OB",
        )
        found._check()
        return found

    @property
    def encapsulated(self) -> bool:
        """Whether a stored frame is a codestream."""
        return self.transfer_syntax not in syntaxes.NATIVE

    @property
    def subsampled(self) -> bool:
        """Two pixels of a stored frame share their chrominance (PS3.3 C.7.6.3.1.2)."""
        return not self.encapsulated and self.photometric in _SUBSAMPLED

    @property
    def swaps_bytes(self) -> bool:
        """Native cells stand in big endian words (PS3.5 8.1.2): bytes and bits are turned."""
        return self.words and self.transfer_syntax in syntaxes.BIG_ENDIAN

    @property
    def stored_frame_bytes(self) -> int:
        """Bytes of a native frame as it is stored, in whole bytes, or whole big endian words."""
        samples = 2 if self.subsampled else self.samples
        unit = 16 if self.swaps_bytes else 8
        return -(-self.rows * self.columns * samples * self.bits_allocated // unit) * unit // 8

    @property
    def decoded_frame_bytes(self) -> int:
        """Bytes of a frame once it is decoded."""
        return (self.rows * self.columns * self.samples * self.bits_allocated + 7) // 8

    def check_budget(self, frame_bytes: int) -> None:
        """See to it that a frame fits, before anything is decoded.

        Args:
            frame_bytes: What a decoded frame may take, with at least a byte for every sample.

        Raises:
            PixelBudgetExceeded: It does not.
        """
        needed = self.rows * self.columns * self.samples * max(8, self.bits_allocated) // 8
        if needed > frame_bytes:
            raise PixelBudgetExceeded(
                f"a frame of {self.rows} x {self.columns} pixels takes {needed} bytes, "
                f"and {frame_bytes} are allowed",
                hint="retrieve it as it is stored, or raise pixels.frame_bytes",
            )

    def fits(self, transfer_syntax: str) -> bool:
        """Whether a lossless transfer syntax can hold these pixels, and there is an encoder."""
        size, integers = self.decoded_frame_bytes, not self.floating and self.bits_allocated > 1
        narrow = integers and self.bits_allocated <= 16 and self.samples in (1, 3)
        match transfer_syntax:
            case syntaxes.RLE:
                # A header has room for 15 segments, each a byte of every cell (PS3.5 G.5).
                segments = self.samples * self.bits_allocated // 8
                return integers and self.samples in (1, 3) and segments <= 15
            case syntaxes.JPEG_LOSSLESS_SV1:
                # The encoder takes no odd number of bytes, and no longer side.
                return narrow and size % 2 == 0 and max(self.rows, self.columns) <= 65500
            case syntaxes.JPEG_LS_LOSSLESS:
                # The encoder has no more room than the pixels take, and a header needs some.
                return narrow and size >= 256
            case syntaxes.JPEG_2000_LOSSLESS:
                # Five levels of decomposition leave nothing of less.
                return narrow and min(self.rows, self.columns) >= 32
        # Native frames of single bits follow each other without a gap (PS3.5 8.1.1).
        ragged = self.rows * self.columns * self.samples * self.bits_allocated % 8
        joined = not self.encapsulated or self.frames == 1 or not ragged
        return transfer_syntax in _OFFERED and joined and size * self.frames < 0xFFFFFFFE

    def decoded(self, photometric: str = "") -> ImageDescription:
        """Of the same pixels once they are decoded: native, little endian, colour by pixel.

        Args:
            photometric: What the codestream says they are; empty if it says nothing.
        """
        photometric = photometric or _BY_CODEC.get(self.photometric, self.photometric)
        if photometric in _SUBSAMPLED:
            photometric = photometric.removesuffix("_422")
        return replace(
            self, transfer_syntax=syntaxes.EXPLICIT_LITTLE, planar=0, photometric=photometric
        )

    def _check(self) -> None:
        sane = (
            0 < self.rows < 1 << 16
            and 0 < self.columns < 1 << 16
            and self.samples in (1, 3, 4)
            and self.bits_allocated in _CELLS
            and 0 < self.bits_stored <= self.bits_allocated
            and self.bits_stored - 1 <= self.high_bit < self.bits_allocated
            and self.planar in (0, 1)
        )
        if not sane:
            raise NotAnImage(
                f"{self.rows} x {self.columns} pixels of {self.samples} samples with "
                f"{self.bits_stored} of {self.bits_allocated} bits are no image"
            )
        if self.subsampled and (self.columns % 2 or self.samples != 3 or self.planar):
            raise NotAnImage(f"{self.photometric} needs three samples and an even width")


def _number(attributes: Mapping[str, Any], key: str, default: int = 0) -> int:
    values = attributes.get(key, {}).get("Value") or [default]
    value = values[0]
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value if isinstance(value, int) else default


def _text(attributes: Mapping[str, Any], key: str) -> str:
    values = attributes.get(key, {}).get("Value") or [""]
    return values[0] if isinstance(values[0], str) else ""
