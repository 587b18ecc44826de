"""What DICOM over TLS offers and believes, by handshakes over loopback."""

import asyncio
import ssl
from pathlib import Path

import pytest

from edge.access.dicom_tls import DicomTls
from edge.access.tls import server_context
from edge.config import Dimse, Http
from edge.errors import ConfigError
from tests.dimse.pki import SECRET, Clinic, client_context, tls_of

NAMES = ("edge-box", "127.0.0.1")
REFUSED = (ssl.SSLError, ConnectionError, AssertionError)


@pytest.fixture
def clinic(tmp_path):
    return Clinic(tmp_path / "clinic")


def own(folder, **http):
    return DicomTls(Dimse(), Http(**http), SECRET, folder, NAMES)


@pytest.mark.parametrize("tls", ["auto", "off"])
def test_the_boxs_own_certificate_is_shown_unless_another_is_named(tmp_path, handshake, tls):
    dicom = own(tmp_path / "tls", tls=tls)
    dicom.load()
    view = handshake(dicom.server, ssl.create_default_context(cafile=tmp_path / "tls" / "ca.crt"))
    assert view.version() == "TLSv1.3"


def test_https_and_dicom_show_the_same_certificate(tmp_path, handshake):
    folder = tmp_path / "tls"
    https = server_context(Http(), SECRET, folder, NAMES)
    dicom = own(folder)
    dicom.load()
    client = ssl.create_default_context(cafile=folder / "ca.crt")
    shown = [handshake(each, client).getpeercert(True) for each in (https, dicom.server)]
    assert shown[0] == shown[1]


def test_the_boxs_own_certificate_is_believed_of_a_caller_too(tmp_path, handshake, clinic):
    """A peer that trusts our authority lets us in: the certificate is for clients as well."""
    dicom = own(tmp_path / "tls")
    ours = asyncio.run(dicom.client(check_hostname=False))
    ours.check_hostname, ours.verify_mode = False, ssl.CERT_NONE
    theirs = tls_of(clinic.issue("localhost"), tmp_path / "tls" / "ca.crt")
    handshake(theirs.server, ours)


def test_a_peer_must_show_a_certificate_of_the_named_authority(clinic, tmp_path, handshake):
    dicom = tls_of(clinic.issue("localhost"), clinic.ca)
    handshake(dicom.server, client_context(clinic.ca, clinic.issue("ct1")))
    stranger = Clinic(tmp_path / "other").issue("ct1")
    for client in (client_context(clinic.ca), client_context(clinic.ca, stranger)):
        with pytest.raises(REFUSED):
            handshake(dicom.server, client)


def test_a_certificate_that_stands_in_the_file_itself_is_believed_and_vouches_for_none(
    clinic, tmp_path, handshake
):
    other = Clinic(tmp_path / "other")
    known = other.issue("ct1")
    dicom = tls_of(clinic.issue("localhost"), known.certificate)
    handshake(dicom.server, client_context(clinic.ca, known))
    with pytest.raises(REFUSED):
        handshake(dicom.server, client_context(clinic.ca, other.issue("ct2")))


def test_an_authority_that_was_taken_out_of_the_file_is_believed_no_more(
    clinic, tmp_path, handshake
):
    other = Clinic(tmp_path / "other")
    both = tmp_path / "both.pem"
    both.write_bytes(clinic.ca.read_bytes() + other.ca.read_bytes())
    dicom = tls_of(clinic.issue("localhost"), both)
    client = client_context(clinic.ca, other.issue("ct1"))
    handshake(dicom.server, client)
    both.write_bytes(clinic.ca.read_bytes())
    dicom.load()
    with pytest.raises(REFUSED):
        handshake(dicom.server, client)


def test_files_that_are_broken_later_leave_what_was_loaded(clinic, handshake, tmp_path):
    ca = tmp_path / "ca.pem"
    ca.write_bytes(clinic.ca.read_bytes())
    dicom = tls_of(clinic.issue("localhost"), ca)
    ca.write_text("rubbish")
    with pytest.raises(ConfigError, match=r"dimse\.tls_ca .* can't be used"):
        dicom.load()
    handshake(dicom.server, client_context(clinic.ca, clinic.issue("ct1")))


def test_a_certificate_and_key_that_do_not_fit_are_named(clinic):
    pair = clinic.issue("localhost")
    dimse = Dimse(tls_certificate=pair.certificate, tls_key=clinic.issue("ct1").key)
    dicom = DicomTls(dimse, Http(), SECRET, Path("/nowhere"), NAMES)
    with pytest.raises(ConfigError, match=r"dimse\.tls_certificate and dimse\.tls_key"):
        dicom.load()


async def test_what_is_shown_to_others_is_loaded_again_after_a_day(clinic):
    now = [0.0]
    pair = clinic.issue("localhost")
    dimse = Dimse(tls_certificate=pair.certificate, tls_key=pair.key)
    dicom = DicomTls(dimse, Http(), SECRET, Path("/nowhere"), NAMES, clock=lambda: now[0])
    first = await dicom.client(check_hostname=True)
    assert await dicom.client(check_hostname=True) is first
    now[0] = 90_000.0
    second = await dicom.client(check_hostname=True)
    assert second is not first
    now[0] = 180_000.0
    pair.key.write_text("rubbish")
    assert await dicom.client(check_hostname=True) is second
    assert second.check_hostname
    assert not (await dicom.client(check_hostname=False)).check_hostname


def test_no_session_is_resumed(clinic, handshake):
    """Whoever is let in has shown today what is asked for today."""
    dicom = tls_of(clinic.issue("localhost"), clinic.ca)
    client = client_context(clinic.ca, clinic.issue("ct1"))
    view = handshake(dicom.server, client)
    assert not view.session or not view.session.has_ticket
    assert not view.session_reused
