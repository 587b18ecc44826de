"""The doctor at work: other people's programs go wrong in every way, and each gets its sentence."""

from __future__ import annotations

import asyncio
import re
import time
from contextlib import AsyncExitStack
from dataclasses import replace
from io import BytesIO

import httpx
import pynetdicom
import pytest
from pydicom import dcmread

from edge.cache.associations import FINE, Associations, Direction, Side
from edge.config import Dimse
from edge.dimse.casebook import CaseBook
from edge.dimse.echo import echo
from edge.dimse.messages import CommandField, Element, Status
from edge.dimse.proposal import Proposal
from edge.dimse.requestor import Dialer
from edge.dimse.services import Service
from edge.errors import InstanceMismatch, NotDicom, PeerError, StorageFull
from edge.index.database import Database
from edge.others import Peer
from tests.dimse import dcmtk, raw
from tests.dimse.pki import Clinic, tls_of
from tests.dimse.raw import RecordingAdmission, connected, serving, until
from tests.samples import ct_series

CT1 = Peer("CT1", "127.0.0.1", may=("store",))
KNOWN = {"unknown_peers": "reject", "peer": (CT1,)}
PALETTE = "1.2.840.10008.5.1.4.39.1"
FIND = "1.2.840.10008.5.1.4.1.2.2.1"
QUERY = Service(
    "query",
    FIND.__eq__,
    {},
    right="query",
    transfer_syntaxes=frozenset({raw.IMPLICIT, raw.EXPLICIT}),
)


@pytest.fixture
async def associations(tmp_path):
    async with Database(tmp_path / "index.db", bytes(32)) as database:
        yield Associations(database)


@pytest.fixture
def image(tmp_path):
    (sample,) = ct_series(1, rows=16, columns=16)
    path = tmp_path / "image.dcm"
    path.write_bytes(sample.data)
    return path


async def the_one(associations):
    """The one trouble there is, once there is one."""
    await until(lambda: associations._new)
    (trouble,) = [one for one in await associations.all() if one.kind != FINE]
    assert trouble.times == 1
    assert re.search(r"\d+(\.\d+){4,}", trouble.what) is None
    return trouble


async def of_kind(associations, kind):
    return [one for one in await associations.all() if one.kind == kind]


def sides(trouble):
    return [change.side for change in trouble.changes]


async def test_a_wrong_called_title_is_corrected_on_the_device(associations, image):
    async with serving(associations=associations, **KNOWN) as server:
        said = await dcmtk.run("storescu", server.port, "-aet", "CT1", image, called="PACS")
        assert said.status != 0
        trouble = await the_one(associations)
    assert trouble.what == 'it called the AE title "PACS", but this box is "EDGE"'
    assert (trouble.ae_title, trouble.host, trouble.called) == ("CT1", "127.0.0.1", "PACS")
    assert trouble.implementation.startswith("OFFIS_DCMTK")
    assert sides(trouble) == [Side.DEVICE, Side.BOX]
    assert '"EDGE"' in trouble.changes[0].what
    assert not trouble.is_known


async def test_a_wrong_calling_title_is_told_with_the_peer_of_that_address(associations, image):
    async with serving(associations=associations, **KNOWN) as server:
        said = await dcmtk.run("storescu", server.port, "-aet", "ct01", image)
        assert said.status != 0
        trouble = await the_one(associations)
    assert trouble.what == 'it calls itself "ct01", and no peer has that AE title'
    assert sides(trouble) == [Side.DEVICE, Side.BOX]
    assert 'set its own AE title to "CT1"' in trouble.changes[0].what
    assert 'ae_title = "ct01" and host = "127.0.0.1"' in trouble.changes[1].what


async def test_a_wrong_address_is_corrected_in_the_configuration(associations, image):
    elsewhere = replace(CT1, host="10.0.0.5")
    async with serving(associations=associations, **(KNOWN | {"peer": (elsewhere,)})) as server:
        await dcmtk.run("storescu", server.port, "-aet", "CT1", image)
        trouble = await the_one(associations)
    assert trouble.what == "CT1 is expected to call from 10.0.0.5, and it calls from 127.0.0.1"
    assert 'host = "127.0.0.1"' in trouble.changes[0].what
    assert sides(trouble) == [Side.BOX, Side.DEVICE]


