"""Frames through worker processes: right pixels, and limits that hold."""

import asyncio
import contextlib
import io
import os
import signal
import zlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from edge.config import Pixels
from edge.errors import PixelBudgetExceeded, PixelWorkersBusy, UndecodablePixels
from edge.pixels import syntaxes
from edge.pixels.description import ImageDescription
from edge.pixels.display import Display
from edge.pixels.native import array_of
from edge.pixels.presentation import Presentation, Viewport
from edge.pixels.turns import ASKER
from tests.pixels.images import NOT_PYDICOM, named, packaged_images, pydicom_frames
from tests.pixels.pool import running

GREY = ImageDescription(syntaxes.EXPLICIT_LITTLE, 64, 64, 1, "MONOCHROME2", 16, 12, 11, False)
FRAME = np.arange(64 * 64, dtype="<u2").tobytes()
COMPRESSED = (
    syntaxes.RLE,
    syntaxes.JPEG_LOSSLESS_SV1,
    syntaxes.JPEG_LS_LOSSLESS,
    syntaxes.JPEG_2000_LOSSLESS,
)


def processes_of(pool):
    """The process ids of a pool's workers."""
    mine, found = os.getpid(), []
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            try:
                parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
                words = (entry / "cmdline").read_bytes().split(b"\0")
            except OSError:
                continue
            if parent == mine and b"edge.pixels.worker" in words:
                found.append(int(entry.name))
    assert len(found) == pool.processes
    return found


def limits_of(process):
    lines = Path(f"/proc/{process}/limits").read_text().splitlines()
    return {line[:26].strip(): line[26:].split()[0] for line in lines[1:]}


def is_there(process):
    return Path(f"/proc/{process}").exists()


async def test_every_packaged_image_decodes_to_the_pixels_that_pydicom_sees(workers):
    compared = 0
    for image in packaged_images():
        expected = [] if image.name in NOT_PYDICOM else pydicom_frames(image)
        for number in range(1, image.description.frames + 1):
            found = await workers.decode(image.description, image.frame(number))
            assert found.description.transfer_syntax == syntaxes.EXPLICIT_LITTLE
            pixels = array_of(found.description, found.data)
            if expected:
                theirs = expected[number - 1].reshape(pixels.shape)
                assert np.array_equal(pixels, theirs), image.name
                compared += 1
    assert compared > 100


async def test_what_pydicom_can_not_decode_equals_its_uncompressed_twin(workers):
    swapped, plain = named("SC_rgb_small_odd_big_endian.dcm"), named("SC_rgb_small_odd.dcm")
    found = await workers.decode(swapped.description, swapped.frame(1))
    assert found.data == plain.frame(1)
    lossy, other = named("JPEG-lossy.dcm"), named("JPGExtended.dcm")
    first = await workers.decode(lossy.description, lossy.frame(1))
    second = await workers.decode(other.description, other.frame(1))
    assert max(np.frombuffer(first.data, "<u2")) == 264
    assert first.data == second.data


async def test_every_packaged_image_survives_every_lossless_syntax_that_fits_it(workers):
    tried = 0
    for image in packaged_images():
        decoded = await workers.decode(image.description, image.frame(1))
        for syntax in COMPRESSED:
            if not decoded.description.fits(syntax):
                continue
            encoded = await workers.encode(image.description, image.frame(1), syntax)
            assert encoded.description.transfer_syntax == syntax
            again = await workers.decode(encoded.description, encoded.data)
            assert again.data == decoded.data, (image.name, syntax)
            assert again.description == decoded.description
            tried += 1
    assert tried > 200


@pytest.mark.parametrize("syntax", COMPRESSED)
async def test_bits_that_are_not_stored_ones_survive_too(workers, syntax):
    # Overlays stood there once (PS3.5 8.1.2), and lossless means all that was stored.
    noise = np.random.default_rng(7).integers(0, 1 << 16, 64 * 64, "u2").tobytes()
    encoded = await workers.encode(GREY, noise, syntax)
    assert (await workers.decode(encoded.description, encoded.data)).data == noise


async def test_a_frame_beyond_the_budget_is_refused_before_a_process_is_started():
    async with running(Pixels(frame_bytes=8191)) as pool:
        with pytest.raises(PixelBudgetExceeded, match="8192 bytes"):
            await pool.decode(GREY, FRAME)
        assert pool.processes == 0


