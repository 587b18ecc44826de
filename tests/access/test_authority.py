"""The box's own authority: what it may vouch for, when it is renewed, what a power cut leaves."""

import datetime as dt
import logging
import shutil
import subprocess

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519

from edge.access import authority
from edge.access.authority import LocalAuthority, general_name
from edge.errors import WrongKey

PASSPHRASE = b"5" * 64
NAMES = tuple(map(general_name, ("edge-box", "edge-box.local", "10.1.2.3", "fd00::7")))


@pytest.fixture
def provide(tmp_path, clock):
    def run(names=NAMES, passphrase=PASSPHRASE):
        LocalAuthority(tmp_path, passphrase, clock.now).provide(names)
        return tuple(
            x509.load_pem_x509_certificates((tmp_path / name).read_bytes())[0]
            for name in ("authority.pem", "server.pem")
        )

    return run


def openssl_verify(tmp_path, certificate, *options):
    assert shutil.which("openssl"), "Debian has it"
    leaf = tmp_path / "leaf.crt"
    leaf.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    command = ["openssl", "verify", "-x509_strict", "-CAfile", tmp_path / "ca.crt", *options, leaf]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_openssl_accepts_the_chain_in_its_strict_mode(provide, tmp_path):
    _, server = provide()
    for option in (("-verify_hostname", "edge-box.local"), ("-verify_ip", "10.1.2.3")):
        result = openssl_verify(tmp_path, server, "-purpose", "sslserver", *option)
        assert result.returncode == 0, result.stderr


@pytest.mark.parametrize(
    ("name", "accepted"),
    [
        ("edge-box.local", True),
        ("192.168.1.200", True),
        ("bank.example.com", False),
        ("other-box.local", False),
        ("203.0.113.5", False),
    ],
)
def test_the_authority_can_vouch_for_no_stranger(provide, tmp_path, clock, name, accepted):
    provide()
    owner = LocalAuthority(tmp_path, PASSPHRASE, clock.now)
    pair = owner._load("authority.pem")
    # Someone who stole the authority's key signs a name that it was not made for.
    key = ec.generate_private_key(ec.SECP256R1())
    forged = (
        owner._builder(
            authority._name("forged"),
            pair.certificate.subject,
            key.public_key(),
            dt.timedelta(days=9),
        )
        .add_extension(x509.SubjectAlternativeName([general_name(name)]), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(pair.key.public_key()),
            critical=False,
        )
        .sign(pair.key, hashes.SHA256())
    )
    result = openssl_verify(tmp_path, forged)
    assert (result.returncode == 0) == accepted, result.stderr
    assert accepted or "permitted subtree violation" in result.stderr


def test_the_authority_signs_no_other_authority(provide):
    own, server = provide()
    constraint = own.extensions.get_extension_for_class(x509.BasicConstraints)
    assert constraint.critical
    assert constraint.value == x509.BasicConstraints(ca=True, path_length=0)
    assert not server.extensions.get_extension_for_class(x509.BasicConstraints).value.ca


def test_a_server_certificate_is_short_lived_enough_for_browsers(provide):
    _, server = provide()
    assert server.not_valid_after_utc - server.not_valid_before_utc <= dt.timedelta(days=397)


def test_a_new_address_of_a_private_network_needs_no_new_authority(provide):
    own, server = provide()
    again, renewed = provide((*NAMES, general_name("192.168.99.1")))
    assert again == own
    assert renewed != server


def test_a_new_name_needs_a_new_authority_and_says_so(provide, caplog):
    own, _ = provide()
    with caplog.at_level(logging.WARNING):
        again, server = provide((*NAMES, general_name("pacs.clinic")))
    assert again != own
    assert server.issuer == again.subject != own.subject
    assert "browsers must learn" in caplog.text


def test_a_public_address_of_the_box_can_be_named(provide, tmp_path):
    _, server = provide((*NAMES, general_name("203.0.113.5")))
    assert openssl_verify(tmp_path, server, "-verify_ip", "203.0.113.5").returncode == 0


def test_an_authority_near_its_end_is_replaced(provide, clock):
    own, _ = provide()
    clock.now += dt.timedelta(days=3650 - 397)
    again, server = provide()
    assert again != own
    assert server.issuer == again.subject


def test_a_clock_that_starts_in_1970_makes_certificates_that_stay(provide, clock):
    real, clock.now = clock.now, dt.datetime(1970, 1, 1, 0, 5, tzinfo=dt.UTC)
    own, _ = provide()
    assert own.not_valid_before_utc.year >= 2024
    clock.now = real
    again, server = provide()
    assert again == own
    assert server.not_valid_before_utc <= real < server.not_valid_after_utc


def test_a_write_that_was_cut_short_leaves_the_old_pair(provide, tmp_path):
    own, server = provide()
    (tmp_path / ".server.pem.new").write_bytes(b"-----BEGIN CERT")
    (tmp_path / ".authority.pem.new").write_bytes(b"")
    assert provide() == (own, server)
    again, _ = provide((*NAMES, general_name("pacs.clinic")))
    assert again != own
    assert not list(tmp_path.glob(".*.new"))


def test_a_cut_between_the_two_pairs_is_mended(provide, tmp_path, clock):
    provide()
    stale = (tmp_path / "server.pem").read_bytes()
    provide((*NAMES, general_name("pacs.clinic")))
    (tmp_path / "server.pem").write_bytes(stale)
    own, server = provide((*NAMES, general_name("pacs.clinic")))
    assert server.issuer == own.subject
    assert openssl_verify(tmp_path, server).returncode == 0


def test_a_lost_public_copy_comes_back(provide, tmp_path):
    provide()
    before = (tmp_path / "ca.crt").read_bytes()
    (tmp_path / "ca.crt").unlink()
    provide()
    assert (tmp_path / "ca.crt").read_bytes() == before


@pytest.mark.parametrize("damage", [b"", b"junk", b"-----BEGIN ENCRYPTED PRIVATE KEY-----\n!!"])
def test_a_damaged_pair_is_never_replaced_silently(provide, tmp_path, damage):
    provide()
    (tmp_path / "authority.pem").write_bytes(damage)
    with pytest.raises(WrongKey):
        provide()
    assert (tmp_path / "authority.pem").read_bytes() == damage


def test_a_damaged_server_certificate_is_made_anew_by_the_authority_that_is_trusted(
    provide, tmp_path
):
    authority, server = provide()
    (tmp_path / "server.pem").write_bytes(b"junk")
    assert provide()[0] == authority
    assert provide()[1] != server


def test_every_flipped_byte_of_the_encrypted_key_is_noticed(provide, tmp_path):
    provide()
    path = tmp_path / "authority.pem"
    good = path.read_bytes()
    begin = good.index(b"-----BEGIN ENCRYPTED") + 80
    for position in range(begin, len(good) - 60, 37):
        changed = bytearray(good)
        changed[position] = ord("A") if changed[position] != ord("A") else ord("B")
        path.write_bytes(changed)
        with pytest.raises(WrongKey):
            provide()


def test_a_key_of_another_kind_is_refused(provide, tmp_path):
    own, _ = provide()
    key = ed25519.Ed25519PrivateKey.generate().private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.BestAvailableEncryption(PASSPHRASE),
    )
    pem = own.public_bytes(serialization.Encoding.PEM) + key
    (tmp_path / "authority.pem").write_bytes(pem)
    with pytest.raises(WrongKey, match="did not make"):
        provide()
