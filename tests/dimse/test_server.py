import asyncio
import logging
import socket
import ssl

import pytest
import trustme

from edge.config import Dimse
from edge.dimse import server as server_module
from edge.dimse.peers import Peers
from edge.dimse.server import DimseServer
from edge.errors import ConfigError
from edge.others import Peer
from tests.dimse import dcmtk, raw
from tests.dimse.raw import RecordingAdmission, connected, serving


async def test_the_port_is_known_once_it_listens():
    settings = Dimse(listen="127.0.0.1:0")
    server = DimseServer(settings, Peers(settings), RecordingAdmission(), max_instance_bytes=1000)
    assert server.port == 0
    async with serving() as running:
        assert running.port > 0


async def test_a_taken_port_is_a_configuration_error_that_says_so():
    async with serving() as server:
        settings = Dimse(listen=f"127.0.0.1:{server.port}")
        second = DimseServer(
            settings, Peers(settings), RecordingAdmission(), max_instance_bytes=1000
        )
        with pytest.raises(ConfigError, match="can't be listened on") as caught:
            await second.serve()
        assert caught.value.hint


@pytest.mark.parametrize("max_pdu", [0, 1024, 2 << 20])
def test_a_maximum_pdu_out_of_range_is_a_configuration_error(max_pdu):
    settings = Dimse(max_pdu=max_pdu)
    with pytest.raises(ConfigError, match="max_pdu"):
        DimseServer(settings, Peers(settings), RecordingAdmission(), max_instance_bytes=1000)


async def test_peers_that_share_their_ae_title_are_named_at_the_start(caplog):
    peers = (Peer("WS1", "10.0.0.0/24"), Peer("WS1", "10.0.0.5"), Peer("WS1", "10.0.0.6"))
    async with serving(peer=(*peers, Peer("CT1", "10.0.0.7"))):
        pass
    warnings = [one.getMessage() for one in caplog.records if "[[dimse.peer]]" in one.getMessage()]
    (warning,) = warnings
    assert warning == (
        "3 [[dimse.peer]] have the AE title WS1 (10.0.0.0/24, 10.0.0.5, 10.0.0.6): a caller is the"
        " first that fits; what goes to WS1 goes to 10.0.0.5"
    )


async def test_dcmtk_is_offered_pdus_of_128_kib():
    async with serving() as server:
        result = await dcmtk.run("echoscu", server.port, "-d")
        assert "Their Max PDU Receive Size:  131072" in result.output


async def test_nagles_algorithm_is_off():
    async with serving() as server, connected(server.port) as peer:
        await peer.associate()
        (association,) = server._shared.connections
        connection = association.layer._transport.get_extra_info("socket")
        assert connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) == 1


async def test_echoes_are_heard_and_are_no_work():
    async with serving() as server, connected(server.port) as peer:
        await peer.associate()
        (association,) = server._shared.connections
        assert association.worked > 0, "who associates is about to ask"
        association.heard = association.worked = 0.0
        assert await peer.echo() == 0
        assert association.heard > association.worked == 0.0
        peer.store(bytes(16))
        await peer.status()
        await raw.until(lambda: association.worked > 0)


async def test_stopping_aborts_associations_and_discards_what_is_half_there():
    admission = RecordingAdmission()
    async with asyncio.TaskGroup() as group:
        settings = Dimse(listen="127.0.0.1:0", unknown_peers="accept")
        server = DimseServer(
            settings,
            Peers(settings),
            admission,
            max_instance_bytes=1 << 30,
        )
        ready = asyncio.Event()
        task = group.create_task(server.serve(ready=ready))
        await ready.wait()
        async with connected(server.port) as idle, connected(server.port) as busy:
            await idle.associate()
            await busy.associate()
            busy.send(raw.p_data(raw.fragment(3, 3, raw.store_command())))
            busy.send(raw.p_data(raw.fragment(3, 0, bytes(16000))))
            await admission.started.wait()
            task.cancel()
            assert await idle.aborted() == (0, 0)
            assert await busy.aborted() == (0, 0)
            await asyncio.wait([task], timeout=raw.PATIENCE)
            assert task.cancelled()
        assert server.associations == 0
        assert not server._shared.connections
        with pytest.raises(ConnectionError):
            await asyncio.open_connection("127.0.0.1", server.port)
    assert len(admission.discarded) == 1
    assert admission.instances == {}


