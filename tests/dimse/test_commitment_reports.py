"""Reports over the real wire: pynetdicom asks and hears; the index is real, the clock is turned."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager

import pytest

from edge import config, others
from edge.cache.associations import Associations
from edge.cache.changes import Changes
from edge.cache.commitments import DAY, Asked, Commitments
from edge.config import Dimse
from edge.dicom.identifier import write_identifier
from edge.dimse import commitment_reports
from edge.dimse.casebook import CaseBook
from edge.dimse.commitment_reports import CommitmentReports
from edge.dimse.peers import Peers
from edge.dimse.requestor import Dialer
from edge.dimse.storage_commitment import Askers, storage_commitment_service
from edge.index.database import Database
from edge.others import Peer
from tests.dimse import raw
from tests.dimse.test_storage_commitment import CONTEXT, act, request
from tests.fakes.modality import CT, Modality, modality


class Box:
    """The SCP and its reporter over an index, without an archive unless told otherwise."""

    def __init__(self, database, port, **settings):
        self.database = database
        self.now = 1_000_000.0
        peer = Peer("CT1", "127.0.0.1", port, may=("commit",))
        dimse = Dimse(
            listen="127.0.0.1:0",
            peer=(peer,),
            artim_seconds=2.0,
            pdu_seconds=10.0,
            commit_grace_seconds=0.0,
        )
        self.dimse, self.peers = dimse, Peers(dimse)
        self.changes, self.askers = Changes(), Askers()
        self.associations = Associations(database)
        whole = config.Config(dimse=dimse, **settings)
        self.commitments = Commitments(database, self.changes, whole, lambda: self.now)
        self.reports = CommitmentReports(
            self.commitments,
            self.askers,
            self.peers,
            Dialer(dimse, casebook=CaseBook(dimse, self.associations)),
            "EDGE",
            self.changes,
            lambda: self.now,
        )

    async def have(self, *sops, custody="EDGE_ONLY"):
        def write(db):
            db.execute(
                "INSERT OR IGNORE INTO studies (id, study_uid, created) VALUES (1, '1.2', 1)"
            )
            db.execute(
                "INSERT OR IGNORE INTO series (id, study_id, series_uid, created, attributes)"
                " VALUES (1, 1, '1.2.1', 1, '{}')"
            )
            db.executemany(
                "INSERT INTO instances (study_id, series_id, sop_uid, sop_class_uid,"
                f" availability, custody, origin, received, last_used)"
                f" VALUES (1, 1, ?, '{CT}', 'ONLINE', ?, 'DIMSE', 1, 1)"
                " ON CONFLICT (sop_uid) DO UPDATE SET custody = excluded.custody",
                [(sop, custody) for sop in sops],
            )

        await self.database.write(write)
        self.changes.wake()

    async def ask(self, *sops, uid="1.2.9", peer="CT1"):
        await self.commitments.ask(Asked(peer, uid, tuple((CT, sop) for sop in sops)))

    async def until_reported(self):
        """Wait until it is written down that somebody heard."""
        async with asyncio.timeout(raw.PATIENCE):
            while (await self.known()).outcome != "REPORTED":  # noqa: ASYNC110
                await asyncio.sleep(0.01)

    async def known(self):
        (one,) = (await self.commitments.page()).items
        return one

    @asynccontextmanager
    async def serving(self, *, patience=20.0):
        """The listener and the reporter, running; a report's answer may take so many seconds."""
        service = storage_commitment_service(self.commitments, self.askers)
        async with (
            raw.serving(
                services=[service],
                peer=self.dimse.peer,
                unknown_peers="reject",
                pdu_seconds=patience,
            ) as server,
            asyncio.TaskGroup() as group,
        ):
            task = group.create_task(self.reports.run())
            yield server.port
            task.cancel()


@pytest.fixture
async def database(tmp_path):
    async with Database(tmp_path / "index.db", bytes(32)) as opened:
        yield opened


