"""What devices ask of the DICOM door stands in the record, with who they are."""

from __future__ import annotations

import asyncio

import pytest

from edge.access.audit.entry import Event, Kind, Outcome
from edge.others import Peer
from tests import samples
from tests.dimse import steps
from tests.journeys.audited import entries, running
from tests.journeys.modality import dcmsend, dcmtk
from tests.journeys.workstation import LEVEL, RETRIEVER, TITLE, getscu, movescu, receiving

COUNT = 4
PATIENT = "SYN-000004"


@pytest.fixture
def study(tmp_path):
    return samples.write_series(tmp_path / "study", COUNT, seed=4, rows=32, columns=32)


@pytest.fixture
def uid():
    [first] = samples.ct_series(1, seed=4, rows=32, columns=32)
    return first.ref.study_uid


def dimse(*peers, unknown="reject"):
    sender = Peer("MODALITY", may=("store",))
    return {"peer": (sender, RETRIEVER, *peers), "unknown_peers": unknown}


async def test_a_series_that_a_modality_sends_is_one_act(tmp_path, study, uid):
    async with running(tmp_path, dimse=dimse()) as box:
        await dcmsend(box.dimse_port, *study)
        await dcmtk("echoscu", box.dimse_port)
        [first] = await entries(box, Event.RECEIVED)
        actor = first.actor
        assert (actor.ae_title, actor.kind, actor.role) == ("MODALITY", Kind.PEER, "peer")
        assert (actor.address, actor.proof) == ("127.0.0.1", "AE title and address")
        assert (first.about.study_uid, first.about.patient_id) == (uid, PATIENT)
        [connected] = await entries(box, Event.CONNECTED)
        assert connected.actor == actor
    async with running(tmp_path, dimse=dimse()) as box:
        received = await entries(box, Event.RECEIVED, least=2)
        assert [(one.times, one.instances) for one in received] == [(1, 1), (COUNT, COUNT)]
        assert received[1].sop_classes == {"1.2.840.10008.5.1.4.1.1.2": COUNT}


async def test_what_a_workstation_asks_and_gets_is_in_the_record(tmp_path, study, uid):
    async with receiving() as station, running(tmp_path, dimse=dimse(station.peer)) as box:
        await dcmsend(box.dimse_port, *study)
        keys = ("-k", f"{LEVEL}=STUDY", "-k", "PatientName=Verysecret*", "-k", "StudyDate")
        assert (await dcmtk("findscu", box.dimse_port, "-S", *keys, calling=TITLE)).has_succeeded
        [asked] = await entries(box, Event.QUERIED)
        assert asked.query == f"{LEVEL}=STUDY&PatientName=Verysecret*"
        assert asked.what == "C-FIND, query"
        one = (f"{LEVEL}=STUDY", f"StudyInstanceUID={uid}")
        assert (await movescu(box.dimse_port, *one)).has_succeeded
        [begun] = await entries(box, Event.SENDING)
        [moved] = await entries(box, Event.SENT)
        assert begun.number < moved.number
        assert (moved.target, moved.what, moved.instances) == ("DEST", "C-MOVE", COUNT)
        assert (moved.about.study_uid, moved.about.patient_id) == (uid, PATIENT)
        assert (await getscu(box.dimse_port, tmp_path / "got", *one)).has_succeeded
        _, got = await entries(box, Event.SENT, least=2)
        assert (got.target, got.what, got.instances) == ("", "C-GET", COUNT)
        # A destination that nobody knows is a refusal, and no transfer.
        await movescu(box.dimse_port, *one, to="NOWHERE")
        *_, refused = await entries(box, Event.SENT, least=3)
        assert (refused.outcome, refused.target) == (Outcome.REFUSED, "NOWHERE")


async def test_who_is_not_let_in_is_in_the_record(tmp_path, study):
    async with running(tmp_path, dimse=dimse()) as box:
        for _ in range(3):
            assert not (await dcmtk("echoscu", box.dimse_port, calling="STRANGER")).has_succeeded
        assert not (await dcmtk("echoscu", box.dimse_port, called="OTHER")).has_succeeded
        await dcmsend(box.dimse_port, study[0])
        keys = ("-k", f"{LEVEL}=STUDY", "-k", "PatientID")
        await dcmtk("findscu", box.dimse_port, "-S", *keys)  # the modality may not
        stranger, other, lacking = await entries(box, Event.REFUSED, least=3)
        assert (stranger.actor.name, stranger.actor.address) == ("STRANGER", "127.0.0.1")
        assert "no peer has the AE title" in stranger.reason
        assert (other.actor.name, other.target) == ("MODALITY", "OTHER")
        assert lacking.reason == "its may lacks query"
        assert lacking.actor.ae_title == "MODALITY"


async def test_steps_and_their_patients_are_in_the_record(tmp_path):
    device = Peer("CT1", may=("store", "worklist"))
    async with running(tmp_path, dimse=dimse(device)) as box:

        def say():
            with steps.device(box.dimse_port) as peer:
                beginning = steps.beginning("1.2.3")
                beginning.PatientID = "4711"
                peer.create(beginning, "9.1")
                peer.create(beginning, "9.1")

        await asyncio.to_thread(say)
        created, again = await entries(box, Event.PERFORMED, least=2)
        assert created.what == "N-CREATE, modality performed procedure step"
        assert (created.about.study_uid, created.about.patient_id) == ("1.2.3", "4711")
        assert (created.outcome, again.outcome) == (Outcome.SUCCESS, Outcome.FAILED)
