"""DICOM over TLS with other people's programs: DCMTK, pynetdicom, OpenSSL."""

from __future__ import annotations

import asyncio
import logging
import re
import ssl
from io import BytesIO

import pynetdicom
import pytest
import trustme
from pydicom import dcmread

from edge.others import Peer
from tests.dimse import dcmtk
from tests.dimse.pki import Clinic, client_context, tls_of
from tests.dimse.raw import PATIENCE, RecordingAdmission, connected, serving, until
from tests.samples import ct_series

TLS_1_2 = {
    "ECDSA": [
        "ECDHE-ECDSA-AES256-GCM-SHA384",
        "ECDHE-ECDSA-AES128-GCM-SHA256",
        "ECDHE-ECDSA-CHACHA20-POLY1305",
        "ECDHE-ECDSA-AES256-CCM",
        "ECDHE-ECDSA-AES128-CCM",
    ],
    "RSA": [
        "ECDHE-RSA-AES256-GCM-SHA384",
        "ECDHE-RSA-AES128-GCM-SHA256",
        "ECDHE-RSA-CHACHA20-POLY1305",
    ],
}
TLS_1_3 = ["TLS_AES_256_GCM_SHA384", "TLS_AES_128_GCM_SHA256", "TLS_CHACHA20_POLY1305_SHA256"]
TOO_WEAK = {
    "ECDSA": ["ECDHE-ECDSA-AES256-SHA384", "ECDHE-ECDSA-AES128-SHA", "ECDHE-ECDSA-NULL-SHA"],
    "RSA": ["AES256-GCM-SHA384", "AES128-SHA", "ECDHE-RSA-AES128-SHA256", "NULL-SHA256", "ADH"],
}


@pytest.fixture
def clinic(tmp_path):
    return Clinic(tmp_path / "clinic")


@pytest.fixture
def ours(clinic):
    return clinic.issue("localhost", "127.0.0.1")


def showing(pair, ca):
    """DCMTK's words for a client's certificate and whom it believes."""
    return "+tls", pair.key, pair.certificate, "+cf", ca