async def test_a_report_comes_on_an_association_of_its_own(database):
    async with modality() as peer:
        box = Box(database, peer.port)
        await box.have("1.1", "1.2")
        await box.ask("1.1", "1.2")
        await box.reports.step()
    (heard,) = peer.heard
    assert (heard.event, heard.transaction_uid) == (1, "1.2.9")
    assert (heard.committed, heard.failed) == (("1.1", "1.2"), {})
    assert (heard.retrieve_ae, heard.as_requestor) == ("EDGE", False)
    assert (await box.known()).outcome == "REPORTED"


async def test_failures_are_reported_with_their_reasons(database):
    async with modality() as peer:
        box = Box(database, peer.port)
        await box.have("1.1")
        await box.ask("1.1", "1.7")
        box.now += 1
        await box.reports.step()
        await box.ask("1.8", uid="1.2.10")
        box.now += 1
        await box.reports.step()
    some, none = peer.heard
    assert (some.event, some.committed, some.failed) == (2, ("1.1",), {"1.7": 0x0112})
    assert (none.event, none.committed, none.failed) == (2, (), {"1.8": 0x0112})
    assert none.retrieve_ae == ""
    rows = {(one.direction, one.kind): one for one in await box.associations.all()}
    assert rows.keys() == {("in", "commitment"), ("out", "fine")}
    told = rows["in", "commitment"]
    assert (told.ae_title, told.about, told.times) == ("CT1", "0112", 2)
    assert "was told no of some images: 1 are not here" in told.what


async def test_the_doctor_says_what_keeps_a_report_from_its_peer(database):
    async with modality(status=0x0110) as peer:
        box = Box(database, peer.port)
        await box.have("1.1")
        await box.ask("1.1")
        await box.reports.step()
        await box.ask("1.1", uid="1.2.10", peer="GONE")
        await box.reports.step()
    rows = {one.ae_title: one for one in await box.associations.all()}
    assert rows["CT1"].about == "N-EVENT-REPORT 0110"
    assert rows["CT1"].what.startswith("reporting storage commitment to it: it answered")
    assert rows["GONE"].what == "reporting storage commitment to it: it is not said where it is"


async def test_many_transactions_go_over_one_association(database):
    async with modality() as peer:
        box = Box(database, peer.port)
        await box.have("1.1")
        for number in range(20):
            await box.ask("1.1", uid=f"1.9.{number}")
        await box.reports.step()
    assert [it.transaction_uid for it in peer.heard] == [f"1.9.{number}" for number in range(20)]


async def test_thousands_of_instances_are_one_report(database):
    sops = [f"1.2.826.0.1.3680043.8.498.{number}" for number in range(5000)]
    async with modality() as peer:
        box = Box(database, peer.port)
        await box.have(*sops)
        await box.ask(*sops)
        await box.reports.step()
    assert peer.heard[0].committed == tuple(sops)


async def test_a_peer_that_is_off_is_tried_again_and_hears_it_once_it_is_on(database):
    peer = Modality()
    box = Box(database, peer.port)
    await box.have("1.1")
    await box.ask("1.1")
    await box.reports.step()
    known = await box.known()
    assert (known.outcome, known.tries) == ("", 1)
    assert f"127.0.0.1:{peer.port} can't be reached" in known.reason
    standing = (await box.commitments.page()).items[0]
    assert standing.retry_at == box.now + 5.0
    await asyncio.to_thread(peer.switch_on)
    try:
        await box.reports.step()
        assert not peer.heard  # not before its time
        box.now += 5.0
        await box.reports.step()
    finally:
        await asyncio.to_thread(peer.switch_off)
    assert len(peer.heard) == 1
    assert (await box.known()).outcome == "REPORTED"


