import asyncio

from pynetdicom import AE

from edge.others import Peer
from tests.dimse import dcmtk, raw
from tests.dimse.raw import connected, serving


async def test_dcmtk_echoes():
    async with serving() as server:
        result = await dcmtk.run("echoscu", server.port, "--repeat", "3")
        assert result == dcmtk.Result(0, "")


async def test_dcmtk_proposing_every_context_it_can_echoes():
    async with serving() as server:
        result = await dcmtk.run(
            "echoscu", server.port, "-ppc", "128", "-pts", "38", "-pdu", "4096"
        )
        assert result == dcmtk.Result(0, "")


async def test_dcmtk_is_told_why_it_is_rejected():
    async with serving(unknown_peers="reject", peer=(Peer("CT1"),)) as server:
        result = await dcmtk.run("echoscu", server.port, called="OTHER")
        assert result.status != 0
        assert "Called AE Title Not Recognized" in result.output
        result = await dcmtk.run("echoscu", server.port)
        assert "Calling AE Title Not Recognized" in result.output
        result = await dcmtk.run("echoscu", server.port, "-aet", "CT1")
        assert result.status == 0


async def test_pynetdicom_echoes():
    def echo(port):
        ae = AE()
        ae.add_requested_context(raw.VERIFICATION)
        association = ae.associate("127.0.0.1", port, ae_title="EDGE")
        assert association.is_established
        status = association.send_c_echo().Status
        association.release()
        assert association.is_released
        return status

    async with serving() as server:
        assert await asyncio.to_thread(echo, server.port) == 0


async def test_an_echo_in_fragments_is_answered_on_its_context():
    async with serving() as server, connected(server.port) as peer:
        await peer.associate(raw.context_item(77, raw.VERIFICATION, [raw.IMPLICIT]))
        command = raw.echo_command(12)
        for start in range(0, len(command) - 1, 10):
            peer.send(raw.p_data(raw.fragment(77, 1, command[start : start + 10])))
        peer.send(raw.p_data(raw.fragment(77, 3, b"")))
        kind, body = await peer.read_pdu()
        assert kind == 4
        assert body[4] == 77


async def test_a_peer_without_rights_may_echo():
    async with (
        serving(unknown_peers="reject", peer=(Peer("RAW", may=()),)) as server,
        connected(server.port) as peer,
    ):
        await peer.associate()
        assert await peer.echo() == 0