async def test_a_sop_class_that_is_not_offered_is_named(associations):
    async with serving(associations=associations, **KNOWN) as server:
        ae = pynetdicom.AE("CT1")
        ae.add_requested_context(PALETTE)
        ae.add_requested_context(raw.VERIFICATION)
        peer = await asyncio.to_thread(ae.associate, "127.0.0.1", server.port, ae_title="EDGE")
        trouble = await the_one(associations)
        await asyncio.to_thread(peer.release)
    assert trouble.what == "it proposed what this box does not offer: Color Palette Storage"
    (context,) = trouble.contexts
    assert (context.sop_class_uid, context.why) == (PALETTE, "not offered here")
    assert "Implicit VR Little Endian" in context.offered
    assert trouble.is_known
    assert trouble.implementation.startswith("PYNETDICOM")
    # It can do what it came for.
    assert FINE in [one.kind for one in await associations.all()]


async def test_a_missing_right_is_added_to_may(associations):
    async with serving(associations=associations, services=(QUERY,), **KNOWN) as server:
        said = await dcmtk.run(
            "findscu", server.port, "-aet", "CT1", "-S", "-k", "QueryRetrieveLevel=STUDY"
        )
        assert said.status != 0
        trouble = await the_one(associations)
    assert 'its may lacks "query"; so it can do nothing here' in trouble.what
    assert "Study Root Query/Retrieve Information Model - FIND" in trouble.what
    assert sides(trouble) == [Side.BOX]
    assert 'add "query" to may in the [[dimse.peer]] of CT1' in trouble.changes[0].what


async def test_transfer_syntaxes_that_are_not_possible_are_named_with_those_that_are(associations):
    may = replace(CT1, may=("query",))
    settings = KNOWN | {"peer": (may,)}
    async with serving(associations=associations, services=(QUERY,), **settings) as server:
        ae = pynetdicom.AE("CT1")
        ae.add_requested_context(FIND, "1.2.840.10008.1.2.4.50")
        peer = await asyncio.to_thread(ae.associate, "127.0.0.1", server.port, ae_title="EDGE")
        trouble = await the_one(associations)
        await asyncio.to_thread(peer.abort)
    assert "in no transfer syntax that is possible for that (JPEG Baseline" in trouble.what
    (context,) = trouble.contexts
    assert context.accepted == ("Implicit VR Little Endian", "Explicit VR Little Endian")
    assert "allow one of these transfer syntaxes" in trouble.changes[0].what


async def test_jpeg_alone_is_taken_and_is_no_trouble(associations, image):
    async with serving(associations=associations, **KNOWN) as server:
        ae = pynetdicom.AE("CT1")
        ae.add_requested_context(raw.CT, "1.2.840.10008.1.2.4.50")
        peer = await asyncio.to_thread(ae.associate, "127.0.0.1", server.port, ae_title="EDGE")
        await asyncio.to_thread(peer.release)
        await until(lambda: associations._new)
        (row,) = await associations.all()
    assert (row.kind, row.ae_title, row.times) == (FINE, "CT1", 1)


async def test_tls_to_the_plain_port_and_plain_to_the_port_for_tls(associations, tmp_path):
    clinic = Clinic(tmp_path / "clinic")
    ours = clinic.issue("localhost", "127.0.0.1")
    tls = tls_of(ours, None)
    async with serving(associations=associations, tls=tls) as server:
        await dcmtk.run("echoscu", server.port, "+tla", "-ic")
        first = await the_one(associations)
        assert first.what == "it speaks TLS, to the port for plain DICOM"
        assert "have it call the port for TLS (127.0.0.1:0)" in first.changes[0].what
        await dcmtk.run("echoscu", server.tls_port, "-to", "2", "-ta", "2")
        await until(lambda: associations._new)
        second, _ = await associations.all()
        await dcmtk.run("echoscu", server.tls_port, "+tla")
        await until(lambda: associations._new)
        third, *_ = await associations.all()
    assert third.what.endswith("the TLS handshake failed: it does not trust this box's certificate")
    assert sides(third) == [Side.DEVICE]
    assert "have it trust the authority" in third.changes[0].what
    assert second.what.startswith("it called the port for TLS, and could not speak it")
    assert "switch TLS on for this box" in second.changes[0].what


