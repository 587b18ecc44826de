"""What took long and failed is known for a while, by its bytes."""

from dataclasses import replace

import pytest

from edge.pixels import syntaxes
from edge.pixels.description import ImageDescription
from edge.pixels.failures import Failures
from edge.pixels.messages import Request
from edge.pixels.presentation import Presentation

IMAGE = ImageDescription(syntaxes.RLE, 64, 64, 1, "MONOCHROME2", 16, 12, 11, False)
FRAME = bytes(500)
RENDER = Request("render", IMAGE, presentation=Presentation())
PNG = Request("render", IMAGE, presentation=Presentation("image/png"))


class Clock:
    now = 100.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def failures(clock):
    return Failures(clock)


async def test_a_damaged_frame_is_damaged_in_every_form_and_no_other_frame_is(failures):
    await failures.note(RENDER, FRAME, "no pixels", seconds=20, damaged=True)
    for request in (RENDER, PNG, Request("decode", IMAGE), Request("encode", IMAGE, syntaxes.RLE)):
        assert await failures.find(request, FRAME) == "no pixels"
    assert await failures.find(RENDER, b"\1" + FRAME[1:]) == ""
    assert await failures.find(RENDER, FRAME + b"\0") == ""
    other = replace(RENDER, image=replace(IMAGE, rows=32))
    assert await failures.find(other, FRAME) == ""


async def test_what_failed_for_its_form_fails_in_that_form_only(failures):
    await failures.note(PNG, FRAME, "too large", seconds=20, damaged=False)
    assert await failures.find(PNG, FRAME) == "too large"
    assert await failures.find(RENDER, FRAME) == ""


async def test_a_failure_is_forgotten_after_some_minutes(failures, clock):
    await failures.note(RENDER, FRAME, "slow", seconds=20, damaged=True)
    clock.now += 500
    assert await failures.find(RENDER, FRAME) == "slow"
    clock.now += 200
    assert await failures.find(RENDER, FRAME) == ""


async def test_what_fails_at_once_needs_no_memory(failures):
    await failures.note(RENDER, FRAME, "short", seconds=0.1, damaged=True)
    assert await failures.find(RENDER, FRAME) == ""


async def test_only_so_many_are_remembered_and_the_oldest_go(failures):
    for number in range(300):
        await failures.note(RENDER, bytes(number), "slow", seconds=2, damaged=True)
    known = [bool(await failures.find(RENDER, bytes(number))) for number in range(300)]
    assert known == [False] * 44 + [True] * 256
