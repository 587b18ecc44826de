"""The modality that ``scripts/boot-image`` sends by, to the product's own listener."""

from __future__ import annotations

import asyncio
import re
import threading
import time
from contextlib import contextmanager
from types import SimpleNamespace

import pytest

from edge.phantom import phantom
from tests.dimse.raw import PATIENCE, RecordingAdmission, serving
from tests.image.acts import Acts
from tests.image.modality import stored


class Takes(RecordingAdmission):
    """So many images; the next one it neither takes nor refuses."""

    def __init__(self, most: int) -> None:
        super().__init__()
        self.most = most
        self.is_holding = threading.Event()

    async def store_instance(self, *args, **named):
        if len(self.instances) == self.most:
            self.is_holding.set()
            await asyncio.Event().wait()
        return await super().store_instance(*args, **named)


@contextmanager
def listening(admission, **settings):
    """A listener in a thread: its port, and what ends it, whatever is connected."""
    begun, known = threading.Event(), SimpleNamespace()

    async def serve():
        known.over, known.loop = asyncio.Event(), asyncio.get_running_loop()
        async with serving(admission, **settings) as server:
            known.port = server.port
            begun.set()
            await known.over.wait()

    thread = threading.Thread(target=asyncio.run, args=(serve(),), daemon=True)
    thread.start()
    assert begun.wait(PATIENCE)

    def end():
        known.loop.call_soon_threadsafe(known.over.set)
        thread.join(PATIENCE)
        assert not thread.is_alive()

    known.end = end
    try:
        yield known
    finally:
        if thread.is_alive():
            end()


def acts_at(port, said):
    """Acts at a machine that is on: sending asks nothing of it but where its DICOM is."""
    return Acts(SimpleNamespace(sticks=(), process=True, dicom_port=port), say=said.append)


def told(said):
    return [one for one in said if "acknowledged" in one]


def test_each_image_is_acknowledged_and_there():
    study = phantom("EDGE^QEMU", "1", 5)
    admission = RecordingAdmission()
    with listening(admission) as box:
        assert list(stored(box.port, study, calling="CT1")) == [True] * 5
    assert list(admission.instances) == [image.SOPInstanceUID for image in study]
    for image in study:
        assert image.PixelData in admission.instances[image.SOPInstanceUID]


def test_one_that_is_refused_is_not_counted():
    admission = RecordingAdmission()
    admission.error = OSError("the disk is full")
    with listening(admission) as box:
        assert list(stored(box.port, phantom("EDGE^QEMU", "1", 2), calling="CT1")) == [False] * 2


def test_who_is_not_let_in_is_told_so():
    with (
        listening(RecordingAdmission(), unknown_peers="refuse") as box,
        pytest.raises(ConnectionRefusedError),
    ):
        list(stored(box.port, phantom("EDGE^QEMU", "1", 1), calling="CT1"))


def test_an_answer_that_never_comes_is_not_waited_for_for_ever():
    admission = Takes(0)
    with listening(admission) as box, pytest.raises(TimeoutError, match="no answer came"):
        list(stored(box.port, phantom("EDGE^QEMU", "1", 1), calling="CT1", seconds=0.2))


def test_of_a_study_that_is_cut_off_the_count_is_told_and_the_rest_is_sent_afterwards():
    said: list[str] = []
    admission = Takes(7)
    with listening(admission) as box:
        acts = acts_at(box.port, said)
        acts.do("send 20")
        assert admission.is_holding.wait(PATIENCE)
        acts.do("stick /nowhere")  # what else is done is not held up
        assert said[1:] == ["stick: there is no /nowhere"]
        began = time.monotonic()
        box.end()
        acts.finish(PATIENCE)
        assert time.monotonic() - began < PATIENCE
    (count,) = told(said)
    assert re.match(r"7 of 20 images of patient QEMU-\d{6}-1 were acknowledged; then ", count)
    rest = RecordingAdmission()
    with listening(rest) as box:
        acts._machine.dicom_port = box.port
        acts.do("send rest")
        acts.finish(PATIENCE)
        assert told(said)[-1].startswith("13 of 13 images of patient QEMU-")
        acts.do("send rest")
        assert said[-1] == "send: nothing is left of what was sent"
    assert len(admission.instances | rest.instances) == 20
