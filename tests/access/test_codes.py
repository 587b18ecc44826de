"""Codes: typed from paper, kept as a hash."""

import pytest

from edge.access import codes


def test_a_code_has_80_random_bits_and_is_easy_to_read():
    made = {codes.new_code() for _ in range(100)}
    assert len(made) == 100
    for code in made:
        assert len(code.replace("-", "")) == 16
        assert set(code) <= set("0123456789ABCDEFGHJKMNPQRSTVWXYZ-")


def test_how_it_is_typed_does_not_matter():
    code = "0123-4567-89AB-CDEF"
    kept = codes.digest_of(code)
    for typed in (code.lower(), " 0123 4567 89ab cdef ", "0123456789abcdef"):
        assert codes.digest_of(typed) == kept, typed
    assert codes.digest_of("OI23-4567-89AB-CDEF") == kept
    assert codes.digest_of("Ol23-4567-89AB-CDEF") == kept


@pytest.mark.parametrize(
    "typed", ["", "0123", "0123-4567-89AB-CDEU", "é" * 16, "0" * 17, "0" * 10**6]
)
def test_what_can_be_no_code_is_none(typed):
    assert codes.digest_of(typed) is None
    assert codes.recovery_digest("anna", typed) is None


def test_recovery_codes_are_of_one_user_and_no_other_code():
    made = codes.new_recovery_codes()
    assert len(set(made)) == 10
    one = made[0]
    assert codes.digest_of(one) is None
    assert codes.recovery_digest("anna", one) == codes.recovery_digest("anna", one.lower())
    assert codes.recovery_digest("anna", one) != codes.recovery_digest("bert", one)
    assert codes.recovery_digest("anna", codes.new_code()) is None


def test_nothing_of_a_code_is_kept():
    code = codes.new_code()
    assert code.encode() not in codes.digest_of(code)
    assert len(codes.digest_of(code)) == 32
