"""Requests that ask for too much, come too slowly, or come from where they should not."""

from __future__ import annotations

import time

import pytest

from tests.conformance import material
from tests.conformance.service import JSON, related


@pytest.fixture(scope="module")
def slice_(service):
    """An image to ask for."""
    sample = material.build().fresh()
    assert service.store_instances([sample.data]).status_code == 200
    return sample


def ask(wire, target: str, headers: str = "", method: str = "GET") -> int:
    one = wire()
    one.send(f"{method} {target} HTTP/1.1\r\n{one.head}{headers}\r\n".encode())
    return one.status()


# Too long


def test_a_request_line_and_header_fields_without_end(wire):
    assert ask(wire, "/dicom-web/studies?PatientID=" + "x" * 1_000_000) in (0, 400, 414, 431)
    assert ask(wire, "/dicom-web/studies", "X-A: " + "x" * 1_000_000 + "\r\n") in (0, 400, 431)
    assert ask(wire, "/dicom-web/studies", "X-A: x\r\n" * 100_000) in (0, 400, 431)


def test_an_accept_header_of_a_thousand_members(service, slice_):
    accept = ", ".join(f'multipart/related; type="a/b{n}"; q=0.{n % 1000:03}' for n in range(150))
    answer = service.get(slice_.path, accept)
    assert answer.status_code in (400, 406)
    # Nothing of it is valid, so nothing was asked for.
    answer = service.get(slice_.path, "((((((" * 1000)
    assert answer.status_code in (200, 400, 406)


def test_a_list_of_thousands_of_frames(service, slice_):
    answer = service.get(f"{slice_.path}/frames/{','.join(['1'] * 3000)}", related("*/*", "*"))
    assert answer.status_code in (200, 400, 404, 414)
    assert len(answer.content) < 3100 * 7000


def test_ranges_that_overlap_a_thousand_times(service, slice_):
    for ranges in ("0-," * 400 + "0-", "-1," * 400 + "-1", "5-1", "a-b", "0-0,-" + "9" * 300):
        headers = {"Range": f"bytes={ranges}"}
        answer = service.request("GET", slice_.path, accept="application/dicom", headers=headers)
        assert answer.status_code in (200, 206, 400, 416)
        assert len(answer.content) < 3 * len(slice_.data)


# Searches


@pytest.mark.parametrize(
    "query",
    [
        {"PatientName": "*a" * 500 + "*"},
        {"PatientName": "?" * 5000},
        {"PatientID": "%" * 200 + "_" * 200},
        {"PatientID": "'; DROP TABLE instances; --"},
        {"PatientID": 'x" OR 1=1 --'},
        {"StudyInstanceUID": ",".join(f"1.2.{n}" for n in range(3000))},
        {"includefield": ",".join(["PatientName"] * 3000)},
        {"limit": "9" * 50},
        {"offset": str(2**63)},
        {".".join(["00081115"] * 100): "a"},
        {"0020000D" * 10: "a"},
        {"StudyDate": "00000000-99999999"},
        {"StudyDate": "-" * 100},
        {"StudyTime": "999999.999999-"},
        {"includefield": "../../etc/passwd"},
        {"PatientName": "\0"},
        {"PatientName": "\ud7ff\U0010ffff"},
    ],
    ids=lambda query: str(query)[:40],
)
def test_a_search_for_too_much_or_nothing(query, service):
    began = time.monotonic()
    answer = service.request("GET", "/studies", accept=JSON, query=query)
    assert answer.status_code in (200, 204, 400, 414), answer.text
    assert time.monotonic() - began < 10


def test_bytes_that_are_no_text_in_a_query(wire):
    for value in ("%ff%fe", "%c0%80", "%", "%zz", "%00"):
        assert ask(wire, f"/dicom-web/studies?PatientName={value}", f"Accept: {JSON}\r\n") < 500


# Slowly, and many


def test_two_hundred_who_send_a_byte_and_wait(wire, service):
    slow = [wire() for _ in range(200)]
    for one in slow:
        one.send(b"G")
    for letter in b"ET /dicom":
        for one in slow[::10]:
            one.send(bytes([letter]))
        assert service.get("/studies", JSON, PatientID="nobody").status_code in (200, 204)


def test_two_hundred_who_ask_and_do_not_read(wire, service, slice_):
    for _ in range(200):
        one = wire()
        target = f"/dicom-web{slice_.series}"
        one.send(f"GET {target} HTTP/1.1\r\n{one.head}Accept: */*\r\n\r\n".encode())
    assert service.get(f"{slice_.path}/metadata", JSON).status_code == 200


def test_a_thousand_requests_in_one_go(wire):
    one = wire()
    one.send(f"GET /dicom-web/studies?limit=0 HTTP/1.1\r\n{one.head}\r\n".encode() * 1000)
    assert one.status() in (200, 204, 406)


# Of two minds, and from elsewhere


def test_a_length_and_chunks_at_once(wire):
    both = "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n"
    assert ask(wire, "/dicom-web/studies", both, "POST") in (0, 400, 415)
    twice = "Content-Length: 5\r\nContent-Length: 6\r\n"
    assert ask(wire, "/dicom-web/studies", twice, "POST") in (0, 400)


def test_methods_and_versions_that_nobody_knows(wire):
    for method in ("TRACE", "CONNECT", "BREW", "PATCH"):
        assert ask(wire, "/dicom-web/studies", method=method) in (0, 400, 404, 405, 501)
    one = wire()
    one.send(b"GET / HTTP/9.9\r\n\r\n")
    assert one.status() in (0, 400, 505)


def test_another_protocol_on_the_port(wire):
    for words in (
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(200),
        b"\x01\x00\x00\x00\x00\xcd\x00\x01\x00\x00EDGE" + bytes(200),
        b"SSH-2.0-OpenSSH_9.9\r\n",
        bytes(range(256)) * 100,
    ):
        one = wire()
        one.send(words + b"\r\n\r\n")
        assert one.status() in (0, 400)


def test_a_page_of_another_site_reads_nothing(service, edge):
    """Without a token: a browser that was led here by DNS rebinding has none."""
    headers = {"Host": "evil.example", "Origin": "http://evil.example"}
    answer = service.request("GET", "/studies", headers=headers, anonymous=True)
    assert answer.status_code in (400, 401, 403, 421)
    for origin in ("http://evil.example", "null"):
        answer = service.request("GET", "/studies", accept=JSON, headers={"Origin": origin})
        assert "Access-Control-Allow-Origin" not in answer.headers
        preflight = {"Origin": origin, "Access-Control-Request-Method": "POST"}
        answer = service.request("OPTIONS", "/studies", headers=preflight, anonymous=True)
        assert "Access-Control-Allow-Origin" not in answer.headers


def test_a_host_that_is_none_makes_no_urls(service, slice_):
    for host in ("evil.example/x?", "a b", "evil.example\\@127.0.0.1", "<script>"):
        headers = {"Host": host}
        answer = service.request("GET", f"{slice_.path}/metadata", accept=JSON, headers=headers)
        assert host not in answer.text
