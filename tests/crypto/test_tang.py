"""The exchange of McCallum and Relyea, against Debian's own server."""

from __future__ import annotations

import base64
import json
import subprocess

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

from edge.crypto.tang import Point, Question, _key_of, bind, exchange_keys, thumbprint
from edge.errors import KeyUnavailable
from tests.fakes import tang
from tests.fakes.tang import Tang

CURVE = ec.SECP521R1()


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    if why := tang.missing():
        pytest.skip(why)
    with Tang(tmp_path_factory.mktemp("tang") / "keys") as server:
        yield server


@pytest.fixture
def key(server):
    (found,) = exchange_keys(json.dumps(server.advertised()).encode(), server.thumbprint)
    return found


def a_point(number=None):
    secret = (
        ec.generate_private_key(CURVE) if number is None else ec.derive_private_key(number, CURVE)
    )
    return Point.of(secret.public_key())


# Points


def test_sums_are_those_of_the_library():
    points = {number: a_point(number) for number in (1, 2, 3, 5, 8, 13)}
    assert points[1].plus(points[2]) == points[3]
    assert points[5].plus(points[3]) == points[8]
    assert points[8].plus(points[5]) == points[13]


def test_a_sum_that_is_none_is_refused():
    one = a_point()
    for other in Point.both_at(one.x):
        with pytest.raises(ValueError, match="no sum"):
            one.plus(other)


def test_of_one_coordinate_there_are_two_points_and_they_are_each_others_negative():
    one = a_point(7)
    both = list(Point.both_at(one.x))
    assert one in both
    order = ec.derive_private_key(7, CURVE)
    assert order.public_key().public_numbers().x == both[0].x == both[1].x
    assert (both[0].y + both[1].y) % (2**521 - 1) == 0
    for point in both:
        point.key()


def test_a_point_that_is_not_on_the_curve_is_taken_in_no_form():
    one = a_point()
    off = Point(one.x, one.y ^ 1)
    with pytest.raises(ValueError):  # noqa: PT011 - its words are the library's
        Point.from_bytes(off.to_bytes())
    with pytest.raises(ValueError):  # noqa: PT011
        Point.from_jwk(off.to_jwk())
    for jwk in ({}, {"kty": "EC", "crv": "P-256"}, {**one.to_jwk(), "x": 5}):
        with pytest.raises(ValueError):  # noqa: PT011
            Point.from_jwk(jwk)
    assert Point.from_jwk(one.to_jwk()) == Point.from_bytes(one.to_bytes()) == one


# What a server advertises


def test_a_thumbprint_is_what_the_servers_own_tools_say(server):
    (jwk,) = (key for key in keys_of(server.advertised()) if "verify" in key["key_ops"])
    assert thumbprint(jwk) == server.thumbprint


def keys_of(advertised):
    payload = advertised["payload"]
    return json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))["keys"]


def test_an_advertisement_is_believed_only_by_the_thumbprint_that_was_configured(server):
    with pytest.raises(KeyUnavailable, match="another key than the thumbprint") as refused:
        exchange_keys(json.dumps(server.advertised()).encode(), "A" * 43)
    assert server.thumbprint in str(refused.value)
    assert "tang-show-keys" in refused.value.hint


def encoded(data):
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def signed(keys, *secrets, header=None, change=lambda signature: signature):
    """An advertisement as a server makes it, by keys of the test's own."""
    payload = encoded(json.dumps({"keys": keys}).encode())
    signatures = []
    for secret in secrets:
        protected = encoded(json.dumps(header or {"alg": "ES512"}).encode())
        der = secret.sign(f"{protected}.{payload}".encode(), ec.ECDSA(hashes.SHA512()))
        raw = b"".join(part.to_bytes(66, "big") for part in decode_dss_signature(der))
        signatures.append({"protected": protected, "signature": encoded(change(raw))})
    return json.dumps({"payload": payload, "signatures": signatures}).encode()


def jwk_of(secret, *operations):
    return {**Point.of(secret.public_key()).to_jwk(), "key_ops": list(operations)}


@pytest.fixture(scope="module")
def secrets():
    return [ec.generate_private_key(CURVE) for _ in range(3)]


