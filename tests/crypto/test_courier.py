"""A bundle opens for its recipients alone, and nobody states anything in another's name."""

from __future__ import annotations

import hashlib

import pytest

from edge.crypto.courier import MAX_ENVELOPE, Place, PlaceKeys, Stranger, new_bundle
from edge.crypto.sealed import HEADER_LENGTH, Algorithm
from edge.errors import SealBroken, SecretError, WrongKey
from tests.fakes.courier import place

BOX, HOSPITAL, OFFICE, THIEF = map(place, ("box", "hospital", "office", "thief"))


@pytest.fixture
def key():
    return BOX.own_bundle(new_bundle())


@pytest.fixture
def envelope(key):
    return key.envelope([HOSPITAL.place, OFFICE.place])


def changed(data, at, by=1):
    return data[:at] + bytes([data[at] ^ by]) + data[at + 1 :]


def test_every_recipient_opens_it_and_nobody_else(key, envelope):
    for recipient in (HOSPITAL, OFFICE):
        assert recipient.open_envelope(key.bundle, envelope) == key
    for other in (THIEF, BOX):
        with pytest.raises(WrongKey, match="sealed for another place"):
            other.open_envelope(key.bundle, envelope)


def test_the_box_knows_its_own_again_without_having_kept_a_key(key, envelope):
    assert place("box").made(key.bundle, envelope) == key
    assert HOSPITAL.made(key.bundle, envelope) is None
    assert BOX.made(new_bundle(), envelope) is None
    assert BOX.made(key.bundle, b"") is None


def test_an_envelope_names_nobody_and_is_another_each_time(key, envelope):
    for who in (BOX, HOSPITAL, OFFICE):
        for public in (who.place.sealing, who.place.signing, who.place.digest[:8]):
            assert public not in envelope
    again = key.envelope([HOSPITAL.place, OFFICE.place])
    assert len(again) == len(envelope) <= MAX_ENVELOPE
    assert again[-160:] != envelope[-160:]


def test_an_envelope_that_was_changed_anywhere_or_cut_gives_no_key(key, envelope):
    for at in range(len(envelope)):
        opened = set()
        for recipient in (HOSPITAL, OFFICE):
            try:
                opened.add(recipient.open_envelope(key.bundle, changed(envelope, at)).secret)
            except SecretError:
                continue
        # What was changed for the one leaves the other's alone.
        assert opened <= {key.secret}
    for length in range(len(envelope)):
        with pytest.raises(SealBroken):
            HOSPITAL.open_envelope(key.bundle, envelope[:length])
    with pytest.raises(SealBroken):
        HOSPITAL.open_envelope(new_bundle(), envelope)


def test_a_newer_version_is_said_to_be_one(key, envelope):
    with pytest.raises(SealBroken, match="version 2, newer"):
        HOSPITAL.open_envelope(key.bundle, envelope[:8] + b"\2" + envelope[9:])


def test_nothing_is_sealed_for_a_key_that_is_none(key):
    nobody = Place(bytes(32), HOSPITAL.place.signing)
    with pytest.raises(WrongKey, match="it is no key"):
        key.envelope([nobody])


def test_a_statement_says_who_and_what(key):
    sealed = key.state("complete", b"all of it", BOX)
    assert key.stated("complete", sealed, [OFFICE.place, BOX.place]) == (BOX.place, b"all of it")
    assert b"all of it" not in sealed
    assert BOX.place.signing not in sealed


def test_a_statement_of_nobody_that_is_known_names_who_made_it(key):
    with pytest.raises(Stranger) as found:
        key.stated("complete", key.state("complete", b"", THIEF), [BOX.place])
    assert found.value.place == THIEF.place
    assert THIEF.place.fingerprint in str(found.value)


def test_a_statement_that_was_changed_moved_or_cut_is_none(key):
    sealed = key.state("0001.list", b"one", BOX)
    for at in range(len(sealed)):
        with pytest.raises(SealBroken):
            key.stated("0001.list", changed(sealed, at), [BOX.place])
    for data, name, of in (
        (sealed, "0002.list", key),
        (sealed, "0001.list", BOX.own_bundle(new_bundle())),
        (sealed[:-1], "0001.list", key),
        (b"", "0001.list", key),
    ):
        with pytest.raises(SealBroken):
            of.stated(name, data, [BOX.place])


def test_a_recipient_has_the_key_and_can_sign_nothing_for_the_box(key):
    """Who can open a bundle can seal into it; the signature is what it lacks."""
    forged = BOX.place.to_bytes() + THIEF.sign(b"anything") + b"content"
    header, sealer = key.sealer("0001.list", Algorithm.AES_256_GCM)
    sealed = b"".join([header, *sealer.seal(forged), sealer.finish()])
    with pytest.raises(SealBroken, match="signature"):
        key.stated("0001.list", sealed, [BOX.place])
    # Nor can a true statement be taken over into another bundle, sealed anew.
    true = key.state("0001.list", b"one", BOX)
    opener = key.opener(
        "0001.list", true[:HEADER_LENGTH], len(true), lambda at, most: true[at : at + most]
    )
    other = BOX.own_bundle(new_bundle())
    header, sealer = other.sealer("0001.list", Algorithm.AES_256_GCM)
    moved = b"".join([header, *sealer.seal(opener.read(0, opener.length)), sealer.finish()])
    with pytest.raises(SealBroken, match="signature"):
        other.stated("0001.list", moved, [BOX.place])


def test_a_public_key_can_be_written_down_and_compared():
    text = " ".join(HOSPITAL.place.to_groups())
    assert Place.from_text(text) == HOSPITAL.place
    assert HOSPITAL.place.fingerprint == place("hospital").place.fingerprint
    assert HOSPITAL.place.fingerprint != OFFICE.place.fingerprint
    typo = ("2" if text[3] == "3" else "3").join([text[:3], text[4:]])
    with pytest.raises(WrongKey, match="group 1 of the courier key") as found:
        Place.from_text(typo)
    assert "edge courier key" in found.value.hint


def test_keys_are_of_the_root_secret_and_stand_in_no_repr():
    other = PlaceKeys(lambda purpose: hashlib.sha256(b"another root " + purpose.encode()).digest())
    assert other.place != BOX.place
    key = BOX.own_bundle("00" * 8)
    assert repr(key.secret) not in repr(key)
