"""Colour profiles of pictures (PS3.18 8.3.5.1.5, PS3.3 C.11.15).

Owns the profiles that a client may ask for by name, made here as ICC matrix profiles (ICC.1:2010
with version 2 tags, which every browser reads), and the conversion to them. What has no profile is
sRGB. Runs in a worker process only.
"""

from __future__ import annotations

import io
import struct
from dataclasses import dataclass
from typing import Final, Literal

from PIL import Image, ImageCms

from edge.errors import UndecodablePixels

__all__ = ["apply", "named"]

_D50: Final = (0.9642, 1.0, 0.8249)


@dataclass(frozen=True, slots=True)
class _Space:
    """A colour space: name, gamma, and its primaries adapted to D50, as X, Y, Z."""

    name: str
    gamma: float
    red: tuple[float, float, float]
    green: tuple[float, float, float]
    blue: tuple[float, float, float]


_SPACES: Final = {
    # Adobe RGB (1998), 4.3.1; its white is D65, adapted by the Bradford matrix.
    "adobergb": _Space(
        "Adobe RGB compatible",
        2.19921875,
        (0.60974, 0.31111, 0.01947),
        (0.20528, 0.62567, 0.06087),
        (0.14919, 0.06322, 0.74457),
    ),
    # ISO 22028-2 (ROMM RGB); its white is D50.
    "rommrgb": _Space(
        "ROMM RGB compatible",
        1.8,
        (0.79767, 0.28804, 0.0),
        (0.13519, 0.71188, 0.0),
        (0.03134, 0.00009, 0.82491),
    ),
}


def apply(
    shown: Image.Image, source: bytes, wanted: Literal["yes", "srgb", "adobergb", "rommrgb"]
) -> tuple[Image.Image, bytes]:
    """Bring a picture into the colours that were asked for.

    Args:
        shown: The picture.
        source: Its ICC profile; empty if it has none.
        wanted: As in `Presentation`.

    Returns:
        The picture, and the profile to go with it. Greys stay as they are, without one.

    Raises:
        UndecodablePixels: The profile of the data set can't be used.
    """
    if shown.mode != "RGB":
        return shown, b""
    if wanted == "yes":
        return shown, source or named("srgb")
    target = named(wanted)
    try:
        converted = ImageCms.profileToProfile(
            shown,
            io.BytesIO(source or named("srgb")),
            io.BytesIO(target),
            outputMode="RGB",
        )
    except (ImageCms.PyCMSError, OSError, ValueError) as error:
        raise UndecodablePixels("the ICC profile of the data set can't be used") from error
    return converted if converted is not None else shown, target


def named(name: Literal["srgb", "adobergb", "rommrgb"]) -> bytes:
    """A profile by its name in PS3.18."""
    if name == "srgb":
        return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    return _matrix_profile(_SPACES[name])


def _matrix_profile(space: _Space) -> bytes:
    """A display profile of three primaries and one curve (ICC.1:2010 8.3.3, 10.18)."""
    text = space.name.encode("ascii") + b"\0"
    curve = b"curv" + bytes(4) + struct.pack(">IH", 1, round(space.gamma * 256)) + bytes(2)
    tags = {
        # The description of version 2: ASCII, then empty Unicode and ScriptCode.
        b"desc": b"desc" + bytes(4) + struct.pack(">I", len(text)) + text + bytes(78),
        b"cprt": b"text" + bytes(4) + b"No copyright, use freely\0",
        b"wtpt": _xyz(_D50),
        b"rXYZ": _xyz(space.red),
        b"gXYZ": _xyz(space.green),
        b"bXYZ": _xyz(space.blue),
        b"rTRC": curve,
        b"gTRC": curve,
        b"bTRC": curve,
    }
    offset = 128 + 4 + 12 * len(tags)
    table, data = struct.pack(">I", len(tags)), b""
    for signature, value in tags.items():
        table += signature + struct.pack(">II", offset + len(data), len(value))
        data += value + bytes(-len(value) % 4)
    header = struct.pack(
        ">I4sI4s4s4s12s4s4s20xI12s48x",
        offset + len(data),
        b"",
        0x02100000,
        b"mntr",
        b"RGB ",
        b"XYZ ",
        struct.pack(">6H", 2026, 1, 1, 0, 0, 0),
        b"acsp",
        b"",
        0,
        _xyz(_D50)[8:],
    )
    return header + table + data


def _xyz(value: tuple[float, float, float]) -> bytes:
    fixed = (round(part * 65536) for part in value)
    return b"XYZ " + bytes(4) + struct.pack(">3i", *fixed)
