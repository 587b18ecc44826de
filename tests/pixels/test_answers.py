"""A worker that was taken over answers what it likes, and is not believed."""

from __future__ import annotations

import pytest

from edge import child
from edge.errors import UndecodablePixels
from edge.pixels import process, syntaxes
from edge.pixels.answers import longest_answer
from edge.pixels.description import ImageDescription
from edge.pixels.display import Display
from edge.pixels.messages import Limits
from edge.pixels.presentation import Presentation
from tests.pixels.pool import running

GREY = ImageDescription(syntaxes.EXPLICIT_LITTLE, 8, 8, 1, "MONOCHROME2", 16, 12, 11, False)
PICTURES = ("a page", "a page called a picture", "another type", "no size")
FRAMES = ("other rows", "other bits", "other colours", "another syntax", "more", "nothing")
BROKEN = ("too much", "an endless head", "deep", "rubbish")


@pytest.fixture
def liars(monkeypatch):
    def spawn(_words, *arguments, **options):
        return child.spawn(("-m", "tests.cage.liar"), *arguments, **options)

    monkeypatch.setattr(process, "spawn", spawn)


def named(lie):
    return lie.encode().ljust(GREY.decoded_frame_bytes, b"\0")


async def asked(pool, kind, lie):
    match kind:
        case "decode":
            return await pool.decode(GREY, named(lie))
        case "encode":
            return await pool.encode(GREY, named(lie), syntaxes.RLE)
        case "convert":
            return await pool.convert(GREY, named(lie))
        case _:
            return await pool.render(GREY, Display(), named(lie), Presentation("image/png"))


@pytest.mark.parametrize("kind", ["decode", "encode", "render", "convert"])
async def test_what_was_not_asked_is_not_believed(kind, liars, caplog):
    lies = PICTURES if kind == "render" else FRAMES
    async with running() as pool:
        for lie in lies:
            with pytest.raises(UndecodablePixels, match="not asked"):
                await asked(pool, kind, lie)
            assert pool.processes == 0, lie
        assert "keep that image" in caplog.text
        if kind == "render":
            assert (await asked(pool, kind, "a picture")).media_type == "image/png"
        elif kind == "decode":
            assert (await asked(pool, kind, "the truth")).description == GREY.decoded()


@pytest.mark.parametrize("lie", BROKEN)
async def test_an_answer_without_end_or_sense_takes_no_memory(lie, liars):
    async with running() as pool:
        with pytest.raises(UndecodablePixels, match=r"bytes|can't be understood"):
            await pool.decode(GREY, named(lie))
        assert pool.processes == 0
        assert (await pool.decode(GREY, named("the truth"))).description == GREY.decoded()


async def test_a_reason_is_cut_short(liars):
    async with running() as pool:
        with pytest.raises(UndecodablePixels) as raised:
            await pool.decode(GREY, named("a long reason"))
    assert str(raised.value) == "x" * 500


def test_the_longest_answer_is_a_picture_or_a_frame_and_not_much_more():
    small = Limits(memory_bytes=0, cpu_seconds=1, body_bytes=1000)
    large = Limits(memory_bytes=0, cpu_seconds=1, body_bytes=1 << 30)
    assert longest_answer(small) == 1 << 28
    assert longest_answer(large) == (1 << 30) + (1 << 27)
