"""A device that reports its steps, a RIS that hears of them, and the box between, restarted."""

from __future__ import annotations

import asyncio

import pytest

from edge.app import Appliance
from edge.others import Peer
from tests import samples
from tests.dimse import steps
from tests.journeys import modality
from tests.journeys.box import settings

STUDY = list(samples.ct_series(3, rows=16, columns=16))
REFS = [one.ref for one in STUDY]


@pytest.fixture
def configured(tmp_path, free_port):
    """The box's settings, and the port of the RIS."""
    port = free_port()
    peers = (
        Peer("CT1", may=("store", "worklist")),
        Peer("RIS", "127.0.0.1", port, may=("query",), forward_mpps=True, notify=True),
    )
    return settings(tmp_path / "box", dimse={"peer": peers}), port


def say(port, call):
    def talk():
        with steps.device(port) as device:
            return call(device)[0].Status

    return asyncio.to_thread(talk)


async def test_from_the_first_word_of_a_device_to_the_ris(configured, tmp_path):
    config, ris_port = configured
    begin, end = steps.beginning(REFS[0].study_uid), steps.ending(REFS)
    for one in STUDY:
        path = tmp_path / "study" / f"{one.ref.sop_uid}.dcm"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(one.data)

    async with Appliance(config) as box:  # the RIS is away
        assert await say(box.dimse_port, lambda device: device.create(begin, "9.1")) == 0
        await modality.send(box.dimse_port, sorted((tmp_path / "study").iterdir()))
    async with Appliance(config) as box:
        status = (await box.status()).as_json()["procedures"]
        assert (status["coming_in"], status["in_progress"], status["untold"]) == (1, 1, 1)
        assert await say(box.dimse_port, lambda device: device.set(end, "9.1")) == 0

    manager = steps.listening(port=ris_port)
    ris = await asyncio.to_thread(manager.__enter__)
    try:
        async with Appliance(config) as box, asyncio.timeout(60):
            await box.cache.database.write(lambda db: db.execute("DELETE FROM outbox_peers"))
            box.changes.wake()
            while not ris.notifications():  # noqa: ASYNC110 - it is another's
                await asyncio.sleep(0.05)
            while (status := await box.status()).procedures.untold:  # noqa: ASYNC110
                await asyncio.sleep(0.05)
            assert status.procedures.coming_in == 0
    finally:
        await asyncio.to_thread(manager.__exit__, None, None, None)
    assert ris.about("9.1") == [("N-CREATE", "IN PROGRESS"), ("N-SET", "COMPLETED")]
    (said,) = ris.notifications()
    assert said.StudyInstanceUID == REFS[0].study_uid
    assert said.ReferencedPerformedProcedureStepSequence[0].ReferencedSOPInstanceUID == "9.1"
    named = said.ReferencedSeriesSequence[0].ReferencedSOPSequence
    assert {one.ReferencedSOPInstanceUID for one in named} == {ref.sop_uid for ref in REFS}
    assert {(one.InstanceAvailability, one.RetrieveAETitle) for one in named} == {
        ("ONLINE", "EDGE")
    }