async def test_a_certificate_that_lacks_or_is_a_strangers_has_its_own_changes(
    associations, tmp_path
):
    clinic, other = Clinic(tmp_path / "clinic"), Clinic(tmp_path / "other")
    stranger = other.issue("ct1")
    tls = tls_of(clinic.issue("localhost", "127.0.0.1"), clinic.ca)
    async with serving(associations=associations, tls=tls) as server:
        await dcmtk.run("echoscu", server.tls_port, "+tla", "+cf", clinic.ca)
        nothing = await the_one(associations)
        shown = ("+tls", stranger.key, stranger.certificate, "+cf", clinic.ca)
        await dcmtk.run("echoscu", server.tls_port, *shown)
        await until(lambda: associations._new)
        strange, *_ = await associations.all()
    assert "it showed no certificate" in nothing.what
    assert "give it a certificate of its own" in nothing.changes[0].what
    assert "is not one that dimse.tls_ca vouches for" in strange.what
    assert "to the file that dimse.tls_ca names" in strange.changes[0].what
    assert sides(strange) == [Side.BOX, Side.DEVICE]


async def test_storescu_without_the_right_is_told_in_a_line(associations, image):
    may = replace(CT1, may=("query",))
    async with serving(associations=associations, **(KNOWN | {"peer": (may,)})) as server:
        await dcmtk.run("storescu", server.port, "-aet", "CT1", image)
        trouble = await the_one(associations)
    assert re.match(r'it proposed \d\d+ storage classes, and its may lacks "store"', trouble.what)
    (context,) = trouble.contexts
    assert re.fullmatch(r"\d\d+ storage classes", context.sop_class)
    assert "Implicit VR Little Endian" in context.offered


async def test_storescu_whose_file_fits_no_context_is_not_told_to_wait_longer(
    associations, tmp_path
):
    (sample,) = ct_series(1, rows=16, columns=16)
    path = tmp_path / "private.dcm"
    read = dcmread(BytesIO(sample.data))
    read.SOPClassUID = read.file_meta.MediaStorageSOPClassUID = "1.2.826.0.1.3680043.9.1"
    read.save_as(path)
    async with serving(associations=associations, **KNOWN) as server:
        said = await dcmtk.run("storescu", server.port, "-aet", "CT1", path)
        assert "No presentation context" in said.output
        trouble = await the_one(associations)
    assert trouble.what == "it aborted the association before it asked for anything"
    assert "another SOP class or transfer syntax" in trouble.changes[0].what


async def test_http_to_the_port_of_dicom(associations):
    async with (
        serving(associations=associations) as server,
        httpx.AsyncClient(timeout=60) as browser,
    ):
        with pytest.raises(httpx.HTTPError):
            await browser.get(f"http://127.0.0.1:{server.port}/dicom-web/studies")
        trouble = await the_one(associations)
    assert trouble.what == "it speaks HTTP, to the port for DICOM"
    assert "http.listen" in trouble.changes[0].what


async def test_an_abort_in_the_middle_is_told_with_what_was_under_way(associations):
    async with (
        serving(associations=associations, **KNOWN) as server,
        connected(server.port) as peer,
    ):
        await peer.associate(calling="CT1")
        peer.send(raw.p_data(raw.fragment(3, 3, raw.store_command())))
        peer.send(raw.p_data(raw.fragment(3, 0, bytes(16000))))
        peer.send(raw.pdu(7, bytes(4)))
        trouble = await the_one(associations)
    assert trouble.what == "it aborted the association in the middle of C-STORE"
    assert (trouble.implementation, trouble.is_known) == ("RAW_1", True)