async def openssl(port, *words):
    """What ``openssl s_client`` says of a handshake, and whether it succeeded."""
    process = await asyncio.create_subprocess_exec(
        "openssl",
        "s_client",
        "-connect",
        f"127.0.0.1:{port}",
        *map(str, words),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    async with asyncio.timeout(PATIENCE):
        output, _ = await process.communicate()
    text = output.decode(errors="replace")
    agreed = re.search(r"New, (\S+), Cipher is (\S+)", text)
    return (agreed[1], agreed[2]) if agreed and agreed[2] != "(NONE)" else None


async def test_dcmtk_echoes_and_stores_beside_the_plain_port(clinic, ours, tmp_path):
    ct1 = clinic.issue("ct1")
    (sample,) = ct_series(1, rows=16, columns=16)
    path = tmp_path / "image.dcm"
    path.write_bytes(sample.data)
    admission = RecordingAdmission()
    peer = Peer("CT1", "127.0.0.1", certificate=ct1.sha256)
    async with serving(
        admission, tls=tls_of(ours, clinic.ca), unknown_peers="reject", peer=(peer,)
    ) as server:
        words = ("-aet", "CT1", *showing(ct1, clinic.ca))
        assert (await dcmtk.run("echoscu", server.tls_port, *words)).status == 0
        result = await dcmtk.run("storescu", server.tls_port, *words, path)
        assert result.status == 0, result.output
        assert (await dcmtk.run("echoscu", server.port, "-aet", "CT1")).status == 0
        # Neither takes the other's language.
        short = ("-aet", "CT1", "-to", "2", "-ta", "2")
        assert (await dcmtk.run("echoscu", server.tls_port, *short)).status != 0
        assert (await dcmtk.run("echoscu", server.port, *short, *words[2:])).status != 0
    assert len(admission.instances) == 1


@pytest.mark.parametrize("profile", ["+py", "+px", "+pz"])
async def test_dcmtk_is_understood_with_each_of_its_profiles(clinic, ours, profile):
    ct1 = clinic.issue("ct1")
    async with serving(tls=tls_of(ours, clinic.ca)) as server:
        result = await dcmtk.run("echoscu", server.tls_port, *showing(ct1, clinic.ca), profile)
        assert result.status == 0, result.output


async def test_a_peer_that_shows_nothing_or_a_strangers_certificate_gets_no_association(
    clinic, ours, tmp_path, caplog
):
    caplog.set_level(logging.INFO, logger="edge.dimse")
    stranger = Clinic(tmp_path / "other").issue("ct1")
    async with serving(tls=tls_of(ours, clinic.ca)) as server:
        result = await dcmtk.run("echoscu", server.tls_port, "+tla", "+cf", clinic.ca)
        assert result.status != 0
        await until(lambda: "it showed no certificate" in caplog.text)
        result = await dcmtk.run("echoscu", server.tls_port, *showing(stranger, clinic.ca))
        assert result.status != 0
        await until(lambda: "is not one that dimse.tls_ca vouches for" in caplog.text)
        assert server.associations == 0


async def test_a_peer_that_shows_another_peers_certificate_is_rejected_and_told_of(
    clinic, ours, caplog
):
    ct1, ct2 = clinic.issue("ct1"), clinic.issue("ct2")
    peers = (
        Peer("CT1", certificate=ct1.sha256),
        Peer("CT2", certificate="ct2"),
        Peer("CT3"),
    )
    async with serving(tls=tls_of(ours, clinic.ca), unknown_peers="reject", peer=peers) as server:

        async def status(title, pair):
            words = ("-aet", title, *showing(pair, clinic.ca))
            return (await dcmtk.run("echoscu", server.tls_port, *words)).status

        assert await status("CT1", ct1) == 0
        assert await status("CT2", ct2) == 0
        assert await status("CT3", ct1) == 0
        assert await status("CT1", ct2) != 0
        assert await status("CT2", ct1) != 0
    assert f"the peer 'CT1' must show the certificate '{ct1.sha256}'" in caplog.text
    assert "it showed CN=ct2" in caplog.text
    assert ct2.sha256 in caplog.text


async def test_without_an_authority_nobody_is_asked_for_a_certificate(clinic, ours):
    async with serving(tls=tls_of(ours, None)) as server:
        result = await dcmtk.run("echoscu", server.tls_port, "+tla", "+cf", clinic.ca)
        assert result.status == 0, result.output


async def test_pynetdicom_stores_over_tls(clinic, ours):
    (sample,) = ct_series(1, rows=16, columns=16)
    admission = RecordingAdmission()

    def send(port):
        entity = pynetdicom.AE(ae_title="CT1")
        dataset = dcmread(BytesIO(sample.data))
        entity.add_requested_context(dataset.SOPClassUID, dataset.file_meta.TransferSyntaxUID)
        context = client_context(clinic.ca, clinic.issue("ct1"))
        association = entity.associate(
            "127.0.0.1", port, ae_title="EDGE", tls_args=(context, "localhost")
        )
        assert association.is_established
        status = association.send_c_store(dataset).Status
        association.release()
        return status

    async with serving(admission, tls=tls_of(ours, clinic.ca)) as server:
        assert await asyncio.to_thread(send, server.tls_port) == 0
    assert len(admission.instances) == 1


@pytest.mark.parametrize("kind", ["ECDSA", "RSA"])
async def test_the_suites_of_the_profile_are_offered_and_no_weaker_ones(tmp_path, kind):
    clinic = Clinic(tmp_path, key_type=trustme.KeyType[kind])
    async with serving(tls=tls_of(clinic.issue("localhost"), None)) as server:
        for suite in TLS_1_2[kind]:
            agreed = await openssl(server.tls_port, "-tls1_2", "-cipher", suite)
            assert agreed == ("TLSv1.2", suite)
        for suite in TLS_1_3:
            agreed = await openssl(server.tls_port, "-tls1_3", "-ciphersuites", suite)
            assert agreed == ("TLSv1.3", suite)
        for suite in TOO_WEAK[kind]:
            words = ("-tls1_2", "-cipher", f"{suite}:@SECLEVEL=0")
            assert await openssl(server.tls_port, *words) is None, suite


@pytest.mark.parametrize("version", ["-tls1", "-tls1_1"])
async def test_versions_before_1_2_are_refused(clinic, ours, version, caplog):
    caplog.set_level(logging.INFO, logger="edge.dimse")
    async with serving(tls=tls_of(ours, None)) as server:
        words = (version, "-cipher", "ALL:@SECLEVEL=0")
        assert await openssl(server.tls_port, *words) is None
        await until(lambda: "only TLS 1.1 or older" in caplog.text)
        assert await openssl(server.tls_port) == ("TLSv1.3", "TLS_AES_256_GCM_SHA384")


async def test_a_new_certificate_is_shown_without_a_restart(clinic, ours):
    tls = tls_of(ours, clinic.ca)
    client = client_context(clinic.ca, clinic.issue("ct1"))
    options = {"ssl": client, "server_hostname": "localhost"}
    async with serving(tls=tls) as server, connected(server.tls_port, **options) as old:
        await old.associate()
        before = old.writer.get_extra_info("ssl_object").getpeercert(True)
        clinic.issue("localhost", "127.0.0.1")
        await asyncio.to_thread(tls.load)
        async with connected(server.tls_port, **options) as new:
            await new.associate()
            assert new.writer.get_extra_info("ssl_object").getpeercert(True) != before
        assert await old.echo() == 0


async def test_both_ports_share_one_bound(clinic, ours):
    client = client_context(clinic.ca, clinic.issue("ct1"))
    async with (
        serving(tls=tls_of(ours, clinic.ca), max_associations=1) as server,
        connected(server.tls_port, ssl=client, server_hostname="localhost") as first,
        connected(server.port) as second,
    ):
        await first.associate()
        assert await second.refused() == bytes([2, 3, 2])
        assert server.associations == 1


async def test_the_plain_port_can_be_left_out(clinic, ours):
    client = client_context(clinic.ca)
    async with (
        serving(tls=tls_of(ours, None), listen="") as server,
        connected(server.tls_port, ssl=client, server_hostname="localhost") as peer,
    ):
        assert server.port == 0
        await peer.associate()
        assert await peer.echo() == 0


async def test_silence_in_a_handshake_ends_at_the_artim_time(clinic, ours):
    async with (
        serving(tls=tls_of(ours, None), artim_seconds=0.2) as server,
        connected(server.tls_port) as silent,
    ):
        assert await silent.read_pdu() == (0, b"")
        await until(lambda: not server._shared.connections)
        assert isinstance(server._shared.tls.server, ssl.SSLContext)
