"""What the service and a worker say to each other over their socket.

    message   4 bytes  length of the head, big endian
              8 bytes  length of the body
              head     MessagePack
              body     a frame, or a picture

A worker first says that it is ready, with a `Reply` whose error is what its cage lacks. Then it
answers each `Request` with one `Reply`. A request for an animation has further frames behind it:
bodies under empty heads, and at the end a message with neither. Lengths are checked on both sides
before memory is taken.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Final, Literal, TypeVar

import msgspec

from edge.errors import EdgeError
from edge.pixels.description import ImageDescription
from edge.pixels.display import Display
from edge.pixels.presentation import Presentation

__all__ = ["PREFIX", "Limits", "Reply", "Request", "pack", "unpack"]

PREFIX: Final = struct.Struct(">IQ")
"""Lengths of head and body."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Limits:
    """What a worker is given at its start; bytes and seconds."""

    memory_bytes: int
    """Beyond what it takes to have its codecs loaded."""
    cpu_seconds: int
    """For one frame."""
    body_bytes: int
    """Of the longest frame."""


@dataclass(frozen=True, slots=True)
class Request:
    """One job; the frame is the body."""

    kind: Literal["decode", "encode", "render", "animate", "convert"]
    image: ImageDescription
    """Of the frame; of ``convert``: what must come out, of the picture that is the body."""
    transfer_syntax: str = ""
    """Of ``encode``."""
    display: Display | None = None
    """Of ``render`` and ``animate``."""
    presentation: Presentation | None = None
    frames: int = 1
    """Of ``animate``: so many bodies come."""
    frame_seconds: float = 0.0
    """Of ``animate``: how long a frame is shown."""


@dataclass(frozen=True, slots=True)
class Reply:
    """The answer; the pixels are the body."""

    error: str = ""
    """Why there is none."""
    damaged: bool = False
    """It is the frame that is at fault, whatever was wanted of it."""
    image: ImageDescription | None = None
    """Of ``decode``, ``encode`` and ``convert``: what the body is."""
    media_type: str = ""
    """Of ``render`` and ``animate``, like the size of the picture."""
    width: int = 0
    height: int = 0


def pack(head: object, body_length: int) -> bytes:
    """Everything before the body; a head of None is empty."""
    packed = b"" if head is None else msgspec.msgpack.encode(head)
    return PREFIX.pack(len(packed), body_length) + packed


def unpack(head: bytes, kind: type[T]) -> T:
    """Read a head.

    Raises:
        EdgeError: It is not of that kind.
    """
    try:
        return msgspec.msgpack.decode(head, type=kind)
    except (msgspec.MsgspecError, RecursionError) as error:
        raise EdgeError("a message between service and worker can't be read") from error