def test_every_key_that_signs_must_have_signed(secrets):
    first, second, exchange = secrets
    keys = [jwk_of(first, "verify"), jwk_of(second, "verify"), jwk_of(exchange, "deriveKey")]
    trusted = thumbprint(keys[0])
    expected = [Point.of(exchange.public_key())]
    assert exchange_keys(signed(keys, first, second), trusted) == expected
    assert exchange_keys(signed(keys, second, first), trusted) == expected
    for some in ([first], [second], [], [exchange, exchange]):
        with pytest.raises(KeyUnavailable, match="not signed by all"):
            exchange_keys(signed(keys, *some), trusted)


def test_a_forged_advertisement_is_not_believed(secrets):
    first, second, exchange = secrets
    keys = [jwk_of(first, "verify"), jwk_of(exchange, "deriveKey")]
    trusted = thumbprint(keys[0])
    right = json.loads(signed(keys, first))
    forged = signed([keys[0], jwk_of(second, "deriveKey")], first)
    for bad in (
        json.dumps({**right, "payload": json.loads(forged)["payload"]}).encode(),
        signed(keys, first, change=lambda raw: raw[:-1] + bytes([raw[-1] ^ 1])),
        signed(keys, first, change=lambda raw: raw[:-1]),
        signed(keys, first, header={"alg": "none"}),
        signed(keys, first, header={"alg": "HS512"}),
    ):
        with pytest.raises(KeyUnavailable):
            exchange_keys(bad, trusted)


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"<html>",
        b"[]",
        b"{}",
        b'{"payload": 5}',
        b'{"payload": "e30"}',
        b'{"payload": "W10", "signatures": [5]}',
        b"[" * 100_000,
        b'{"payload": "\xff"}',
    ],
    ids=range(9),
)
def test_what_can_not_be_understood_is_no_advertisement(answer):
    with pytest.raises(KeyUnavailable, match="can't be understood"):
        exchange_keys(answer, "A" * 43)


def test_a_server_without_a_key_for_an_exchange_is_of_no_use(secrets):
    keys = [jwk_of(secrets[0], "verify")]
    with pytest.raises(KeyUnavailable, match="no key for an exchange"):
        exchange_keys(signed(keys, secrets[0]), thumbprint(keys[0]))


# The exchange


def post(server, path, body):
    head = f"POST {path} HTTP/1.1\r\nHost: a\r\nContent-Length: {len(body)}\r\n\r\n"
    return server._answer(head.encode() + body).partition(b"\r\n\r\n")[2]


def test_the_server_gives_back_what_was_bound_to_it(server, key):
    binding, secret = bind(key)
    for _ in range(4):
        question = Question(binding)
        candidates = question.candidates(post(server, binding.path, question.body()))
        assert candidates.count(secret) == 1
        assert len(candidates) == 2


def test_the_servers_own_tools_agree_on_the_shared_point(server, key, tmp_path):
    """``jose jwk exc`` computes S·c where our library computed C·s."""
    binding, secret = bind(key)
    ours = tmp_path / "ours.jwk"
    ours.write_text(json.dumps({**binding.ours.to_jwk(), "alg": "ECMR", "key_ops": ["deriveKey"]}))
    private = str(server.folder / "exc.jwk")
    told = subprocess.check_output(["jose", "jwk", "exc", "-l", private, "-r", str(ours)])
    shared = Point.from_jwk(json.loads(told))
    assert _key_of(shared.x.to_bytes(66, "big"), binding) == secret


def test_who_listens_and_the_server_itself_see_another_question_each_time(key):
    binding, _ = bind(key)
    asked = {Question(binding).body() for _ in range(5)}
    assert len(asked) == 5
    assert not any(binding.ours.to_jwk()["x"].encode() in body for body in asked)


def test_another_server_gives_back_something_else(server, key, tmp_path):
    other = Tang(tmp_path / "other")
    binding, secret = bind(key)
    question = Question(binding)
    (exchange,) = exchange_keys(json.dumps(other.advertised()).encode(), other.thumbprint)
    path = f"/rec/{thumbprint(exchange.to_jwk())}"
    assert secret not in question.candidates(post(other, path, question.body()))


@pytest.mark.parametrize(
    "answer", [b"", b"5", b"{}", b'{"kty":"EC","crv":"P-521","x":"AA","y":"AA"}'], ids=range(4)
)
def test_an_answer_that_is_no_point_is_none(key, answer):
    binding, _ = bind(key)
    with pytest.raises(KeyUnavailable, match="can't be understood"):
        Question(binding).candidates(answer)
