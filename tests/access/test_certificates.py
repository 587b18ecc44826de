import pytest

from edge.access.certificates import is_certificate, sha256, shown
from tests.dimse.pki import Clinic


@pytest.fixture(scope="module")
def pair(tmp_path_factory):
    return Clinic(tmp_path_factory.mktemp("pki")).issue("ct1.example", "ct1-alias.example")


def test_a_certificate_is_known_by_its_fingerprint(pair):
    assert is_certificate(pair.der, pair.sha256)
    assert is_certificate(pair.der, pair.sha256.replace(":", "").lower())
    assert not is_certificate(pair.der, sha256(b"another"))


@pytest.mark.parametrize("name", ["ct1.example", "CT1.example", "ct1-alias.example"])
def test_a_certificate_is_known_by_the_names_in_it(pair, name):
    assert is_certificate(pair.der, name)


def test_a_whole_subject_names_it_and_a_part_of_a_name_does_not(pair):
    subject = shown(pair.der).partition(" (SHA-256")[0]
    assert "CN=ct1.example" in subject
    assert is_certificate(pair.der, subject)
    for name in ("ct1", "example", "*", "", " "):
        assert not is_certificate(pair.der, name)


def test_what_is_no_certificate_is_nobodys(pair):
    assert not is_certificate(b"rubbish", "ct1.example")
    assert "can't be read" in shown(b"rubbish")
    assert shown(pair.der).isascii()
