"""One-time passwords of an app: the arithmetic of RFC 6238."""

from __future__ import annotations

from base64 import b32decode
from urllib.parse import parse_qs, unquote, urlsplit

import pytest

from edge.access import totp

SECRET = b"12345678901234567890"


@pytest.mark.parametrize(
    ("moment", "code"),
    [
        (59, "287082"),
        (1111111109, "081804"),
        (1111111111, "050471"),
        (1234567890, "005924"),
        (2000000000, "279037"),
        (20000000000, "353130"),
    ],
)
def test_codes_are_those_of_rfc_6238_appendix_b(moment, code):
    assert totp.code_of(SECRET, moment // 30) == code
    assert totp.matching_step(SECRET, code, moment, after=0) == moment // 30


@pytest.mark.parametrize(
    ("steps", "fits"), [(-2, False), (-1, True), (0, True), (1, True), (2, False)]
)
def test_a_clock_may_be_off_by_a_step(steps, fits):
    now = 1_900_000_000
    code = totp.code_of(SECRET, now // 30 + steps)
    assert (totp.matching_step(SECRET, code, now, after=0) is not None) == fits


def test_replay_a_step_that_was_used_or_one_before_it_is_none():
    now = 1_900_000_000
    step = now // 30
    for used in (step, step + 1):
        assert totp.matching_step(SECRET, totp.code_of(SECRET, step), now, after=used) is None
    assert totp.matching_step(SECRET, totp.code_of(SECRET, step), now, after=step - 1) == step


@pytest.mark.parametrize(
    "typed", ["", "12345", "1234567", "abcdef", "28708²", "٢٨٧٠٨٢", "-28708", "0x2870"]
)
def test_what_is_no_code_is_none(typed):
    assert totp.matching_step(SECRET, typed, 59, after=0) is None


def test_blanks_between_do_not_matter():
    assert totp.matching_step(SECRET, " 287 082 ", 59, after=0) == 1


def test_a_clock_at_the_beginning_of_time_is_no_defect():
    assert totp.matching_step(SECRET, totp.code_of(SECRET, 0), 0.0, after=-1) == 0


def test_secrets_have_160_random_bits():
    made = {totp.new_secret() for _ in range(20)}
    assert len(made) == 20
    assert {len(secret) for secret in made} == {20}
    assert b32decode(totp.written(SECRET)) == SECRET


def test_an_app_learns_all_from_the_uri():
    url = urlsplit(totp.uri_of(SECRET, "anna@clinic", "edge: room 1&2"))
    said = parse_qs(url.query)
    assert (url.scheme, url.netloc) == ("otpauth", "totp")
    assert unquote(url.path) == "/edge: room 1&2:anna@clinic"
    assert b32decode(said["secret"][0]) == SECRET
    assert said["issuer"] == ["edge: room 1&2"]
    assert (said["algorithm"], said["digits"], said["period"]) == (["SHA1"], ["6"], ["30"])
