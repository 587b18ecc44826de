"""What reads a body whole, because it is short when it is right: the admin API and the log-in."""

from __future__ import annotations

import gzip
import json
import time

import pytest

from tests.conformance.service import JSON

PATHS = ("/api/v1/peers", "/api/v1/expected", "/api/v1/pins", "/api/v1/users", "/login")


def at(service, path: str) -> str:
    return service.base.removesuffix("/dicom-web") + path


def send(service, path: str, body: bytes, kind: str = "application/json"):
    headers = {"Content-Type": kind}
    return service.request("POST", at(service, path), headers=headers, content=body)


@pytest.mark.parametrize("path", PATHS)
def test_json_of_a_hundred_megabytes_is_not_read(path, service):
    answer = send(service, path, b'{"name": "' + b"x" * 100_000_000 + b'"}')
    assert answer.status_code in (400, 413)


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize(
    "body",
    [
        b"[" * 500_000,
        b'{"a":' * 150_000,
        b"[" + b"[]," * 300_000 + b"[]]",
        b'{"a": ' + b"9" * 900_000 + b"}",
        b'{"a": "' + b"\\u0000" * 150_000 + b'"}',
        json.dumps({f"k{number}": number for number in range(60_000)}).encode(),
        b'\xff\xfe{"name": 1}',
        b"",
    ],
    ids=lambda body: repr(body[:12]),
)
def test_json_that_is_deep_or_wide_or_none_is_refused_at_once(body, path, service):
    began = time.monotonic()
    answer = send(service, path, body)
    assert answer.status_code in (400, 413), answer.text
    assert time.monotonic() - began < 10


def test_a_body_that_is_packed_small_is_not_unpacked_large(service):
    bomb = gzip.compress(b"[" * 200_000_000, 9)
    headers = {"Content-Type": "application/json", "Content-Encoding": "gzip"}
    for path in PATHS:
        answer = service.request("POST", at(service, path), headers=headers, content=bomb)
        assert answer.status_code in (400, 413, 415), path


def test_a_body_that_comes_a_byte_at_a_time_keeps_nobody_from_an_answer(wire, service):
    """One byte a second, as it were: faster, so that the test ends."""
    kinds = {
        "/dicom-web/studies": "application/dicom",
        "/api/v1/peers": "application/json",
        "/login": "application/json",
    }
    slow = []
    for path, kind in kinds.items():
        for _ in range(30):
            one = wire()
            one.send(
                f"POST {path} HTTP/1.1\r\n{one.head}Content-Type: {kind}\r\n"
                f"Content-Length: 5000\r\n\r\n".encode()
            )
            slow.append(one)
    for number in range(12):
        for one in slow:
            one.send(b"{" if number == 0 else b" ")
        began = time.monotonic()
        answer = service.get("/studies", JSON, PatientID="nobody")
        assert answer.status_code in (200, 204)
        assert time.monotonic() - began < 5
        time.sleep(0.1)
