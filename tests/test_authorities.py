"""Authorities' certificates, as people give them."""

from __future__ import annotations

import datetime as dt
import re
import time

import pytest
import trustme
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
)
from cryptography.x509.oid import ExtensionOID, NameOID

from edge.authorities import (
    LONGEST,
    Authority,
    AuthorityError,
    authorities_in,
    given,
    in_short,
    text_of,
)


@pytest.fixture(scope="module")
def clinic():
    return trustme.CA(organization_name="St. Brigid", organization_unit_name="IT")


def pem_of(authority):
    return authority.cert_pem.bytes().decode()


def test_what_is_kept_is_the_certificates_and_nothing_else(clinic):
    other = trustme.CA(organization_name="Mater")
    text = f"Autorité\r\n{pem_of(clinic)}\r\n# and\r\n{pem_of(other)}".replace("\n", "\r\n")
    kept = given(text)
    assert re.sub(r"-----[A-Z ]+-----|[A-Za-z0-9+/=]{1,64}|\n", "", kept) == ""
    assert [one.subject for one in authorities_in(kept)] == ["St. Brigid", "Mater"]
    assert given(kept) == kept


def test_people_see_whose_it_is_and_until_when(clinic):
    (one,) = authorities_in(pem_of(clinic))
    assert one.until > dt.datetime.now(dt.UTC).timestamp()
    assert re.fullmatch("[0-9a-f]{64}", one.digest)
    assert in_short(pem_of(clinic)) == f"St. Brigid (SHA-256 {one.digest})"
    assert in_short("nothing") == "something that can't be read"


def test_what_can_not_be_used_is_said(clinic):
    leaf = clinic.issue_cert("archive.example")
    key = leaf.private_key_pem.bytes().decode()
    for text, why in (
        ("", "no certificate in PEM"),
        ("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "no certificate in PEM"),
        (leaf.cert_chain_pems[0].bytes().decode(), "no authority's certificate"),
        (pem_of(clinic) + key, "a private key, which must be given to nobody"),
        (pem_of(clinic) + " " * LONGEST, "is longer than 64 KiB"),
    ):
        with pytest.raises(AuthorityError, match=why):
            given(text)


@pytest.mark.parametrize(
    ("form", "how"),
    [
        (PrivateFormat.PKCS8, NoEncryption()),
        (PrivateFormat.PKCS8, BestAvailableEncryption(b"secret")),
        (PrivateFormat.TraditionalOpenSSL, NoEncryption()),
    ],
    ids=["plain", "encrypted", "traditional"],
)
def test_a_private_key_in_der_is_called_that(form, how, clinic):
    """It was said to be no certificate in PEM, though DER is taken."""
    key = ec.generate_private_key(ec.SECP256R1()).private_bytes(Encoding.DER, form, how)
    with pytest.raises(AuthorityError, match="a private key, which must be given to nobody"):
        given(text_of(key))
    der = x509.load_pem_x509_certificate(pem_of(clinic).encode()).public_bytes(Encoding.DER)
    assert given(text_of(der)) == pem_of(clinic).strip()


def made(*extensions, name="St. Brigid"):
    """One's certificate in PEM, with these extensions, whatever they are."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name, _validate=False)])
    day = dt.timedelta(days=1)
    now = dt.datetime.now(dt.UTC)
    builder = x509.CertificateBuilder(
        subject, subject, key.public_key(), 7, now - day, now + day, list(extensions)
    )
    return builder.sign(key, SHA256()).public_bytes(Encoding.PEM).decode()


CA = x509.Extension(ExtensionOID.BASIC_CONSTRAINTS, True, x509.BasicConstraints(True, None))


def test_a_damaged_certificate_is_told_as_one():
    with pytest.raises(AuthorityError, match="a certificate that is damaged"):
        given(made(CA, CA))


def test_a_private_key_is_refused_wherever_it_is_read(clinic):
    key = clinic.private_key_pem.bytes().decode()
    with pytest.raises(AuthorityError, match="a private key"):
        authorities_in(pem_of(clinic) + key)


@pytest.mark.filterwarnings("ignore:Attribute.s length")
def test_a_long_name_is_cut():
    (one,) = authorities_in(made(CA, name="x" * 5000))
    assert one.subject == "x" * 200 + "…"


def test_there_are_not_endlessly_many(clinic):
    with pytest.raises(AuthorityError, match="has more than 64 certificates"):
        authorities_in(pem_of(clinic) * 65)


def test_one_that_ended_is_not_taken(clinic):
    (one,) = authorities_in(pem_of(clinic))
    assert given(pem_of(clinic), now=one.until - 1)
    with pytest.raises(AuthorityError, match="which ended on"):
        given(pem_of(clinic), now=one.until + 1)


@pytest.mark.parametrize("zone", ["Europe/Berlin", "UTC", "America/Lima"])
def test_one_without_an_end_has_a_day_in_every_zone(zone, monkeypatch):
    """RFC 5280 4.1.2.5; the year 10000, which it is by then in Berlin, can't be said."""
    end = dt.datetime(9999, 12, 31, 23, 59, 59, tzinfo=dt.UTC)
    with monkeypatch.context() as patched:
        patched.setenv("TZ", zone)
        time.tzset()
        day = Authority("clinic", end.timestamp(), "").day
    time.tzset()
    assert day == dt.date(9999, 12, 31)