async def test_a_peer_that_refuses_for_a_week_is_given_up_and_can_be_retried(database):
    async with modality(status=0x0110) as peer:
        box = Box(database, peer.port)
        await box.have("1.1")
        await box.ask("1.1")
        for _ in range(7):
            await box.reports.step()
            box.now += 2 * DAY
        assert (await box.known()).outcome == ""
        await box.reports.step()
        known = await box.known()
        assert (known.outcome, known.tries) == ("GIVEN_UP", 8)
        assert known.reason == "it answered the report with status 0110"
        box.now += DAY
        await box.reports.step()
        assert len(peer.heard) == 8
        peer.status = 0
        assert await box.commitments.retry(None) == 1
        await box.reports.step()
        assert (await box.known()).outcome == "REPORTED"


async def test_one_report_that_is_refused_holds_up_no_other(database):
    async with modality() as peer:
        box = Box(database, peer.port)
        await box.have("1.1")
        for number in range(3):
            await box.ask("1.1", uid=f"1.9.{number}")
        answers = [0, 0x0110, 0]
        hear = peer._hear

        def in_turn(event, *, as_requestor):
            hear(event, as_requestor=as_requestor)
            return answers[len(peer.heard) - 1], None

        peer._hear = in_turn
        await box.reports.step()
    rows = await database.read("SELECT outcome FROM commitments ORDER BY id")
    assert rows == [("REPORTED",), ("",), ("REPORTED",)]


async def test_a_report_that_breaks_the_association_holds_up_no_other(database):
    async with modality() as peer:
        box = Box(database, peer.port)
        await box.have("1.1")
        for number in range(3):
            await box.ask("1.1", uid=f"1.9.{number}")
        hear = peer._hear

        def breaks(event, *, as_requestor):
            answer = hear(event, as_requestor=as_requestor)
            if peer.heard[-1].transaction_uid == "1.9.0":
                event.assoc.abort()
            return answer

        peer._hear = breaks
        await box.reports.step()
        assert peer.heard[0].transaction_uid == "1.9.0"
        box.now += 5.0
        await box.reports.step()  # the first comes last now, after all others
    rows = dict(await database.read("SELECT transaction_uid, outcome FROM commitments"))
    assert rows == {"1.9.0": "", "1.9.1": "REPORTED", "1.9.2": "REPORTED"}


async def test_a_peer_that_is_off_is_called_once_for_all_that_it_is_to_hear(database):
    peer = Modality()
    box = Box(database, peer.port)
    await box.have("1.1")
    for number in range(300):
        await box.ask("1.1", uid=f"1.9.{number}")
    await box.reports.step()
    assert await database.read(
        "SELECT DISTINCT tries, retry_at - ? FROM commitments", (box.now,)
    ) == [(1, 5.0)]


async def test_a_peer_without_the_context_or_an_address_is_a_reason_to_read(database):
    async with modality(accepts_context=False) as peer:
        box = Box(database, peer.port)
        await box.have("1.1")
        await box.ask("1.1")
        await box.reports.step()
        assert "does not accept reports" in (await box.known()).reason
    await box.commitments.forget(["1.2.9"])
    await box.ask("1.1", peer="ELSEWHERE")
    await box.reports.step()
    assert "no [[dimse.peer]] says the host" in (await box.known()).reason


async def test_a_peer_that_hangs_holds_up_no_other(database):
    async def silent(reader, writer):
        await reader.read()
        writer.close()

    hanging = await asyncio.start_server(silent, "127.0.0.1", 0)
    async with hanging, modality(ae_title="CT2") as peer:
        box = Box(database, hanging.sockets[0].getsockname()[1])
        second = Peer("CT2", "127.0.0.1", peer.port, may=("commit",))
        box.reports._peers = Peers(Dimse(peer=(*box.dimse.peer, second)))
        await box.have("1.1")
        await box.ask("1.1")
        await box.ask("1.1", peer="CT2")
        step = asyncio.ensure_future(box.reports.step())
        await peer.hears(1)
        assert not step.done()
        await step
    rows = dict(await database.read("SELECT peer, reason FROM commitments"))
    assert "did not answer the association request" in rows["CT1"]
    assert rows["CT2"] == ""


