"""Metadata that lies, in JSON and XML; and a length that nobody would take."""

from __future__ import annotations

import json

import pytest

from tests.conformance import material
from tests.conformance.model import attributes_of, to_xml
from tests.conformance.service import JSON, NATIVE


@pytest.fixture(scope="module")
def made():
    return material.build()


def post_metadata(service, document: bytes, kind: str = JSON):
    return service.store([(f"Content-Type: {kind}", document)], root=kind)


def test_json_of_a_hundred_megabytes(service, made):
    attributes = attributes_of(made.fresh().dataset, lambda _: "missing")
    attributes["00104000"] = {"vr": "LT", "Value": ["x" * 100_000_000]}
    answer = post_metadata(service, json.dumps([attributes]).encode())
    assert answer.status_code in (400, 409, 413)


@pytest.mark.parametrize(
    "document",
    [
        b"[" * 1_000_000,
        b'{"00081115":{"vr":"SQ","Value":[' * 50_000,
        b"[{}]",
        b'[{"00100010":"a"}]',
        b'[{"00100010":{"vr":"PN","Value":"a"}}]',
        b'[{"zzzzzzzz":{"vr":"LO","Value":["a"]}}]',
        b'[{"00280010":{"vr":"US","Value":[1e999]}}]',
        b'[{"00280010":{"vr":"US","Value":[' + b"9" * 100_000 + b"]}}]",
        b'[{"7FE00010":{"vr":"OW","InlineBinary":"@@@@"}}]',
        b'[{"7FE00010":{"vr":"OW","BulkDataURI":"file:///etc/passwd"}}]',
        b'[{"7FE00010":{"vr":"OW","BulkDataURI":"http://127.0.0.1:1/x"}}]',
        b"\xff\xfe[",
        b"",
    ],
    ids=lambda document: repr(document[:24]),
)
def test_json_that_is_no_metadata(document, service):
    assert post_metadata(service, document).status_code in (400, 409, 413)


def test_xml_with_entities_or_without_end(service, made):
    laughs = "".join(
        f'<!ENTITY l{n} "{f"&l{n - 1};" * 10}">' if n else '<!ENTITY l0 "ha">' for n in range(12)
    )
    attributes = attributes_of(made.fresh().dataset, lambda _: "missing")
    whole = to_xml(attributes).decode()
    declared = whole.replace("?>", "?><!DOCTYPE NativeDicomModel [{}]>", 1)
    for document in (
        declared.format(laughs).replace("first line", "&l11;"),
        declared.format('<!ENTITY f SYSTEM "file:///etc/passwd">').replace("first line", "&f;"),
        declared.format('<!ENTITY % r SYSTEM "http://127.0.0.1:1/r"> %r;'),
        "<NativeDicomModel>" + '<DicomAttribute tag="00081115" vr="SQ"><Item number="1">' * 50_000,
        whole[:-100],
        "<html/>",
    ):
        answer = post_metadata(service, document.encode(), NATIVE)
        assert answer.status_code in (400, 409, 413), document[:80]
        assert "root:" not in answer.text


def test_content_length_beyond_every_limit_is_refused_before_it_is_read(wire):
    kind = 'multipart/related; type="application/dicom"; boundary=B'
    for length in (10**13, 2**63 - 1):
        one = wire()
        head = f"POST /dicom-web/studies HTTP/1.1\r\n{one.head}Content-Type: {kind}\r\n"
        one.send(f"{head}Content-Length: {length}\r\n\r\n".encode() + b"--B\r\n")
        assert one.status() in (400, 413, 507)


def test_a_content_encoding_that_the_body_is_not_in(service, made):
    headers = {
        "Content-Type": 'multipart/related; type="application/dicom"; boundary=B',
        "Content-Encoding": "gzip",
    }
    body = b"--B\r\nContent-Type: application/dicom\r\n\r\n" + made.fresh().data + b"\r\n--B--\r\n"
    answer = service.request("POST", "/studies", accept=JSON, headers=headers, content=body)
    assert answer.status_code == 400
    headers["Content-Encoding"] = "snappy"
    body = b"\xff\x06\0\0sNaPpY" + body[::-1]
    answer = service.request("POST", "/studies", accept=JSON, headers=headers, content=body)
    assert answer.status_code in (400, 415)
