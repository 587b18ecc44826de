"""What may be chosen as a passphrase, and what a guess costs."""

from __future__ import annotations

import pytest

from edge.crypto.passphrases import Stretching, normal, require_strength, wipe
from edge.errors import SecretError

GOOD = "seven herons over a wet field"


def test_a_guess_costs_64_mib_and_three_passes_unless_said_otherwise():
    how = Stretching.new()
    assert (how.memory_kib, how.passes, how.lanes, len(how.salt)) == (65536, 3, 4, 16)
    assert how.salt != Stretching.new().salt


def test_the_key_follows_from_passphrase_salt_and_cost():
    cheap = {"memory_kib": 64, "passes": 1, "lanes": 1}
    one = Stretching(bytes(16), **cheap)
    keys = {
        one.key(normal(GOOD)),
        one.key(normal(GOOD + "s")),
        Stretching(b"1" * 16, **cheap).key(normal(GOOD)),
        Stretching(bytes(16), 64, 2, 1).key(normal(GOOD)),
        Stretching(bytes(16), 128, 1, 1).key(normal(GOOD)),
    }
    assert len(keys) == 5
    assert one.key(normal(GOOD)) in keys


@pytest.mark.parametrize(
    "how",
    [
        Stretching(bytes(16), 2**30, 3, 4),
        Stretching(bytes(16), 65536, 10**6, 4),
        Stretching(bytes(16), 65536, 3, 1000),
        Stretching(bytes(16), 1, 3, 4),
        Stretching(b"", 65536, 3, 4),
    ],
    ids=["memory", "passes", "lanes", "too little memory", "no salt"],
)
def test_parameters_that_a_box_can_not_do_are_refused_before_it_tries(how):
    with pytest.raises(SecretError, match="can't be stretched"):
        how.key(normal(GOOD))


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("short one 1234", "14 characters"),
        ("aabbaabbaabbaabb", "few different"),
        ("password password password", "over and over"),
        ("qwertyuiopasdfgh", "row of keys"),
        ("ponmlkjihgfedcba", "row of keys"),
        ("0123456789abcdefg", "row of keys"),
    ],
)
def test_what_is_easily_guessed_is_not_taken_and_not_repeated(text, why):
    with pytest.raises(SecretError, match=why) as refused:
        require_strength(normal(text))
    assert text not in str(refused.value) + refused.value.hint


@pytest.mark.parametrize(
    "text",
    [GOOD, "Löwe und Äpfel im März", "x7-Kq2-mZ9-pL4!", "日本語の合言葉は長くないと駄目です"],
)
def test_what_is_long_is_taken_in_any_language(text):
    require_strength(normal(text + "…"))


def test_however_a_keyboard_composes_its_accents_it_is_the_same():
    assert normal("Löwe") == normal("Lo\u0308we") == normal(b"L\xc3\xb6we\n")
    assert normal("a \n") == bytearray(b"a ")


def test_what_is_no_text_or_far_too_long_is_refused():
    with pytest.raises(SecretError, match="UTF-8"):
        normal(b"\xff\xfe")
    with pytest.raises(SecretError, match="1024"):
        normal("x" * 1025)


def test_a_secret_is_wiped_in_place():
    secret = bytearray(b"secret")
    wipe(secret)
    assert secret == bytearray(6)