async def test_a_connection_that_breaks_a_halt_and_an_idle_association(associations):
    settings = KNOWN | {"pdu_seconds": 0.9, "idle_seconds": 0.9, "artim_seconds": 0.9}
    async with serving(associations=associations, **settings) as server:
        async with connected(server.port) as peer:
            await peer.associate(calling="CT1")
            peer.reset()
            await until(lambda: associations._new)
        async with connected(server.port) as peer:
            await peer.associate(calling="CT1")
            peer.send(raw.p_data(raw.fragment(3, 3, raw.store_command())))
            await peer.aborted()
        async with connected(server.port) as peer:
            await peer.associate(calling="CT1")
            await peer.aborted()
        async with connected(server.port) as peer:
            assert (await peer.read_pdu())[0] == 0
        await until(lambda: len(associations._new) == 4)
        rows = {one.kind: one for one in await associations.all()}
    assert "it hung up without a release" in rows["lost: broken"].what
    assert rows["lost: broken"].changes == ()
    assert "a message came to a halt for 0.9 s" in rows["lost: stalled"].what
    assert "dimse.pdu_seconds (0.9 now)" in rows["lost: stalled"].changes[1].what
    assert "nothing came for 0.9 s" in rows["lost: idle"].what
    assert "it connected, and asked for nothing" in rows["lost: silent"].what


@pytest.mark.parametrize(
    ("error", "status", "words"),
    [
        (StorageFull("the disk is full"), "A700", "no room left for images (the disk is full)"),
        (InstanceMismatch("instance 1.2.3.4.5.6 is not"), "A900", "(instance (a UID) is not)"),
        (NotDicom("it ends too early"), "C000", "the image can't be understood"),
    ],
)
async def test_an_instance_that_is_not_stored_is_told_by_its_status(
    associations, image, error, status, words
):
    admission = RecordingAdmission()
    admission.error = error
    async with serving(admission, associations=associations, **KNOWN) as server:
        await dcmtk.run("storescu", server.port, "-aet", "CT1", image, image)
        async with asyncio.timeout(raw.PATIENCE):
            while not (rows := await of_kind(associations, "operation")):  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        (row,) = rows
    assert row.about == f"C-STORE {status}"
    assert words in row.what


async def test_a_sop_class_that_is_another_than_was_negotiated(associations):
    async with serving(associations=associations, **KNOWN) as server:
        async with connected(server.port) as peer:
            await peer.associate(calling="CT1")
            peer.store(bytes(100), sop_class="1.2.840.10008.5.1.4.1.1.4")
            assert await peer.status() == 0x0122
            await peer.release()
        trouble = await the_one(associations)
    assert trouble.about == "C-STORE 0122"
    assert "presentation context of its own SOP class" in trouble.changes[0].what


async def test_a_limit_names_the_setting(associations):
    limited = replace(CT1, max_associations=1)
    async with (
        serving(associations=associations, **(KNOWN | {"peer": (limited,)})) as server,
        connected(server.port) as first,
        connected(server.port) as second,
    ):
        await first.associate(calling="CT1")
        await second.refused(calling="CT1")
        trouble = await the_one(associations)
    assert "its max_associations is 1" in trouble.what
    assert "raise max_associations of its [[dimse.peer]]" in trouble.changes[1].what


async def test_a_server_that_stops_is_nobodys_fault(associations):
    async with AsyncExitStack() as stack, serving(associations=associations, **KNOWN) as server:
        it = await stack.enter_async_context(connected(server.port))
        await it.associate(calling="CT1")
    await asyncio.sleep(0.05)
    assert await associations.all() == []


async def test_ten_thousand_strangers_stay_bounded_and_quick(associations):
    settings = Dimse(**KNOWN)
    book = CaseBook(settings, associations)
    known = book.incoming("127.0.0.1", is_encrypted=False)
    known._other = replace(known._other, ae_title="CT1", is_known=True)
    known.lost(PeerError("it broke"), during="C-STORE")
    began = time.process_time()
    for number in range(10_000):
        case = book.incoming(
            f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}", is_encrypted=False
        )
        case.lost(PeerError("a PDU of type 63 came"), during="")
    assert time.process_time() - began < 10
    rows = await associations.all()
    assert len(rows) == 257
    assert "CT1" in [one.ae_title for one in rows]


