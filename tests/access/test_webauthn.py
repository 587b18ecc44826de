"""What a browser is asked, and what about its answer must hold."""

from __future__ import annotations

import cbor2
import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from edge.access import webauthn
from edge.access.webauthn import Site, WrongAnswer
from edge.errors import UserRefused
from tests.access.authenticator import PRESENT, VERIFIED, Authenticator, text

SITE = Site("box.local:8443")
ORIGIN = "https://box.local:8443"
CHALLENGE = b"a challenge of some length"


@pytest.fixture
def device():
    return Authenticator()


def creation(site=SITE):
    return webauthn.creation_options(
        site, CHALLENGE, box="edge", handle=b"h" * 16, name="anna", display_name="", known=[b"k"]
    )


def made(device, origin=ORIGIN, site=SITE, **wrong):
    answer = device.make(creation(site), origin, **wrong)
    return webauthn.verify_new(answer, site, CHALLENGE)


def answered(device, key, origin=ORIGIN, site=SITE, **wrong):
    answer = device.answer(webauthn.request_options(site, CHALLENGE), origin, **wrong)
    return webauthn.verify_answer(answer, site, CHALLENGE, key.public_key)


def test_a_passkey_is_made_and_answers(device):
    key = made(device)
    assert key.credential_id == device.credential_id
    assert answered(device, key) == 2


def test_what_is_asked_needs_a_finger_and_says_nothing_of_who_has_one():
    asked = webauthn.request_options(SITE, CHALLENGE)
    assert asked["userVerification"] == "required"
    assert asked["allowCredentials"] == []
    assert asked["rpId"] == "box.local"
    asked = creation()
    assert asked["authenticatorSelection"]["residentKey"] == "required"
    assert asked["attestation"] == "none"
    assert asked["excludeCredentials"] == [{"type": "public-key", "id": "aw"}]
    assert asked["user"]["displayName"] == "anna"


@pytest.mark.parametrize(
    ("host", "rp_id", "origin"),
    [
        ("box.local:8443", "box.local", "https://box.local:8443"),
        ("BOX.Local", "box.local", "https://box.local"),
        ("edge", "edge", "https://edge"),
    ],
)
def test_a_passkey_is_for_the_name_that_the_browser_calls(host, rp_id, origin):
    assert Site(host).rp_id == rp_id
    assert Site(host).origins == [origin]


def test_without_tls_browsers_know_passkeys_on_localhost_alone():
    assert Site("localhost:80").origins == ["https://localhost:80", "http://localhost:80"]


@pytest.mark.parametrize(
    "host", ["192.168.1.10:8443", "192.168.1.10", "[::1]:8443", "[fe80::1]", "["]
)
def test_an_address_is_no_name(host):
    with pytest.raises(UserRefused, match="by an address"):
        _ = Site(host).rp_id


WRONG = {
    "another challenge": {"client": {"challenge": text(b"another")}},
    "another origin": {"client": {"origin": "https://evil.example"}},
    "a neighbour's origin": {"client": {"origin": "https://box.local"}},
    "no TLS": {"client": {"origin": "http://box.local:8443"}},
    "another ceremony": {"client": {"type": "payment.get"}},
    "another name": {"rp_id": "evil.example"},
    "nobody there": {"flags": VERIFIED},
    "nobody proved": {"flags": PRESENT},
}


@pytest.mark.parametrize("what", WRONG)
def test_an_answer_that_is_wrong_is_none(device, what):
    with pytest.raises(WrongAnswer):
        made(Authenticator(), **WRONG[what])
    key = made(device)
    with pytest.raises(WrongAnswer):
        answered(device, key, **WRONG[what])


def test_a_signature_of_another_key_is_none(device):
    key = made(device)
    for wrong in ({"signer": ec.generate_private_key(ec.SECP256R1())}, {"signature": b"x" * 70}):
        with pytest.raises(WrongAnswer):
            answered(device, key, **wrong)


def test_the_answer_of_the_other_ceremony_is_none(device):
    key = made(device)
    asked = device.answer(webauthn.request_options(SITE, CHALLENGE), ORIGIN)
    with pytest.raises(WrongAnswer):
        webauthn.verify_new(asked, SITE, CHALLENGE)
    other = device.make(creation(), ORIGIN)
    with pytest.raises(WrongAnswer):
        webauthn.verify_answer(other, SITE, CHALLENGE, key.public_key)


def test_a_frame_in_a_page_of_somebody_elses_answers_nothing(device):
    answer = device.answer(
        webauthn.request_options(SITE, CHALLENGE), ORIGIN, client={"crossOrigin": True}
    )
    assert webauthn.challenge_in(answer) == b""


def test_what_an_answer_says_of_itself_is_read(device):
    made(device)
    answer = device.answer(webauthn.request_options(SITE, CHALLENGE), ORIGIN)
    assert webauthn.challenge_in(answer) == CHALLENGE
    assert webauthn.credential_id_in(answer) == device.credential_id
    assert webauthn.handle_in(answer) == b"h" * 16


def test_attestation_that_was_not_asked_for_is_not_read(device):
    with pytest.raises(WrongAnswer, match="not asked for"):
        made(device, fmt="android-safetynet", statement={"ver": "1", "response": b"x"})


@pytest.mark.parametrize(
    "attestation",
    [b"", b"\xff" * 100, b"\x9f" * 50_000, cbor2.dumps([]), cbor2.dumps({"fmt": "none"}), b"\xa1"],
)
def test_hostile_structures_are_wrong_answers_and_no_defects(device, attestation):
    with pytest.raises(WrongAnswer):
        made(device, response={"attestationObject": text(attestation)})


@pytest.mark.parametrize(
    "credential",
    [
        {},
        {"id": 5},
        {"id": "AA", "rawId": "AA", "type": "public-key", "response": []},
        {"id": "AA", "rawId": "AA", "type": "x", "response": {}},
        {"id": "é", "response": {"clientDataJSON": "é", "userHandle": 3}},
        {"response": {"clientDataJSON": text(b"[" * 100_000)}},
        {"response": {"clientDataJSON": text(b'"text"')}},
        {"response": {"clientDataJSON": text(b"\xff")}},
    ],
)
def test_hostile_credentials_are_wrong_answers_and_no_defects(credential):
    assert webauthn.challenge_in(credential) == b""
    webauthn.credential_id_in(credential)
    webauthn.handle_in(credential)
    with pytest.raises(WrongAnswer):
        webauthn.verify_new(credential, SITE, CHALLENGE)
    with pytest.raises(WrongAnswer):
        webauthn.verify_answer(credential, SITE, CHALLENGE, b"")


def test_log_injection_what_a_stranger_says_is_no_line_of_the_log(device):
    with pytest.raises(WrongAnswer) as caught:
        made(device, client={"origin": "https://x\nERROR forged \x1b[2J" + "y" * 1000})
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 300


def test_an_id_that_is_too_long_is_refused():
    device = Authenticator()
    device.credential_id = b"x" * 1024
    with pytest.raises(WrongAnswer, match="too long"):
        made(device)
