"""How far a worker is believed: an answer must be of the kind that was asked for.

A code stream may have taken the worker over (`edge.cage`), and what it says goes on into data sets,
into pages of a browser and into the cache. Owns the check of everything in an answer but the pixels
themselves, whose values nobody else can know. Promises that lengths are bounded before memory is
taken, that a description differs from the one asked about in nothing but its colours and transfer
syntax, and that a picture is of the media type that was wanted.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from edge.errors import UndecodablePixels
from edge.pixels import syntaxes
from edge.pixels.messages import Limits, Reply, Request

__all__ = ["check", "longest_answer"]

_PICTURE: Final = 4 << 26
"""Bytes; the largest picture that is made has so many pixels, and the worst coder adds a byte."""
_MAGIC: Final = {"image/jpeg": b"\xff\xd8\xff", "image/png": b"\x89PNG\r\n", "image/gif": b"GIF8"}
_DECODED: Final = ("", "RGB", "YBR_FULL")
"""Photometric Interpretations that a code stream may have that says so itself."""


def longest_answer(limits: Limits) -> int:
    """Bytes: a picture, or a frame that a coder without loss made an eighth longer."""
    return max(_PICTURE, limits.body_bytes + limits.body_bytes // 8)


def check(request: Request, reply: Reply, body: bytes) -> None:
    """Compare an answer with what was asked.

    Raises:
        UndecodablePixels: It is of another kind, so that the worker is not to be believed.
    """
    if reply.error:
        return
    if request.kind in ("render", "animate"):
        good = _is_picture(request, reply, body)
    elif request.kind == "convert":
        good = reply.image == request.image
        good = good and len(body) == request.image.decoded_frame_bytes * request.image.frames
    else:
        good = _is_frame(request, reply, body)
    if not good:
        raise UndecodablePixels("a pixel worker answered what it was not asked")


def _is_frame(request: Request, reply: Reply, body: bytes) -> bool:
    if reply.image is None:
        return False
    colours = {request.image.decoded(name).photometric for name in _DECODED}
    syntax = syntaxes.EXPLICIT_LITTLE if request.kind == "decode" else request.transfer_syntax
    if syntax == syntaxes.JPEG_2000_LOSSLESS and "RGB" in colours:
        colours.add("YBR_RCT")
    colour = reply.image.photometric
    expected = replace(request.image.decoded(), transfer_syntax=syntax, photometric=colour)
    if colour not in colours or reply.image != expected:
        return False
    return expected.encapsulated or len(body) == expected.decoded_frame_bytes


def _is_picture(request: Request, reply: Reply, body: bytes) -> bool:
    wanted = "image/gif"
    if request.kind == "render" and request.presentation is not None:
        wanted = request.presentation.media_type
    return (
        reply.media_type == wanted
        and body.startswith(_MAGIC.get(wanted, b"\0"))
        and 0 < reply.width < 1 << 16
        and 0 < reply.height < 1 << 16
    )
