"""Whoever sits on the wire: what the two TLS ports offer, asked with OpenSSL's client.

After the list that testssl.sh goes through. Each check is made against the service as it starts,
with the box's own certificate and with a clinic's of RSA, on the HTTP port and on the DICOM port.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import ssl
import subprocess
import sys
from functools import partial

import pytest
import pytest_asyncio
import trustme

from edge import config, others
from edge.access.audit import syslog
from edge.app import Appliance
from edge.cloud.route import tls_context
from edge.errors import KeyLocked, Needs
from edge.locked import LockedBox
from edge.opening import custodian_of, make_folder
from tests.dimse.pki import Clinic, tls_of
from tests.ports import free_port

pytestmark = pytest.mark.asyncio(loop_scope="module")

PATIENCE = 30.0
WEAK = "ALL:COMPLEMENTOFALL:@SECLEVEL=0"
ALLOWED = re.compile(r"ECDHE-(ECDSA|RSA)-(AES(128|256)-GCM-SHA(256|384)|CHACHA20-POLY1305)")
CCM = {"ECDHE-ECDSA-AES256-CCM", "ECDHE-ECDSA-AES128-CCM"}
"""PS3.15 B.12 by way of RFC 9325 has them, and the DICOM port."""
DOWNGRADE = "44 4f 57 4e 47 52 44 01"
"""RFC 8446 4.1.3: at the end of the server's random, where TLS 1.3 could have been spoken."""


@pytest_asyncio.fixture(
    params=["own certificate", "clinic's RSA"], scope="module", loop_scope="module"
)
async def box(request, tmp_path_factory):
    """A box that speaks TLS on both ports; to ask it changes nothing."""
    tmp_path = tmp_path_factory.mktemp("box")
    tls = {}
    if request.param != "own certificate":
        clinic = await asyncio.to_thread(Clinic, tmp_path / "pki", key_type=trustme.KeyType.RSA)
        pair = await asyncio.to_thread(clinic.issue, "localhost")
        tls = {"tls": "files", "tls_certificate": pair.certificate, "tls_key": pair.key}
    settings = config.Config(
        appliance=config.Appliance(data_dir=tmp_path / "box"),
        dimse=config.Dimse(listen="127.0.0.1:0", tls_listen="127.0.0.1:0"),
        http=config.Http(listen="127.0.0.1:0", **tls),
    )
    async with Appliance(settings) as running:
        yield running


@pytest.fixture(params=["http", "dicom"])
def port(request, box):
    return box.http_port if request.param == "http" else box.dimse_tls_port


class Said:
    """What ``openssl s_client`` said."""

    def __init__(self, text):
        self.text = text
        found = re.search(r"New, (\S+), Cipher is (\S+)", text)
        self.agreed = (found[1], found[2]) if found and found[2] != "(NONE)" else None

    def message(self, name):
        """The bytes of a handshake message, as hexadecimal pairs."""
        found = re.search(
            rf"Handshake \[length \w+\], {name}\n((?: {{4}}[0-9a-f ]+\n)+)", self.text
        )
        return " ".join(found[1].split()) if found else ""