async def test_dicom_over_tls():
    authority = trustme.CA()
    ours = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(ours)
    theirs = ssl.create_default_context()
    authority.configure_trust(theirs)
    admission = RecordingAdmission()
    async with serving(admission, tls=ours) as server:
        async with connected(server.tls_port, ssl=theirs, server_hostname="localhost") as peer:
            await peer.associate()
            peer.store(bytes(3_000_000))
            assert await peer.status() == 0
            await peer.release()
        assert len(admission.instances["1.2.3.4"]) > 3_000_000
        # A peer without TLS gets no association, and takes nothing down.
        result = await dcmtk.run("echoscu", server.tls_port, "-to", "2", "-ta", "2")
        assert result.status != 0
        async with connected(server.tls_port, ssl=theirs, server_hostname="localhost") as peer:
            await peer.associate()
            assert await peer.echo() == 0


async def test_a_bug_in_one_association_leaves_the_others_alone(monkeypatch, caplog):
    class Broken:
        async def identify(self, **_):
            raise ZeroDivisionError("Secret^Patient")

    async with serving() as server, connected(server.port) as healthy:
        await healthy.associate()
        peers = server._shared.peers
        server._shared.peers = Broken()
        async with connected(server.port) as unlucky:
            unlucky.send(raw.pdu(1, raw.associate_body(raw.DEFAULT_CONTEXTS)))
            assert await unlucky.aborted() == (0, 0)
        server._shared.peers = peers
        assert await healthy.echo() == 0
    assert "ZeroDivisionError" in caplog.text
    assert "Secret" not in caplog.text


async def test_a_client_without_tls_is_told_of_in_the_log(caplog):
    caplog.set_level(logging.INFO, logger="edge.dimse")
    ours = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert("localhost").configure_cert(ours)
    async with serving(tls=ours) as server:
        async with connected(server.tls_port) as peer:
            peer.send(raw.pdu(1, raw.associate_body(raw.DEFAULT_CONTEXTS)))
            await peer.read_pdu()
        await raw.until(lambda: not server._shared.connections)
    assert (
        "127.0.0.1: the association was lost: the TLS handshake failed: it does not speak TLS"
        in caplog.text
    )


async def test_a_connection_that_gives_way_in_its_tls_handshake_is_closed(monkeypatch):
    monkeypatch.setattr(server_module, "MAX_UNASSOCIATED", 1)
    ours = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert("localhost").configure_cert(ours)
    async with (
        serving(tls=ours) as server,
        connected(server.tls_port) as first,
        connected(server.tls_port) as second,
    ):
        assert await first.read_pdu() == (0, b"")
        assert len(server._shared.connections) == 1
        assert not second.reader.at_eof()


@pytest.mark.parametrize(
    ("files", "associations", "others"), [(128, 32, 8), (20_000, 1000, 256), (-1, 1000, 256)]
)
def test_no_more_connections_are_let_in_than_files_can_be_opened(
    files, associations, others, monkeypatch, caplog
):
    monkeypatch.setattr(server_module.resource, "getrlimit", lambda _: (files, files))
    connections = server_module._bounded(1000)
    assert connections._max_associations == associations
    assert connections._max_unassociated == others
    assert ("only 32 associations are possible" in caplog.text) is (associations < 1000)


async def test_without_file_descriptors_a_silent_connection_gives_one_back():
    async with serving() as server, connected(server.port) as silent:
        await raw.until(lambda: len(server._shared.connections) == 1)
        assert server._shared.connections.relieve("no more files can be opened")
        assert await silent.read_pdu() == (0, b"")
