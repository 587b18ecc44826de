import pytest

from edge.others import Peer
from edge.peering import fault_of, fingerprint_in, is_ae_title, is_network, namesakes

SHA256 = "AB:" * 31 + "CD"


@pytest.mark.parametrize(
    "text", [SHA256, SHA256.lower(), SHA256.replace(":", ""), f"sha256 {SHA256}", f" {SHA256} "]
)
def test_a_fingerprint_is_known_however_it_is_written(text):
    assert fingerprint_in(text) == "ab" * 31 + "cd"


@pytest.mark.parametrize("text", ["CT1", "ct1.clinic.example", "CN=CT1,O=Clinic", "ab", ""])
def test_a_name_is_no_fingerprint(text):
    assert fingerprint_in(text) == ""


def test_a_network_has_more_than_one_address():
    assert is_network("10.0.0.0/24")
    assert not is_network("10.0.0.5")
    assert not is_network("10.0.0.5/32")
    assert not is_network("ct1.clinic.example")


@pytest.mark.parametrize(("title", "sound"), [("CT 1", True), (" ", False), ("A" * 17, False)])
def test_an_ae_title_has_1_to_16_characters(title, sound):
    assert is_ae_title(title) is sound


@pytest.mark.parametrize(
    "host", ["", "10.0.0.5", "10.0.0.0/24", "10.0.0.7/24", "ct1", "ct1.x.example", "fe80::1%eth0"]
)
def test_a_host_is_an_address_a_network_or_a_name(host):
    assert fault_of(Peer("CT1", host), has_authority=False) is None


@pytest.mark.parametrize(
    ("peer", "key"),
    [
        (Peer("CT\\1"), "ae_title"),
        (Peer("CT1", "two words"), "host"),
        (Peer("CT1", "10.0.0.256"), "host"),
        (Peer("CT1", "10.0.0.0/33"), "host"),
        (Peer("CT1", port=70000), "port"),
        (Peer("CT1", name="a\nb"), "name"),
        (Peer("CT1", certificate=SHA256[:-2]), "certificate"),
        (Peer("CT1", certificate="CT\n1"), "certificate"),
    ],
)
def test_what_can_not_be_meant_is_named_by_its_key(peer, key):
    fault = fault_of(peer, has_authority=True)
    assert fault.key == key
    assert fault.what


def test_a_certificate_that_nobody_would_ask_for_is_a_fault():
    peer = Peer("CT1", certificate=SHA256)
    assert fault_of(peer, has_authority=True) is None
    assert "tls_ca" in fault_of(peer, has_authority=False).what


def test_namesakes_are_those_that_share_a_title():
    first, second = Peer("CT1", "10.0.0.1"), Peer("CT1 ", "10.0.0.2")
    assert namesakes([first, Peer("MR1"), second]) == {"CT1": [first, second]}