async def ask(port, *words, says=b""):
    process = await asyncio.create_subprocess_exec(
        *("openssl", "s_client", "-connect", f"127.0.0.1:{port}", *map(str, words)),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    async with asyncio.timeout(PATIENCE):
        output, _ = await process.communicate(says)
    return Said(output.decode(errors="replace"))


def all_suites():
    """Every one of before TLS 1.3 that this OpenSSL has, however weak."""
    words = ["openssl", "ciphers", "-s", "-tls1_2", WEAK]
    return subprocess.run(words, capture_output=True, check=True, text=True).stdout.split(":")


async def test_nothing_older_than_tls_1_2_is_spoken(port):
    for version in ("-tls1", "-tls1_1"):
        assert (await ask(port, version, "-cipher", WEAK)).agreed is None
    old = await ask(port, "-no_tls1_3", "-no_tls1_2", "-cipher", WEAK)
    assert old.agreed is None
    for version in ("-tls1_2", "-tls1_3"):
        assert (await ask(port, version)).agreed is not None


async def test_of_every_suite_there_is_only_those_with_forward_secrecy_and_an_aead_are_agreed_on(
    port,
):
    """So neither CBC, RC4, 3DES, NULL, anonymous, PSK, SRP, nor RSA or DH without a curve."""
    offered = {suite.strip() for suite in await asyncio.to_thread(all_suites)}
    assert {"AES128-SHA", "ECDHE-RSA-AES128-SHA", "DHE-RSA-AES128-GCM-SHA256"} <= offered
    agreed = set()
    # The server takes the one that it likes best, so the rest is offered again without it.
    while offered:
        said = await ask(port, "-tls1_2", "-cipher", f"{':'.join(sorted(offered))}:@SECLEVEL=0")
        if said.agreed is None:
            break
        agreed.add(said.agreed[1])
        offered.discard(said.agreed[1])
    assert agreed
    assert not {suite for suite in agreed if not ALLOWED.fullmatch(suite)} - CCM


async def test_a_client_of_tls_1_2_is_told_that_1_3_was_there(port):
    """Whoever takes 1.3 away from a handshake on the wire is found out by clients that know it."""
    said = await ask(port, "-tls1_2", "-msg")
    assert said.agreed is not None
    random = said.message("ServerHello").split()[6:38]
    assert " ".join(random[-8:]) == DOWNGRADE


async def test_a_client_that_falls_back_for_no_reason_is_refused(port):
    """RFC 7507."""
    assert (await ask(port, "-tls1_2", "-fallback_scsv")).agreed is None
    assert (await ask(port, "-tls1_2")).agreed is not None


async def test_nothing_is_compressed_and_nothing_renegotiated(port):
    said = await ask(port, "-tls1_2", "-comp", says=b"R\n")
    assert "Compression: NONE" in said.text
    assert "Secure Renegotiation IS supported" in said.text
    assert "RENEGOTIATING" in said.text
    assert re.search(r"no renegotiation|handshake failure|unexpected message|:error:", said.text)
    legacy = await ask(port, "-tls1_2", "-legacy_renegotiation", says=b"R\n")
    assert re.search(r"no renegotiation|handshake failure|unexpected message|:error:", legacy.text)


async def test_no_ticket_is_given_and_no_early_data_taken(port, tmp_path):
    """Early data can be played again, and the key of tickets would open what was said before."""
    session = tmp_path / "session"
    said = await ask(port, "-tls1_3", "-sess_out", session, "-ign_eof", says=b"GET /\r\n\r\n")
    assert "New Session Ticket" not in said.text
    assert not await asyncio.to_thread(session.exists)
    said = await ask(port, "-tls1_2")
    assert "TLS session ticket:" not in said.text
    assert "Early data was not sent" in (await ask(port, "-tls1_3")).text


async def test_curves_are_modern_and_signatures_are_not_of_sha_1(port):
    said = await ask(port)
    assert re.search(
        r"Server Temp Key: (X25519|X448|ECDH, (prime256v1|secp384r1|secp521r1))", said.text
    )
    assert re.search(r"Peer signing digest: SHA(256|384|512)", said.text)
    weak = await ask(
        port, "-tls1_2", "-sigalgs", "RSA+SHA1:ECDSA+SHA1", "-cipher", "ALL:@SECLEVEL=0"
    )
    assert weak.agreed is None
    small = await ask(port, "-groups", "secp192r1:sect163k1")
    assert small.agreed is None


async def test_over_http_the_protocol_is_agreed_on_and_no_other(box):
    said = await ask(box.http_port, "-alpn", "h2,http/1.1")
    assert "ALPN protocol: http/1.1" in said.text
    for protocols in ("h2", "acme-tls/1", "spdy/3"):
        assert "No ALPN negotiated" in (await ask(box.http_port, "-alpn", protocols)).text


async def test_the_page_of_a_locked_box_is_spoken_to_by_no_weaker_tls(tmp_path):
    settings = config.Config(
        appliance=config.Appliance(data_dir=tmp_path / "box"),
        keys=config.Keys(provider="passphrase"),
        dimse=config.Dimse(listen="127.0.0.1:0", tls_listen="127.0.0.1:0"),
        http=config.Http(listen="127.0.0.1:0"),
    )
    why = KeyLocked("it waits", needs=Needs.PASSPHRASE)
    await asyncio.to_thread(make_folder, settings.appliance.data_dir)
    custodian = custodian_of(settings)
    box = LockedBox(settings, custodian, why, first_start=False)
    async with box.serving():
        port = box.http_port
        for version in ("-tls1", "-tls1_1"):
            assert (await ask(port, version, "-cipher", WEAK)).agreed is None
        weak = ":".join(
            suite.strip()
            for suite in await asyncio.to_thread(all_suites)
            if not ALLOWED.fullmatch(suite.strip())
        )
        assert (await ask(port, "-tls1_2", "-cipher", f"{weak}:@SECLEVEL=0")).agreed is None
        assert (await ask(port, "-tls1_2", "-fallback_scsv")).agreed is None
        assert (await ask(port)).agreed == ("TLSv1.3", "TLS_AES_256_GCM_SHA384")


# The box as a client ------------------------------------------------------------------------------

LESS = {
    "TLS 1.0": ("-tls1", "-cipher", WEAK),
    "TLS 1.1": ("-tls1_1", "-cipher", WEAK),
    "no forward secrecy": ("-tls1_2", "-cipher", "AES256-GCM-SHA384:AES128-SHA:@SECLEVEL=0"),
    "nobody vouches": ("-tls1_2", "-cipher", "aNULL:@SECLEVEL=0"),
    "no encryption": ("-tls1_2", "-cipher", "eNULL:@SECLEVEL=0"),
}


async def contexts(clinic, pair):
    """By which the box speaks to others."""
    return {
        "archives, identity providers": tls_context(str(clinic.ca)),
        "syslog": syslog._context(others.Syslog("localhost:6514", tls_ca=clinic.ca)),
        "peers": await tls_of(pair, clinic.ca).client(check_hostname=True),
    }


@contextlib.asynccontextmanager
async def server_of(pair, *words):
    """OpenSSL's server, which offers what is said."""
    port = free_port()
    process = await asyncio.create_subprocess_exec(
        *("openssl", "s_server", "-accept", f"127.0.0.1:{port}"),
        *("-cert", str(pair.certificate), "-key", str(pair.key), *words),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        async with asyncio.timeout(PATIENCE):
            while b"ACCEPT" not in await process.stdout.readline():
                assert process.returncode is None
        yield port
    finally:
        process.kill()
        await process.wait()


async def agreed_with(port, context):
    """What a client of ours agrees on with a server; None: it goes no further."""
    try:
        _, writer = await asyncio.open_connection(
            "127.0.0.1", port, ssl=context, server_hostname="localhost"
        )
    except (ssl.SSLError, ConnectionError):
        return None
    agreed = writer.get_extra_info("cipher")
    writer.transport.abort()
    return agreed


async def test_the_box_itself_speaks_to_no_server_that_offers_less(tmp_path):
    clinic = await asyncio.to_thread(Clinic, tmp_path / "pki", key_type=trustme.KeyType.RSA)
    pair = clinic.issue("localhost")
    for what, words in ({"enough": ()} | LESS).items():
        async with server_of(pair, *words) as port:
            for whom, context in (await contexts(clinic, pair)).items():
                async with asyncio.timeout(PATIENCE):
                    agreed = await agreed_with(port, context)
                assert (agreed is not None) is (what == "enough"), (what, whom)


@pytest.mark.parametrize(
    "unsafe",
    [
        '[http]\nauth = "none"\n',
        '[http]\ntls = "off"\n',
        '[http]\nlisten = "[::]:8443"\ntls = "off"\n',
        '[dimse]\nunknown_peers = "accept"\n',
        '[[cloud.archive]]\nname = "a"\nurl = "http://archive.example/dicom-web"\n',
    ],
    ids=[
        "no tokens",
        "plain HTTP",
        "plain HTTP over IPv6",
        "any peer",
        "plain HTTP to the archive",
    ],
)
async def test_the_service_does_not_start_open_to_a_network(tmp_path, unsafe):
    toml = tmp_path / "edge.toml"
    toml.write_text(f'[appliance]\ndata_dir = "{tmp_path / "box"}"\n{unsafe}')
    command = [sys.executable, "-m", "edge", "serve", "--config", str(toml)]
    run = partial(subprocess.run, capture_output=True, check=False, text=True, timeout=PATIENCE)
    ran = await asyncio.to_thread(run, command)
    assert ran.returncode == 2
    assert "refused" in ran.stderr
    assert not (tmp_path / "box").exists()


async def test_what_is_no_tls_gets_no_more_than_a_hint(box):
    reader, writer = await asyncio.open_connection("127.0.0.1", box.http_port)
    writer.write(b"GET /dicom-web/studies HTTP/1.1\r\nHost: edge\r\n\r\n")
    async with asyncio.timeout(PATIENCE):
        answer = await reader.read()
    writer.close()
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert b"speaks HTTPS" in answer