# What we ask for.


def dialer(associations, **settings):
    dimse = Dimse(artim_seconds=1.0, pdu_seconds=1.0, **settings)
    return Dialer(dimse, casebook=CaseBook(dimse, associations))


async def test_a_peer_that_does_not_listen(associations, free_port):
    port = free_port()
    await echo(dialer(associations), Peer("WS1", "127.0.0.1", port))
    trouble = await the_one(associations)
    assert trouble.direction is Direction.OUT
    assert (trouble.ae_title, trouble.host) == ("WS1", f"127.0.0.1:{port}")
    assert trouble.what.startswith("testing it with C-ECHO: ")
    assert "nothing listens on that port" in trouble.what
    assert sides(trouble) == [Side.BOX, Side.DEVICE, Side.NETWORK]


async def test_a_peer_that_rejects_us_by_either_title(associations):
    async with serving(**KNOWN) as server:
        await echo(dialer(associations), Peer("EDGE", "127.0.0.1", server.port))
        first = await the_one(associations)
        assert 'it does not know the AE title "EDGE"' in first.what
        assert first.changes[0].side is Side.DEVICE
        await echo(dialer(associations, ae_title="CT1"), Peer("WS1", "127.0.0.1", server.port))
        await until(lambda: associations._new)
        second, _ = await associations.all()
    assert 'it does not go by the AE title "WS1"' in second.what
    assert "correct ae_title of the peer WS1" in second.changes[0].what


async def test_a_peer_that_takes_no_context_of_ours(associations):
    async with serving() as server:
        where = ("127.0.0.1", server.port, "EDGE")
        proposals = [Proposal("1.2.840.10008.5.1.4.31", (raw.IMPLICIT,))]
        async with dialer(associations).associate(*where, proposals):
            pass
        trouble = await the_one(associations)
    assert trouble.what.startswith("asking it for its worklist: it accepts no presentation context")
    assert trouble.contexts[0].why == "SOP class not supported"
    assert [one.kind for one in await associations.all()] == ["ours: contexts"]


async def test_a_status_of_a_peer_and_then_a_success(associations):
    admission = RecordingAdmission()
    admission.full = StorageFull("full")
    async with serving(admission) as server:
        calling = dialer(associations)

        async def store():
            where = ("127.0.0.1", server.port, "EDGE")
            async with calling.associate(*where, [Proposal(raw.CT, (raw.EXPLICIT,))]) as it:
                values = {
                    Element.AFFECTED_SOP_CLASS_UID: raw.CT,
                    Element.AFFECTED_SOP_INSTANCE_UID: "1.2.3.4",
                }
                return (await it.dialogue.request(1, CommandField.C_STORE, values, b"1234")).status

        assert await store() == Status.OUT_OF_RESOURCES
        trouble = await the_one(associations)
        assert trouble.about == "C-STORE A700"
        assert trouble.what.startswith("sending images to it: it answered C-STORE with status A700")
        admission.full = None
        assert await store() == Status.SUCCESS
        await until(lambda: associations._new)
    assert [one.kind for one in await associations.all()] == [FINE, "operation"]


async def test_a_peer_that_aborts_and_one_that_speaks_something_else(associations):
    async def abort(reader, writer):
        await reader.read(100)
        writer.write(raw.pdu(7, bytes(4)))

    async def greet(reader, writer):
        await reader.read(100)
        writer.write(b"SSH-2.0-something\r\n")

    for speak, words in ((abort, "the peer aborted"), (greet, "a PDU of type 53 came")):
        server = await asyncio.start_server(speak, "127.0.0.1", 0)
        async with server:
            port = server.sockets[0].getsockname()[1]
            await echo(dialer(associations), Peer("WS1", "127.0.0.1", port))
            await until(lambda: associations._new)
            assert words in (await associations.all())[0].what


def test_the_sample_is_a_ct():
    (sample,) = ct_series(1, rows=16, columns=16)
    assert dcmread(BytesIO(sample.data)).SOPClassUID == raw.CT
