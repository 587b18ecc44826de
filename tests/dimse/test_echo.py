"""The way back, tried against acceptors of all kinds: each failure has its own plain words."""

from __future__ import annotations

import asyncio
import socket
from contextlib import asynccontextmanager
from pathlib import Path

from edge.access.dicom_tls import DicomTls
from edge.config import Dimse, Http
from edge.dimse.echo import echo, echo_named
from edge.dimse.peers import Peers
from edge.dimse.requestor import Dialer
from edge.others import Peer
from tests.dimse import raw
from tests.dimse.pki import SECRET, Clinic, tls_of
from tests.dimse.test_requestor import acceptor, accepts, silent

OURS = Dimse(ae_title="EDGE", artim_seconds=1.0, pdu_seconds=1.0)


def peer(port, host="127.0.0.1", title="EDGE", **fields):
    return Peer(title, host, port, **fields)


async def tried(to, settings=OURS, tls=None):
    return await echo(Dialer(settings, tls=tls), to)


async def test_a_peer_that_answers_is_said_to():
    async with raw.serving() as server:
        reached = await tried(peer(server.port))
    assert reached.works
    assert reached.found == "it answers C-ECHO"
    assert reached.where == f"127.0.0.1:{server.port}"
    assert reached.milliseconds > 0


async def test_dcmtks_storescp_answers(free_port):
    port = free_port()
    process = await asyncio.create_subprocess_exec("storescp", "--ignore", str(port))
    try:
        reached = None
        async with asyncio.timeout(raw.PATIENCE):
            while reached is None or not reached.works:
                await asyncio.sleep(0.1)
                reached = await tried(peer(port))
    finally:
        process.kill()
        await process.wait()
    assert reached.works


async def test_a_name_that_nobody_knows(monkeypatch):
    loop = asyncio.get_running_loop()

    async def unknown(*_, **__):
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(loop, "getaddrinfo", unknown)
    reached = await tried(peer(104, "ct1.invalid"))
    assert not reached.works
    assert "no name service knows that name" in reached.found
    assert "typing error" in reached.hint


async def test_a_port_that_nobody_listens_on(free_port):
    reached = await tried(peer(free_port()))
    assert "nothing listens on that port" in reached.found
    assert "DICOM service runs" in reached.hint


async def test_a_peer_that_accepts_and_says_nothing():
    async with acceptor(silent) as port:
        reached = await tried(peer(port))
    assert "did not answer the association request" in reached.found


async def test_an_address_that_swallows_everything(monkeypatch):
    async def never(*_, **__):
        await asyncio.sleep(60)

    monkeypatch.setattr(asyncio.get_running_loop(), "create_connection", never)
    reached = await tried(peer(104), Dimse(artim_seconds=0.1))
    assert "nothing answers" in reached.found
    assert "firewall" in reached.hint


async def test_titles_that_one_side_does_not_know():
    async with raw.serving(unknown_peers="reject", peer=(Peer("OTHER"),)) as server:
        ours = await tried(peer(server.port))
        theirs = await tried(peer(server.port, title="NOBODY"))
    assert "does not know our AE title" in ours.found
    assert "enter our AE title" in ours.hint
    assert "another AE title" in theirs.found
    assert "correct its AE title here" in theirs.hint


def refuses_every_context():
    """As `accepts`, with each context refused: the same bytes, another result."""

    async def talk(reader, writer):
        class Refusing:
            def write(self, data):
                writer.write(
                    data.replace(b"\x21\x00\x00\x19\x01\x00\x00", b"\x21\x00\x00\x19\x01\x00\x03")
                )

        await accepts()(reader, Refusing())

    return talk


async def test_a_peer_that_refuses_verification():
    async with acceptor(refuses_every_context()) as port:
        reached = await tried(peer(port))
    assert reached.found == "it accepts associations, and refuses C-ECHO on them"


async def test_where_a_peer_is_must_be_said():
    nowhere, network = await tried(Peer("CT1")), await tried(Peer("CT1", "10.0.0.0/24"))
    assert "not said where it is" in nowhere.found
    assert "network can't be called" in network.found
    assert nowhere.where == network.where == ""


@asynccontextmanager
async def two_sides(tmp_path, *, ours_in=None, theirs_in=None, named=("localhost", "127.0.0.1")):
    """A peer with TLS that asks for certificates, and our side; whom each is vouched for by."""
    clinic = Clinic(tmp_path / "clinic")
    theirs = clinic.issue(*named)
    ours = (ours_in or clinic).issue("edge")
    listening = tls_of(theirs, clinic.ca)
    calling = tls_of(ours, (theirs_in or clinic).ca)
    async with raw.serving(tls=listening) as server:
        yield server.tls_port, calling, theirs