async def test_who_stays_associated_hears_it_there(database):
    async with modality() as peer:
        box = Box(database, peer.port)
        await box.have("1.1")
        async with box.serving() as port:
            assert await asyncio.to_thread(peer.ask, port, ["1.1"], "1.2.9", stay=20) == 0
            await box.until_reported()
        (heard,) = peer.heard
        assert (heard.event, heard.as_requestor) == (1, True)


async def test_who_stays_associated_while_it_becomes_safe_hears_it_there(database):
    async with modality() as peer:
        cloud = config.Cloud((others.Archive("cloud", "https://cloud"),))
        box = Box(database, peer.port, cloud=cloud)
        await box.have("1.1")
        async with box.serving() as port:
            asking = asyncio.ensure_future(
                asyncio.to_thread(peer.ask, port, ["1.1"], "1.2.9", stay=20)
            )
            await asyncio.sleep(1.0)
            assert not peer.heard
            await box.have("1.1", custody="VERIFIED")
            assert await asking == 0
        (heard,) = peer.heard
        assert (heard.committed, heard.as_requestor) == (("1.1",), True)


async def test_who_closes_at_once_is_called(database):
    async with modality() as peer:
        box = Box(database, peer.port)
        await box.have("1.1")
        async with box.serving() as port:
            assert await asyncio.to_thread(peer.ask, port, ["1.1"], "1.2.9") == 0
            (heard,) = await peer.hears(1)
        assert not heard.as_requestor


async def test_who_refuses_it_on_its_own_association_is_called(database):
    async with modality() as peer:
        box = Box(database, peer.port)
        await box.have("1.1")
        hear = peer._hear

        def only_called(event, *, as_requestor):
            hear(event, as_requestor=as_requestor)
            return (0x0110 if as_requestor else 0), None

        peer._hear = only_called
        async with box.serving() as port:
            await asyncio.to_thread(peer.ask, port, ["1.1"], "1.2.9", stay=20)
            await peer.hears(2)
        assert [one.as_requestor for one in peer.heard] == [True, False]


async def test_who_says_nothing_on_its_own_association_is_called(database):
    """It asked, stays, and reads nothing: after the time for an answer it is called."""
    async with modality(ae_title="CT1") as peer:
        box = Box(database, peer.port)
        await box.have("1.1")
        async with box.serving(patience=1.0) as port, raw.connected(port) as mute:
            await mute.associate(CONTEXT, calling="CT1")
            assert await act(mute, write_identifier(request("1.1"), raw.EXPLICIT)) == (0, "")
            (heard,) = await peer.hears(1)
        assert not heard.as_requestor


async def test_who_releases_while_a_report_is_under_way_is_called_at_once(database, monkeypatch):
    monkeypatch.setattr(commitment_reports, "GATHER", 0.05)
    async with modality(ae_title="CT1") as peer:
        box = Box(database, peer.port)
        await box.have("1.1")
        async with box.serving() as port, raw.connected(port) as hasty:
            await hasty.associate(CONTEXT, calling="CT1")
            assert await act(hasty, write_identifier(request("1.1"), raw.EXPLICIT)) == (0, "")
            assert (await hasty.response())[0x1002] == b"\1\0"
            hasty.send(raw.pdu(5, bytes(4)))
            async with asyncio.timeout(15):  # less than the patience with an answer
                await peer.hears(1)


async def test_logs_name_no_instance(database, caplog):
    caplog.set_level("INFO")
    async with modality(status=0x0110) as peer:
        box = Box(database, peer.port)
        await box.have("1.2.3.4.5")
        await box.ask("1.2.3.4.5")
        await box.reports.step()
        peer.status = 0
        box.now += 60
        await box.reports.step()
    lines = [record.getMessage() for record in caplog.records if record.name.startswith("edge")]
    assert any("CT1: storage commitment can't be reported: it answered" in line for line in lines)
    assert any("was told that 1 instances are committed, and 0 are not" in line for line in lines)
    assert not any("1.2.3.4.5" in line for line in lines)
