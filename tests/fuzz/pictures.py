"""Frames that are nearly code streams, and descriptions that are not theirs, in real pixel workers.

A frame is decoded, or refused; what is decoded has the size that the description says, and what was
encoded without loss comes back. A worker that ends over a frame is the trouble of that frame alone:
how many did, and of what, is said at the end of a round.
"""

from __future__ import annotations

import asyncio
import functools
import logging
import struct
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass, replace
from typing import Any

from hypothesis import strategies as st

from edge.config import Pixels
from edge.dicom.raster import raster_of
from edge.dicomweb.store_pictures import _completed
from edge.errors import InvalidInstance, NotAnImage, PixelError
from edge.pixels import syntaxes
from edge.pixels.description import ImageDescription
from edge.pixels.display import Display
from edge.pixels.presentation import Presentation, Region, Viewport, Window
from tests import rasters
from tests.fuzz import corpus, trees
from tests.fuzz.mutation import BYTES, LENGTHS, changes, mutated
from tests.fuzz.targets import Target
from tests.pixels import images, pool

_LONGEST = 120.0
"""Seconds for one frame, which waits for a worker that starts anew."""
_SMALL = 16 * 1024
_ENCODERS = (
    syntaxes.EXPLICIT_LITTLE,
    syntaxes.RLE,
    syntaxes.JPEG_LS_LOSSLESS,
    syntaxes.JPEG_2000_LOSSLESS,
    syntaxes.JPEG_LOSSLESS_SV1,
)


@dataclass(frozen=True)
class Job:
    """What a worker is asked."""

    kind: str
    image: ImageDescription
    frame: bytes
    transfer_syntax: str
    shown: str
    """Attributes that say how it is shown: DICOM JSON, as text."""
    wanted: Presentation