async def test_over_tls_each_side_shows_who_it_is(tmp_path):
    async with two_sides(tmp_path) as (port, tls, theirs):
        assert (await tried(peer(port, tls=True), tls=tls)).works
        pinned = peer(port, tls=True, certificate=theirs.sha256)
        assert (await tried(pinned, tls=tls)).works


async def test_a_certificate_for_another_host_is_not_taken_unless_it_is_named(tmp_path):
    async with two_sides(tmp_path, named=("ct1.example",)) as (port, tls, _):
        reached = await tried(peer(port, tls=True), tls=tls)
        assert not reached.works
        assert "for another name" in reached.found
        assert "certificate = " in reached.hint
        assert (await tried(peer(port, tls=True, certificate="ct1.example"), tls=tls)).works


async def test_another_certificate_than_the_named_one_is_not_taken(tmp_path):
    async with two_sides(tmp_path) as (port, tls, theirs):
        reached = await tried(peer(port, tls=True, certificate="ct1.example"), tls=tls)
    assert "shows another certificate" in reached.found
    assert theirs.sha256 in reached.found


async def test_an_authority_that_we_do_not_know(tmp_path):
    other = Clinic(tmp_path / "other")
    async with two_sides(tmp_path, theirs_in=other) as (port, tls, _):
        reached = await tried(peer(port, tls=True), tls=tls)
    assert "its certificate is not trusted here" in reached.found
    assert "dimse.tls_ca" in reached.hint


async def test_a_peer_that_does_not_know_our_authority(tmp_path):
    other = Clinic(tmp_path / "other")
    async with two_sides(tmp_path, ours_in=other) as (port, tls, _):
        reached = await tried(peer(port, tls=True), tls=tls)
    assert not reached.works
    assert "not trust this box's certificate" in reached.found
    assert "have it trust the authority" in reached.hint


async def test_dcmtk_with_tls_says_whom_it_does_not_trust(tmp_path, free_port):
    clinic, other, port = Clinic(tmp_path / "clinic"), Clinic(tmp_path / "other"), free_port()
    theirs, calling = clinic.issue("localhost", "127.0.0.1"), tls_of(other.issue("edge"), clinic.ca)
    words = ["--ignore", "+tls", theirs.key, theirs.certificate, "+cf", clinic.ca, str(port)]
    process = await asyncio.create_subprocess_exec("storescp", *map(str, words))
    try:
        trusted = tls_of(clinic.issue("edge"), clinic.ca)
        reached = None
        async with asyncio.timeout(raw.PATIENCE):
            while reached is None or not reached.works:
                await asyncio.sleep(0.1)
                reached = await tried(peer(port, tls=True), tls=trusted)
        reached = await tried(peer(port, tls=True), tls=calling)
    finally:
        process.kill()
        await process.wait()
    assert not reached.works
    assert "not trust this box's certificate" in reached.found


async def test_tls_where_none_is_spoken_and_none_where_it_is(tmp_path):
    async with two_sides(tmp_path) as (tls_port, tls, _), raw.serving() as plain:
        reached = await tried(peer(plain.port, tls=True), tls=tls)
        assert "TLS" in reached.found
        assert "tls = true" in reached.hint or "TLS" in reached.hint
        reached = await tried(peer(tls_port), tls=tls)
        assert not reached.works
        assert "set tls = true" in reached.hint


async def test_certificates_that_can_not_be_loaded_are_said_and_not_raised():
    dimse = Dimse(tls_certificate=Path("/nowhere"), tls_key=Path("/nowhere"))
    tls = DicomTls(dimse, Http(), SECRET, Path("/nowhere"), ["localhost"])
    reached = await tried(peer(104, tls=True), tls=tls)
    assert "TLS can't be spoken from here" in reached.found


async def test_a_peer_is_found_by_its_name_or_its_title():
    async with raw.serving() as server:
        known = peer(server.port, name="Reading room")
        peers = Peers(Dimse(peer=(known,)))
        for name in ("Reading room", "EDGE"):
            assert (await echo_named(Dialer(OURS), peers, name)).works
        nobody = await echo_named(Dialer(OURS), peers, "nobody")
        assert (nobody.works, nobody.found) == (False, "no peer is called so")
