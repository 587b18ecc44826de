"""Storage commitment over a week without the line, and crashes, on a simulated clock."""

from __future__ import annotations

import asyncio

from edge import config, others
from edge.cache.changes import Changes
from edge.cache.commitments import DAY, Asked, Commitments
from edge.dimse.commitment_reports import CommitmentReports
from edge.dimse.peers import Peers
from edge.dimse.requestor import Dialer
from edge.dimse.storage_commitment import Askers
from tests.fakes.modality import CT, Modality, modality
from tests.simulation.box import Box
from tests.simulation.test_month_offline import Month


def reporter(month: Month, box: Box, peer: Modality) -> tuple[Commitments, CommitmentReports]:
    """What the service has beside the box, as it is after a start."""
    dimse = config.Dimse(
        peer=(others.Peer("CT1", "127.0.0.1", peer.port, may=("commit",)),), artim_seconds=5.0
    )
    archive = others.Archive("cloud", "https://cloud")
    whole = config.Config(dimse=dimse, cloud=config.Cloud((archive,)))
    commitments = Commitments(box.cache.database, Changes(), whole, lambda: month.now)
    reports = CommitmentReports(
        commitments,
        Askers(),
        Peers(dimse),
        Dialer(dimse),
        "EDGE",
        Changes(),
        lambda: month.now,
    )
    return commitments, reports


def asked(uid: str, copies) -> Asked:
    return Asked("CT1", uid, tuple((CT, one.sop_uid) for one in copies))


def test_what_was_asked_in_a_week_offline_is_committed_once_the_line_is_back(tmp_path):
    asyncio.run(_week(Month(tmp_path, room=1000)))


async def _week(month: Month) -> None:
    clinic, wanted = month.clinic, {}
    async with modality() as peer:
        for box in month.boxes:
            await box.start()
        clinic.way.up = False
        for day in range(1, 8):
            copies = month.study(day, 5)
            await month.take(clinic, copies)
            commitments, reports = reporter(month, clinic, peer)
            await commitments.ask(asked(f"1.9.{day}", copies))
            wanted[f"1.9.{day}"] = tuple(one.sop_uid for one in copies)
            for _ in range(6):
                assert isinstance(await clinic.step("push"), Exception)
                await reports.step()
                month.now += DAY / 6
            if day in (3, 5):
                await clinic.crash()
                await clinic.restart()
        assert peer.heard == []
        commitments, reports = reporter(month, clinic, peer)
        clinic.way.up = True
        for _ in range(20):
            for part in ("push", "verify"):
                await month._work(clinic, part)
            await reports.step()
            month.now += 60
        assert {it.transaction_uid: it.committed for it in peer.heard} == wanted
        assert len(peer.heard) == 7
        assert {it.event for it in peer.heard} == {1}
        for box in month.boxes:
            await box.stop()


def test_nothing_waits_for_ever_and_what_is_not_safe_by_then_the_device_keeps(tmp_path):
    asyncio.run(_for_ever(Month(tmp_path, room=1000)))


async def _for_ever(month: Month) -> None:
    clinic = month.clinic
    async with modality() as peer:
        for box in month.boxes:
            await box.start()
        before, after = month.study(1, 2), month.study(2, 2)
        await month.take(clinic, before)
        await month.a_day(clinic)
        clinic.way.up = False
        await month.take(clinic, after)
        commitments, reports = reporter(month, clinic, peer)
        await commitments.ask(asked("1.9", [*before, *after]))
        began = month.now
        while not peer.heard:
            await reports.step()
            month.now += DAY / 4
            assert month.now - began < 15 * DAY
        assert month.now - began > 14 * DAY
        (heard,) = peer.heard
        assert heard.committed == tuple(one.sop_uid for one in before)
        assert heard.failed == {one.sop_uid: 0x0110 for one in after}
        # It keeps its copy, and asks again once the line is there.
        clinic.way.up = True
        await month.a_day(clinic)
        await commitments.ask(asked("1.9", [*before, *after]))
        await reports.step()
        assert peer.heard[1].event == 1
        for box in month.boxes:
            await box.stop()
