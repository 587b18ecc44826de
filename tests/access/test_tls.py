"""TLS as a client sees it: real handshakes over loopback."""

import datetime as dt
import hashlib
import ssl
import stat

import pytest
import trustme
from cryptography import x509
from cryptography.hazmat.primitives import serialization

from edge.access import tls
from edge.config import Http
from edge.errors import ConfigError, WrongKey

SECRET = bytes(range(32))
NAMES = ("edge-box", "edge-box.local", "127.0.0.1", "192.168.7.9")
AUTO = Http(tls="auto")


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "data" / "tls"


@pytest.fixture
def own_files(tmp_path):
    """A clinic's own certificate: made with trustme, which this box does not know."""
    authority = trustme.CA()
    issued = authority.issue_cert("pacs.example.org")
    certificate, key, ca = (tmp_path / name for name in ("own.crt", "own.key", "own-ca.crt"))
    issued.cert_chain_pems[0].write_to_path(certificate)
    issued.private_key_pem.write_to_path(key)
    authority.cert_pem.write_to_path(ca)
    return certificate, key, ca


def server_certificate(folder):
    return x509.load_pem_x509_certificates((folder / "server.pem").read_bytes())[0]


def test_off_is_no_context(folder):
    assert tls.server_context(Http(tls="off"), SECRET, folder, NAMES) is None
    assert not folder.exists()


@pytest.mark.parametrize("name", ["localhost", *NAMES])
def test_a_client_that_trusts_the_authority_reaches_every_name(folder, handshake, trusting, name):
    context = tls.server_context(AUTO, SECRET, folder, NAMES)
    view = handshake(context, trusting(folder / "ca.crt"), name)
    assert view.version() == "TLSv1.3"


def test_a_client_that_trusts_nobody_is_refused(folder, handshake):
    context = tls.server_context(AUTO, SECRET, folder, NAMES)
    with pytest.raises(ssl.SSLCertVerificationError):
        handshake(context, ssl.create_default_context())


def test_a_name_that_is_not_of_the_box_is_refused(folder, handshake, trusting):
    context = tls.server_context(AUTO, SECRET, folder, NAMES)
    with pytest.raises(ssl.SSLCertVerificationError, match="mismatch"):
        handshake(context, trusting(folder / "ca.crt"), "other-box.local")


def test_tls_1_2_has_forward_secrecy_and_an_aead(folder, handshake, trusting):
    context = tls.server_context(AUTO, SECRET, folder, NAMES)
    client = trusting(folder / "ca.crt")
    client.maximum_version = ssl.TLSVersion.TLSv1_2
    view = handshake(context, client)
    suite = view.cipher()[0]
    assert suite.startswith("ECDHE-")
    assert "GCM" in suite or "POLY1305" in suite


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion:DeprecationWarning")
def test_older_tls_is_refused_by_the_server(folder, handshake, trusting):
    context = tls.server_context(AUTO, SECRET, folder, NAMES)
    client = trusting(folder / "ca.crt")
    client.set_ciphers("ALL:@SECLEVEL=0")
    client.minimum_version = ssl.TLSVersion.TLSv1
    client.maximum_version = ssl.TLSVersion.TLSv1_1
    with pytest.raises((ssl.SSLError, ConnectionError)):  # an alert, if it is faster than the end
        handshake(context, client)
    context.minimum_version = ssl.TLSVersion.TLSv1  # and it is for this reason that it failed
    context.set_ciphers("ALL:@SECLEVEL=0")
    assert handshake(context, client).version() == "TLSv1.1"


def test_tls_1_2_without_forward_secrecy_is_refused(folder, handshake, trusting):
    context = tls.server_context(AUTO, SECRET, folder, NAMES)
    client = trusting(folder / "ca.crt")
    client.maximum_version = ssl.TLSVersion.TLSv1_2
    client.set_ciphers("AES256-GCM-SHA384:AES128-SHA")
    with pytest.raises((ssl.SSLError, ConnectionError)):
        handshake(context, client)


def test_a_second_start_keeps_what_the_first_made(folder):
    tls.server_context(AUTO, SECRET, folder, NAMES)
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    tls.server_context(AUTO, SECRET, folder, NAMES)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def test_no_private_key_is_readable_on_the_disk(folder):
    tls.server_context(AUTO, SECRET, folder, NAMES)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    for path in folder.iterdir():
        text = path.read_text()
        assert "BEGIN PRIVATE KEY" not in text
        assert "BEGIN EC PRIVATE KEY" not in text
        if "PRIVATE" in text:
            assert stat.S_IMODE(path.stat().st_mode) == 0o600
            with pytest.raises(ssl.SSLError):
                ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(path, password="guess")
    assert "PRIVATE" not in (folder / "ca.crt").read_text()


def test_another_secret_opens_nothing_and_replaces_nothing(folder):
    tls.server_context(AUTO, SECRET, folder, NAMES)
    before = (folder / "authority.pem").read_bytes()
    with pytest.raises(WrongKey, match=r"authority\.pem can't be opened") as caught:
        tls.server_context(AUTO, bytes(32), folder, NAMES)
    assert "delete" in caught.value.hint
    assert (folder / "authority.pem").read_bytes() == before