class Deaths(logging.Handler):
    """Counts why workers ended."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.reasons: Counter[str] = Counter()

    def emit(self, record: logging.LogRecord) -> None:
        self.reasons[record.getMessage()] += 1


@contextmanager
def _workers() -> Iterator[Callable[[Any], None]]:
    deaths, logger = Deaths(), logging.getLogger("edge.pixels")
    settings = Pixels(workers=2, frame_bytes=32 * 1024**2)
    logger.addHandler(deaths)
    with asyncio.Runner() as runner:
        stack = AsyncExitStack()

        async def begin() -> Any:
            return await stack.enter_async_context(pool.running(settings, ready=1))

        workers = runner.run(begin())
        try:
            yield lambda job: runner.run(_work(workers, job, deaths))
        finally:
            runner.run(stack.aclose())
            logger.removeHandler(deaths)
            for reason, count in deaths.reasons.items():
                print(f"pixels: {count} times: {reason}", flush=True)


async def _work(workers: Any, job: Job, deaths: Deaths) -> None:
    try:
        job.image._check()
    except NotAnImage:
        return  # a description that exists is one that makes sense
    try:
        async with asyncio.timeout(_LONGEST):
            await _done(workers, job)
    except (InvalidInstance, PixelError):
        pass
    for reason in deaths.reasons:
        # A codec may crash; anything else is a defect of ours.
        assert "ended while it worked: SIG" in reason or "took longer" in reason, reason


async def _done(workers: Any, job: Job) -> None:
    image, frame = job.image, job.frame
    match job.kind:
        case "decode":
            found = await workers.decode(image, frame)
            assert len(found.data) == image.decoded_frame_bytes
        case "encode" if image.fits(job.transfer_syntax):
            found = await workers.encode(image, frame, job.transfer_syntax)
            first = await workers.decode(image, frame)
            again = await workers.decode(found.description, found.data)
            assert again.data == first.data
        case "render":
            display = Display.of(_attributes(job.shown), 1)
            await workers.render(image, display, frame, job.wanted)
        case "animate":
            display = Display.of(_attributes(job.shown), 1)

            async def frames() -> AsyncIterator[bytes]:
                yield frame
                yield frame[::-1]

            await workers.animate(image, display, frames(), job.wanted, count=2, frame_seconds=0.1)
        case "convert":
            # What it will be is found in its header, as when it is stored.
            media_type = "image/gif" if frame.startswith(b"GIF") else "image/png"
            image = _completed({}, raster_of(frame, media_type))
            await workers.convert(image, frame)


def _attributes(text: str) -> dict[str, Any]:
    found = trees.read(text)
    return found if isinstance(found, dict) else {}


# Frames


@functools.cache
def _frames() -> tuple[tuple[ImageDescription, bytes], ...]:
    """Small ones of the packaged files, each with its description."""
    found = []
    for image in images.packaged_images():
        try:
            frame = image.frame(1)
        except Exception:  # noqa: BLE001 - other tests say which can't be had
            continue
        if 0 < len(frame) <= _SMALL:
            found.append((image.description, frame))
    return tuple(found)


@dataclass(frozen=True)
class Spot:
    """A change near the beginning, where headers are, or anywhere."""

    at: int
    piece: bytes
    kind: str

    def apply(self, frame: bytes) -> bytes:
        at = self.at % (len(frame) + 1)
        if self.kind == "set":
            return frame[:at] + self.piece + frame[at + len(self.piece) :]
        if self.kind == "insert":
            return frame[:at] + self.piece + frame[at:]
        if self.kind == "delete":
            return frame[:at] + frame[at + len(self.piece) :]
        return frame[:at]


_PIECES = st.one_of(
    st.sampled_from(BYTES).map(lambda byte: bytes([byte])),
    st.sampled_from(LENGTHS).map(lambda value: struct.pack(">I", value)),
    st.sampled_from(LENGTHS).map(lambda value: struct.pack(">H", value & 0xFFFF)),
    st.sampled_from((b"\xff\xd9", b"\xff\xda", b"\xff\xc4", b"\xff\x52", b"\xff\x90", b"\xff\x93")),
    st.binary(min_size=1, max_size=6),
)
_SPOTS = st.lists(
    st.builds(
        Spot,
        st.one_of(st.integers(0, 120), st.integers(0, 800), st.integers(0, 2**16)),
        _PIECES,
        st.sampled_from(("set", "set", "set", "set", "insert", "delete", "cut")),
    ),
    max_size=4,
)


def _spoilt(frame: bytes, spots: list[Spot]) -> bytes:
    for spot in spots:
        frame = spot.apply(frame)
    return frame


_FIELDS = {
    "rows": (1, 2, 3, 16, 64, 100, 4096, 65535),
    "columns": (1, 2, 3, 16, 64, 100, 4096, 65535),
    "samples": (1, 3, 4),
    "photometric": (
        "MONOCHROME1",
        "MONOCHROME2",
        "RGB",
        "YBR_FULL",
        "YBR_FULL_422",
        "YBR_RCT",
        "PALETTE COLOR",
        "",
        "CMYK",
    ),
    "bits_allocated": (1, 8, 16, 32, 64),
    "bits_stored": (1, 7, 8, 10, 12, 16, 32),
    "high_bit": (0, 7, 11, 15, 31),
    "signed": (True, False),
    "planar": (0, 1),
    "frames": (1, 2, 70000),
    "floating": (True, False),
    "words": (True, False),
    "transfer_syntax": (
        *sorted(syntaxes.NATIVE),
        syntaxes.RLE,
        syntaxes.DEFLATED_FRAME,
        "1.2.840.10008.1.2.4.50",
        "1.2.840.10008.1.2.4.57",
        "1.2.840.10008.1.2.4.80",
        "1.2.840.10008.1.2.4.90",
        "1.2.840.10008.1.2.4.201",
        "1.2.3",
    ),
}
_REPLACED = st.lists(
    st.sampled_from(sorted(_FIELDS)).flatmap(
        lambda name: st.tuples(st.just(name), st.sampled_from(_FIELDS[name]))
    ),
    max_size=2,
).map(dict)
_FROM_FILES = st.deferred(lambda: st.sampled_from(_frames())).flatmap(
    lambda one: st.tuples(
        st.builds(
            lambda fields, keep: one[0] if keep else replace(one[0], **fields),
            _REPLACED,
            st.sampled_from((True, True, False)),
        ),
        _SPOTS.map(lambda spots: _spoilt(one[1], spots)),
    )
)
_NATIVE = st.builds(
    lambda fields, data: (
        replace(
            ImageDescription(
                transfer_syntax=syntaxes.EXPLICIT_LITTLE,
                rows=4,
                columns=4,
                samples=1,
                photometric="MONOCHROME2",
                bits_allocated=8,
                bits_stored=8,
                high_bit=7,
                signed=False,
            ),
            **fields,
        ),
        data,
    ),
    st.lists(
        st.sampled_from(sorted(_FIELDS)).flatmap(
            lambda name: st.tuples(st.just(name), st.sampled_from(_FIELDS[name]))
        ),
        max_size=6,
    ).map(dict),
    st.one_of(st.binary(max_size=64), st.integers(0, 5000).map(bytes)),
)
_PNG = ImageDescription(
    transfer_syntax=syntaxes.EXPLICIT_LITTLE,
    rows=30,
    columns=40,
    samples=3,
    photometric="RGB",
    bits_allocated=8,
    bits_stored=8,
    high_bit=7,
    signed=False,
)
_RASTERS = [
    rasters.png(rasters.noise("RGB", 8, 6)),
    rasters.png(rasters.noise("I;16", 8, 6)),
    rasters.png(rasters.noise("P", 8, 6)),
    rasters.png(rasters.noise("1", 9, 6)),
    rasters.png_of(3, 2, interlace=1, pixels=bytes(12)),
    rasters.gif(rasters.noise("P", 8, 6)),
    rasters.gif(rasters.noise("P", 8, 6), rasters.noise("P", 8, 6, 2)),
]
_CONVERTED = st.sampled_from(_RASTERS).flatmap(
    lambda raster: st.one_of(
        _SPOTS.map(lambda spots: _spoilt(raster, spots)),
        changes().map(lambda some: mutated(raster, some)),
    )
)

# How they are shown

_LUT = {
    "00283002": corpus.key("US", 16, 0, 16),
    "00283006": {"vr": "OW", "InlineBinary": "AAAAAQACAAMABAAFAAYABwAIAAkACgALAAwADQAOAA8="},
}
_SHOWN: list[dict[str, Any]] = [
    {},
    {
        "00281050": corpus.key("DS", 40, 100),
        "00281051": corpus.key("DS", 400, 1),
        "00281052": corpus.key("DS", -1024),
        "00281053": corpus.key("DS", 1e300),
        "00280120": corpus.key("US", 3),
        "00280030": corpus.key("DS", 0.1, 5),
        "00280034": corpus.key("IS", 1, 60000),
    },
    {
        "00283000": corpus.key("SQ", _LUT),
        "00283010": corpus.key("SQ", _LUT),
        "20500020": corpus.key("CS", "INVERSE"),
    },
    {
        "00280004": corpus.key("CS", "PALETTE COLOR"),
        **{f"0028110{n}": corpus.key("US", 4, 0, 16) for n in (1, 2, 3)},
        **{f"0028120{n}": {"vr": "OW", "InlineBinary": "AAAAQACAAMA="} for n in (1, 2, 3)},
    },
    {
        "00280004": corpus.key("CS", "PALETTE COLOR"),
        **{f"0028110{n}": corpus.key("US", 256, 0, 16) for n in (1, 2, 3)},
        **{
            f"0028122{n}": {"vr": "OW", "InlineBinary": "AAACAAAA//8BAAoAAAACAAEAAAAAAA=="}
            for n in (1, 2, 3)
        },
    },
    {
        "52009229": corpus.key(
            "SQ",
            {
                "00289145": corpus.key("SQ", {"00281053": corpus.key("DS", 0)}),
                "00289132": corpus.key("SQ", {"00281051": corpus.key("DS", 1e-300)}),
            },
        ),
    },
]
_HOW = st.builds(
    lambda tree, other, place: trees.turned({**tree, **other}, place),
    st.sampled_from(_SHOWN),
    st.one_of(st.just({}), st.just({}), st.sampled_from(_SHOWN)),
    st.lists(
        st.tuples(st.integers(0, 60), st.sampled_from((*trees.NUMBERS, *trees.TEXTS))), max_size=2
    ),
).map(lambda tree: trees.written(tree).decode("utf-8", "replace"))
_FLOATS = st.sampled_from((0.0, 1.0, -5.0, 2.5, 100.0, 1e9, -1e9, 1e-9, 1e300))
_WANTED = st.builds(
    Presentation,
    st.sampled_from(("image/jpeg", "image/png", "image/gif")),
    st.one_of(
        st.none(),
        st.builds(Window, _FLOATS, _FLOATS, st.sampled_from(("LINEAR", "LINEAR_EXACT", "SIGMOID"))),
    ),
    st.one_of(
        st.none(),
        st.builds(
            Viewport,
            st.sampled_from((1, 7, 64, 1000, 8000)),
            st.sampled_from((1, 7, 64, 1000)),
            st.one_of(st.none(), st.builds(Region, _FLOATS, _FLOATS, _FLOATS, _FLOATS)),
        ),
    ),
    st.sampled_from((1, 50, 90, 100)),
    st.sampled_from(("no", "yes", "srgb", "adobergb", "rommrgb")),
)
_JOBS = st.one_of(
    st.builds(
        lambda kind, pair, syntax, shown, wanted: Job(kind, *pair, syntax, shown, wanted),
        st.sampled_from(("decode", "decode", "encode", "render", "render", "animate")),
        st.one_of(_FROM_FILES, _FROM_FILES, _NATIVE),
        st.sampled_from(_ENCODERS),
        _HOW,
        _WANTED,
    ),
    st.builds(lambda data: Job("convert", _PNG, data, "", "{}", Presentation()), _CONVERTED),
)

PICTURES = (Target("pixels", _JOBS, _workers, Job, seconds=20.0, megabytes=256.0, at_a_time=600),)