async def test_a_codestream_of_another_size_than_the_data_set_says_is_not_decoded(workers):
    for image in packaged_images():
        if image.description.encapsulated:
            lying = replace(image.description, columns=image.description.columns + 2)
            with pytest.raises(UndecodablePixels):
                await workers.decode(lying, image.frame(1))


async def test_frames_that_are_cut_off_are_errors_and_no_pictures(workers):
    for image in packaged_images():
        frame = image.frame(1)
        for length in (0, 1, len(frame) // 2):
            with pytest.raises(UndecodablePixels):
                await workers.decode(image.description, frame[:length])


async def test_damaged_codestreams_harm_nobody_else(workers):
    random = np.random.default_rng(3)
    for image in packaged_images():
        if not image.description.encapsulated or image.description.frames > 1:
            continue
        for _ in range(12):
            frame = bytearray(image.frame(1))
            for position in random.integers(0, len(frame), 8):
                frame[position] = random.integers(0, 256)
            try:
                await workers.decode(image.description, bytes(frame))
            except UndecodablePixels:
                continue
    assert (await workers.decode(GREY, FRAME)).data == FRAME


async def test_a_deflated_frame_inflates_to_its_size_and_no_further(workers):
    bomb = replace(GREY, transfer_syntax=syntaxes.DEFLATED_FRAME)
    deflater = zlib.compressobj(wbits=-15)
    frame = deflater.compress(bytes(50_000_000)) + deflater.flush()
    assert (await workers.decode(bomb, frame)).data == bytes(8192)
    with pytest.raises(UndecodablePixels):
        await workers.decode(bomb, b"\x4b\x04\x00")


async def test_a_worker_that_outgrows_its_memory_fails_that_frame_alone():
    async with running() as pool:
        pool._limits = replace(pool._limits, memory_bytes=16 * 1024**2)
        large = replace(GREY, rows=4000, columns=4000)
        with pytest.raises(UndecodablePixels, match=r"memory|ended their decoder"):
            await pool.decode(large, bytes(4000 * 4000 * 2))
        assert (await pool.decode(GREY, FRAME)).data == FRAME


async def test_the_longest_frame_fits_into_a_workers_memory():
    side = 2048
    large = replace(GREY, rows=side, columns=side, bits_stored=16, high_bit=15)
    noise = np.random.default_rng(2).integers(0, 1 << 16, side * side, "u2").tobytes()
    async with running(Pixels(workers=1, frame_bytes=len(noise))) as pool:
        for syntax in COMPRESSED:
            encoded = await pool.encode(large, noise, syntax)
            assert (await pool.decode(encoded.description, encoded.data)).data == noise
        picture = await pool.render(large, Display(), noise, Presentation("image/png"))
        assert (picture.width, picture.height) == (side, side)


async def test_a_worker_has_given_up_files_children_and_core_dumps(workers):
    await workers.decode(GREY, FRAME)
    (process,) = processes_of(workers)
    soft = limits_of(process)
    assert soft["Max core file size"] == "0"
    assert soft["Max file size"] == "0"
    assert soft["Max processes"] == "0"
    assert int(soft["Max open files"]) <= 16
    assert int(soft["Max cpu time"]) <= 30


async def test_a_frame_that_takes_too_long_is_ended_and_the_next_one_is_served():
    async with running(Pixels(workers=1, seconds=1.0)) as pool:
        await pool.decode(GREY, FRAME)
        (process,) = processes_of(pool)
        os.kill(process, signal.SIGSTOP)
        with pytest.raises(UndecodablePixels, match="took longer than 5 s"):
            await pool.decode(GREY, FRAME)
        other = FRAME[::-1]
        assert (await pool.decode(GREY, other)).data == other
        assert processes_of(pool) != [process]


async def test_a_frame_that_took_too_long_is_not_tried_again_in_whatever_form():
    async with running(Pixels(workers=1, seconds=1.0)) as pool:
        await pool.decode(GREY, b"\1" * len(FRAME))
        (process,) = processes_of(pool)
        os.kill(process, signal.SIGSTOP)
        # Whoever asked is gone before it is known: it is known all the same.
        doomed = asyncio.ensure_future(pool.render(GREY, Display(), FRAME, Presentation()))
        await asyncio.sleep(0.2)
        doomed.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await doomed
        other = FRAME[::-1]
        assert (await pool.decode(GREY, other)).data == other
        before = processes_of(pool)
        for presentation in (Presentation(), Presentation("image/png")):
            with pytest.raises(UndecodablePixels, match="took longer than 5 s"):
                await pool.render(GREY, Display(), FRAME, presentation)
        with pytest.raises(UndecodablePixels, match="took longer than 5 s"):
            await pool.decode(GREY, FRAME)
        assert processes_of(pool) == before


async def test_a_frame_that_takes_too_much_work_is_ended():
    async with running(Pixels(workers=1, seconds=1.0)) as pool:
        large = replace(GREY, rows=7000, columns=7000)
        noise = np.random.default_rng(5).integers(0, 4096, 7000 * 7000, "u2").tobytes()
        with pytest.raises(UndecodablePixels, match="took"):
            await pool.encode(large, noise, syntaxes.JPEG_2000_LOSSLESS)
        assert (await pool.decode(GREY, FRAME)).data == FRAME


async def test_a_crash_costs_the_frame_that_caused_it_and_no_other():
    async with running() as pool:
        await pool.decode(GREY, FRAME)
        (process,) = processes_of(pool)
        os.kill(process, signal.SIGSTOP)
        doomed = asyncio.ensure_future(pool.decode(GREY, FRAME))
        behind = asyncio.ensure_future(pool.decode(GREY, FRAME))
        await asyncio.sleep(0.1)
        os.kill(process, signal.SIGSEGV)
        os.kill(process, signal.SIGCONT)
        with pytest.raises(UndecodablePixels, match="SIGSEGV"):
            await doomed
        assert (await behind).data == FRAME


async def test_a_waiter_that_goes_away_harms_no_other(workers):
    await workers.decode(GREY, FRAME)
    waiting = [asyncio.ensure_future(workers.decode(GREY, FRAME)) for _ in range(20)]
    await asyncio.sleep(0)
    for task in waiting[::2]:
        task.cancel()
    answers = await asyncio.gather(*waiting, return_exceptions=True)
    assert all(isinstance(answer, asyncio.CancelledError) for answer in answers[::2])
    assert all(answer.data == FRAME for answer in answers[1::2])


async def test_only_so_many_wait_and_only_few_hold_a_frame(workers):
    holding = most = 0

    async def read():
        nonlocal holding, most
        holding += 1
        most = max(most, holding)
        await asyncio.sleep(0)
        return FRAME

    async def ask():
        nonlocal holding
        answer = await workers.decode(GREY, read)
        holding -= 1
        return answer

    answers = await asyncio.gather(*(ask() for _ in range(400)), return_exceptions=True)
    busy = [answer for answer in answers if isinstance(answer, PixelWorkersBusy)]
    assert 0 < len(busy) < 400
    assert all(answer.data == FRAME for answer in answers if answer not in busy)
    assert most <= 2


async def test_who_wants_one_frame_does_not_wait_for_all_that_somebody_else_wants(workers):
    answered = []

    async def ask(asker):
        ASKER.set(asker)
        await workers.decode(GREY, FRAME)
        answered.append(asker)

    async with asyncio.TaskGroup() as group:
        for _ in range(100):
            group.create_task(ask("greedy"))
        await asyncio.sleep(0)
        group.create_task(ask("other"))
    assert len(answered) == 101
    assert answered.index("other") < 5


async def test_an_idle_process_is_ended_and_started_again_when_it_is_needed():
    async with running(Pixels(workers=1), idle_seconds=0.2) as pool:
        await pool.decode(GREY, FRAME)
        (first,) = processes_of(pool)
        for _ in range(100):
            if pool.processes:
                await asyncio.sleep(0.05)
        assert processes_of(pool) == []
        await pool.decode(GREY, FRAME)
        assert processes_of(pool) != [first]


async def test_a_process_is_ready_before_the_first_frame_and_again_after_a_crash():
    async def found(pool):
        for _ in range(200):
            if pool.processes:
                break
            await asyncio.sleep(0.05)
        (process,) = processes_of(pool)
        return process

    async with running(Pixels(workers=1), ready=1, idle_seconds=0.2) as pool:
        first = await found(pool)
        await asyncio.sleep(0.5)
        assert processes_of(pool) == [first]
        os.kill(first, signal.SIGSTOP)
        doomed = asyncio.ensure_future(pool.decode(GREY, FRAME))
        await asyncio.sleep(0.1)
        os.kill(first, signal.SIGKILL)
        with pytest.raises(UndecodablePixels, match="SIGKILL"):
            await doomed
        assert await found(pool) != first


def _runs(pid):
    """Whether a child has not ended; one that nobody waited for yet is a zombie."""
    return os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None


async def test_a_process_that_ended_while_it_had_nothing_to_do_costs_no_frame(caplog):
    async with running(Pixels(workers=1), ready=1) as pool:
        await pool.decode(GREY, FRAME)
        (first,) = processes_of(pool)
        os.kill(first, signal.SIGKILL)
        async with asyncio.timeout(30):
            while _runs(first):  # noqa: ASYNC110 - there is no event to wait for
                await asyncio.sleep(0.05)
        await asyncio.sleep(0.2)
        assert (await pool.decode(GREY, FRAME)).data == FRAME
    assert "while it had nothing to do" in caplog.text


async def test_leaving_the_pool_leaves_no_process():
    async with running(Pixels(workers=2)) as pool:
        await asyncio.gather(*(pool.decode(GREY, FRAME) for _ in range(8)))
        pids = processes_of(pool)
        assert pids
    assert not any(map(is_there, pids))


async def test_frames_become_one_animation_and_an_error_in_it_stays_in_it(workers):
    async def frames(count, broken=-1):
        for number in range(count):
            yield b"short" if number == broken else FRAME

    wanted = Presentation("image/gif", viewport=Viewport(32, 32))
    options = {"count": 5, "frame_seconds": 0.1}
    picture = await workers.animate(GREY, Display(), frames(5), wanted, **options)
    assert picture.data.startswith(b"GIF89a")
    assert (picture.width, picture.height) == (32, 32)
    with pytest.raises(UndecodablePixels, match="5 bytes instead of 8192"):
        await workers.animate(GREY, Display(), frames(5, broken=3), wanted, **options)
    assert (await workers.decode(GREY, FRAME)).data == FRAME


async def test_a_frame_without_bytes_does_not_end_an_animation(workers, caplog):
    async def frames():
        for frame in (FRAME, b"", FRAME):
            yield frame

    options = {"count": 3, "frame_seconds": 0.1}
    for _ in range(2):
        with pytest.raises(UndecodablePixels, match="bytes instead of 8192"):
            await workers.animate(GREY, Display(), frames(), Presentation(), **options)
    assert "ended" not in caplog.text


async def test_single_frames_do_not_wait_for_animations(workers):
    asked, goes_on = asyncio.Event(), asyncio.Event()

    async def frames():
        yield FRAME
        asked.set()
        await goes_on.wait()
        yield FRAME

    async def animate():
        return await workers.animate(
            GREY, Display(), frames(), Presentation("image/gif"), count=2, frame_seconds=0.1
        )

    animations = [asyncio.ensure_future(animate()) for _ in range(4)]
    await asyncio.wait_for(asked.wait(), 60)
    assert (await asyncio.wait_for(workers.decode(GREY, FRAME), 60)).data == FRAME
    assert not any(animation.done() for animation in animations)
    goes_on.set()
    pictures = await asyncio.gather(*animations)
    assert all(picture.data.startswith(b"GIF89a") for picture in pictures)


async def test_an_animation_longer_than_a_gif_can_say_is_shown_faster(workers):
    async def frames():
        for _ in range(150):
            yield FRAME  # equal ones are one that is shown for the sum of their times

    wanted = Presentation("image/gif", viewport=Viewport(8, 8))
    picture = await workers.animate(
        GREY, Display(), frames(), wanted, count=150, frame_seconds=400.0
    )
    with Image.open(io.BytesIO(picture.data)) as image:
        assert 600_000 < image.info["duration"] <= 655_350


async def test_an_animation_whose_source_fails_says_so(workers):
    async def frames():
        yield FRAME
        raise UndecodablePixels("no second frame")

    with pytest.raises(UndecodablePixels, match="no second frame"):
        await workers.animate(GREY, Display(), frames(), Presentation(), count=2, frame_seconds=0.1)
    assert (await workers.decode(GREY, FRAME)).data == FRAME
