"""A pixel worker that somebody else has taken over, and that answers what he likes.

What is sent as a frame names the lie. A module to be run in place of `edge.pixels.worker`.
"""

from __future__ import annotations

import sys
from dataclasses import replace

from edge.pixels import worker
from edge.pixels.messages import PREFIX, Reply

PNG = b"\x89PNG\r\n\x1a\n"


def picture(body, media_type="image/png", width=8):
    return Reply(media_type=media_type, width=width, height=8), body


def frame(image, body=None, **lies):
    pixels = bytes(image.decoded_frame_bytes) if body is None else body
    return Reply(image=replace(image.decoded(), **lies)), pixels


ANSWERS = {
    "the truth": frame,
    "a picture": lambda _: picture(PNG),
    "a page": lambda _: picture(b"<script>alert(1)</script>", "text/html"),
    "a page called a picture": lambda _: picture(b"<script>alert(1)</script>"),
    "another type": lambda _: picture(PNG, "image/png\r\nSet-Cookie: a=b"),
    "no size": lambda _: picture(PNG, width=-1),
    "other rows": lambda image: frame(image, rows=9),
    "other bits": lambda image: frame(image, bits_stored=16),
    "other colours": lambda image: frame(image, photometric="\x1b]0;RGB"),
    "another syntax": lambda image: frame(image, transfer_syntax="1.2.3"),
    "more": lambda image: frame(image, bytes(image.decoded_frame_bytes + 1)),
    "nothing": lambda _: (Reply(), b""),
    "a long reason": lambda _: (Reply(error="x" * 100_000), b""),
}
DEEP = b"\x81\xa1y" + b"\x91" * 100_000 + b"\xc0"
RAW = {
    "too much": PREFIX.pack(1, 1 << 40) + b"\xc0",
    "an endless head": PREFIX.pack(1 << 31, 0) + bytes(1 << 20),
    "deep": PREFIX.pack(len(DEEP), 0) + DEEP,
    "rubbish": PREFIX.pack(4, 0) + b"\xff\xff\xff\xff",
}


def lie(self, request, body):
    name = body.rstrip(b"\0").decode()
    self._connection.sendall(RAW.get(name, b""))
    return ANSWERS.get(name, frame)(request.image)


if __name__ == "__main__":
    for kind in worker._KINDS:
        worker._KINDS[kind] = lie
    worker.main(sys.argv[1:])