def test_a_certificate_that_holds_is_shown_though_its_authority_is_damaged(folder, clock):
    tls.server_context(AUTO, SECRET, folder, NAMES, clock=clock)
    assert tls.trouble(SECRET, folder, NAMES, clock=clock) == ""
    before = server_certificate(folder)
    (folder / "authority.pem").write_bytes(b"cut")
    assert tls.server_context(AUTO, SECRET, folder, NAMES, clock=clock) is not None
    assert server_certificate(folder) == before
    assert "authority.pem can't be opened" in tls.trouble(SECRET, folder, NAMES, clock=clock)
    clock.now += dt.timedelta(days=397)
    with pytest.raises(WrongKey):
        tls.server_context(AUTO, SECRET, folder, NAMES, clock=clock)
    assert (folder / "authority.pem").read_bytes() == b"cut"


def test_a_running_server_renews_what_is_near_its_end(folder, handshake, trusting, clock):
    context = tls.server_context(AUTO, SECRET, folder, NAMES, clock=clock)
    old, authority = server_certificate(folder), (folder / "authority.pem").read_bytes()
    clock.now += dt.timedelta(days=397 - 1 - 61)
    tls.renew(context, AUTO, SECRET, folder, NAMES, clock=clock)
    assert server_certificate(folder) == old
    clock.now += dt.timedelta(days=2)
    tls.renew(context, AUTO, SECRET, folder, NAMES, clock=clock)
    new = server_certificate(folder)
    assert new != old
    assert (folder / "authority.pem").read_bytes() == authority
    # OpenSSL compares with the real clock, for which the new one is not valid yet.
    client = trusting(folder / "ca.crt")
    client.check_hostname, client.verify_mode = False, ssl.CERT_NONE
    view = handshake(context, client)
    assert x509.load_der_x509_certificate(view.getpeercert(binary_form=True)) == new


def test_fingerprints_are_those_that_a_browser_shows(folder):
    assert tls.fingerprints(AUTO, folder) is None
    tls.server_context(AUTO, SECRET, folder, NAMES)
    shown = tls.fingerprints(AUTO, folder)
    certificate = server_certificate(folder)
    der = certificate.public_bytes(serialization.Encoding.DER)
    expected = hashlib.sha256(der).hexdigest().upper()
    assert shown.server.replace(":", "") == expected
    assert len(shown.authority.split(":")) == 32
    assert shown.authority != shown.server
    assert tls.fingerprints(Http(tls="off"), folder) is None


def test_the_clinics_own_certificate_is_served(own_files, folder, handshake, trusting):
    certificate, key, ca = own_files
    http = Http(tls="files", tls_certificate=certificate, tls_key=key)
    context = tls.server_context(http, SECRET, folder, NAMES)
    handshake(context, trusting(ca), "pacs.example.org")
    assert not folder.exists()
    assert tls.fingerprints(http, folder).authority == ""


def test_the_clinics_certificate_is_replaced_without_a_restart(
    own_files, folder, handshake, trusting
):
    certificate, key, ca = own_files
    http = Http(tls="files", tls_certificate=certificate, tls_key=key)
    context = tls.server_context(http, SECRET, folder, NAMES)
    successor = trustme.CA()
    issued = successor.issue_cert("pacs.example.org")
    issued.cert_chain_pems[0].write_to_path(certificate)
    with pytest.raises(ConfigError):  # the new certificate is there, its key is not yet
        tls.renew(context, http, SECRET, folder, NAMES)
    handshake(context, trusting(ca), "pacs.example.org")
    issued.private_key_pem.write_to_path(key)
    successor.cert_pem.write_to_path(ca)
    tls.renew(context, http, SECRET, folder, NAMES)
    handshake(context, trusting(ca), "pacs.example.org")


@pytest.mark.parametrize("broken", ["missing", "not PEM", "another key", "encrypted key"])
def test_files_that_do_not_serve_are_a_configuration_error(own_files, folder, tmp_path, broken):
    certificate, key, _ = own_files
    if broken == "missing":
        key = tmp_path / "nowhere"
    elif broken == "not PEM":
        certificate.write_bytes(b"\x30\x82")
    else:
        tls.server_context(AUTO, SECRET, folder, NAMES)
        key = folder / "server.pem"
    if broken == "encrypted key":
        certificate = folder / "server.pem"
    http = Http(tls="files", tls_certificate=certificate, tls_key=key)
    with pytest.raises(ConfigError, match="can't be used") as caught:
        tls.server_context(http, SECRET, folder, NAMES)
    assert "PEM" in caught.value.hint


@pytest.mark.parametrize("name", ["", "two words", "-edge", "a..b", "x" * 64, "*.org", "é.local"])
def test_a_name_that_no_certificate_can_carry_is_a_configuration_error(folder, name):
    with pytest.raises(ConfigError, match="can't be in a TLS certificate"):
        tls.server_context(AUTO, SECRET, folder, (name,))
