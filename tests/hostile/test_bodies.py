"""Bodies that lie: about their length, their nesting, their boundary, their own names."""

from __future__ import annotations

import gzip
import struct
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.conformance import material
from tests.conformance.material import Sample, as_sample
from tests.conformance.service import DICOM, JSON, payload, related

MULTIPART = 'multipart/related; type="application/dicom"; boundary=B'
HEAD = b"--B\r\nContent-Type: application/dicom\r\n\r\n"
TAIL = b"\r\n--B--\r\n"
CANNOT_UNDERSTAND = range(0xC000, 0xD000)


@pytest.fixture(scope="module")
def made():
    return material.build()


def data_set(sample: Sample) -> tuple[bytes, bytes]:
    """The file up to its data set, and the data set."""
    length = struct.unpack_from("<I", sample.data, 140)[0]
    return sample.data[: 144 + length], sample.data[144 + length :]


def before_pixels(sample: Sample) -> bytes:
    at = sample.data.index(b"\xe0\x7f\x10\x00OW\x00\x00")
    return sample.data[:at]


def reasons(answer) -> list[int]:
    module = answer.json()
    found = [
        item for tag in ("00081198", "0008119A") for item in module.get(tag, {}).get("Value", ())
    ]
    return [item["00081197"]["Value"][0] for item in found]


def is_refused(service, *files: bytes) -> None:
    answer = service.store_instances(files)
    assert answer.status_code in (400, 409), answer.text
    assert all(reason in CANNOT_UNDERSTAND or reason >> 8 == 0xA9 for reason in reasons(answer))
    assert "00081199" not in answer.json()


# Names


@pytest.mark.parametrize(
    "uid",
    ["../../../etc/passwd", "1.2/../3", "1." + "2" * 63, "1.2\0.3", "1.2.x", "..", "1..2", "-1.2"],
)
def test_an_instance_is_not_named_by_what_is_no_uid(uid, service, made):
    fake = uid.encode() + b"\0" * (len(uid) % 2)
    for keyword in ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID"):
        sample = made.fresh()
        start, rest = data_set(sample)
        # pydicom would not write it: the element is written by hand.
        tag = struct.pack("<2H", *divmod(int(sample.dataset[keyword].tag), 0x10000))
        at = rest.index(tag + b"UI")
        length = struct.unpack_from("<H", rest, at + 6)[0]
        element = tag + b"UI" + struct.pack("<H", len(fake)) + fake
        is_refused(service, start + rest[:at] + element + rest[at + 8 + length :])


@pytest.mark.parametrize(
    "path",
    [
        "/studies/..%2f..%2f..%2fetc%2fpasswd",
        "/studies/%2e%2e/%2e%2e/metadata",
        "/studies/1.2%00.3/metadata",
        "/studies/" + "1." * 32 + "1/metadata",
        "/studies/1.2/series/..%5c..%5cwindows/metadata",
        "/studies/1.2/series/1.3/instances/1.4/bulkdata/..%2f..%2froot.key",
        "/studies/1.2/series/1.3/instances/1.4/bulkdata/7FE00010/../../../../../root.key",
    ],
)
def test_a_path_leads_nowhere_else(path, wire):
    one = wire()
    one.send(f"GET /dicom-web{path} HTTP/1.1\r\n{one.head}Accept: */*\r\n\r\n".encode())
    assert one.status() in (400, 404)


# Lengths


def test_an_element_that_claims_four_gigabytes_and_has_ten_bytes(service, made):
    start = before_pixels(made.fresh())
    for length in (0xFFFF_FFFE, 0xFFFF_FFF0, 0x8000_0000):
        lie = b"\xe0\x7f\x10\x00OW\x00\x00" + struct.pack("<I", length) + bytes(10)
        is_refused(service, start + lie)


def test_a_text_that_claims_four_gigabytes(service, made):
    start, _ = data_set(made.fresh())
    is_refused(service, start + b"\x08\x00\x05\x00UT\x00\x00\xfe\xff\xff\xff" + b"ISO_IR 192")


def test_undefined_lengths_without_an_end(service, made):
    start = before_pixels(made.fresh())
    for lie in (
        b"\xe0\x7f\x10\x00OW\x00\x00\xff\xff\xff\xff",
        b"\xe0\x7f\x10\x00OB\x00\x00\xff\xff\xff\xff" + b"\xfe\xff\x00\xe0\x00\x00\x00\x00" * 1000,
        b"\xe0\x7f\x11\x00SQ\x00\x00\xff\xff\xff\xff\xfe\xff\x00\xe0\xff\xff\xff\xff",
    ):
        is_refused(service, start + lie)


@pytest.mark.parametrize("depth", [1_000, 50_000])
def test_sequences_nested_thousands_deep(depth, service, made):
    start, rest = data_set(made.fresh())
    nest = b"\x08\x00\x15\x11SQ\x00\x00\xff\xff\xff\xff\xfe\xff\x00\xe0\xff\xff\xff\xff"
    end = b"\xfe\xff\x0d\xe0\x00\x00\x00\x00\xfe\xff\xdd\xe0\x00\x00\x00\x00"
    is_refused(service, start + nest * depth + end * depth + rest)
    is_refused(service, start + nest * depth)


def test_content_length_that_is_none(wire):
    for length in ("-1", "ten", "1e3", "5, 6"):
        one = wire()
        head = f"POST /dicom-web/studies HTTP/1.1\r\n{one.head}Content-Type: {MULTIPART}\r\n"
        one.send(f"{head}Content-Length: {length}\r\n\r\n".encode() + HEAD)
        assert one.status() in (0, 400)


def test_a_body_that_was_promised_and_does_not_come(wire, service, made):
    sample = made.fresh()
    one = wire()
    head = f"POST /dicom-web/studies HTTP/1.1\r\n{one.head}Content-Type: {MULTIPART}\r\n"
    one.send(f"{head}Content-Length: 4000000000\r\n\r\n".encode() + HEAD + sample.data[:3000])
    one.close()
    assert service.get(sample.path, DICOM).status_code == 404


# Compression


def test_a_gzip_bomb_of_rubbish(service):
    bomb = gzip.compress(HEAD + bytes(128) + b"DICM" + bytes(400_000_000), 9)
    assert len(bomb) < 1_000_000
    headers = {"Content-Type": MULTIPART, "Content-Encoding": "gzip"}
    answer = service.request("POST", "/studies", accept=JSON, headers=headers, content=bomb)
    assert answer.status_code in (400, 413)


def test_a_gzip_bomb_in_a_gzip_bomb(service):
    inner = gzip.compress(bytes(100_000_000), 9)
    bomb = gzip.compress(inner * 50, 9)
    headers = {"Content-Type": MULTIPART, "Content-Encoding": "gzip, gzip"}
    answer = service.request("POST", "/studies", accept=JSON, headers=headers, content=bomb)
    assert answer.status_code in (400, 413, 415)


def test_a_deflate_bomb_as_an_instance(service, made):
    dataset = made.fresh().dataset
    dataset.Rows = dataset.Columns = 16384
    dataset.PixelData = bytes(16384 * 16384 * 2)
    bomb = as_sample(dataset, material.DEFLATED)
    assert len(bomb.data) < 2_000_000
    answer = service.store_instances([bomb.data])
    if answer.status_code == 200:
        for path in (bomb.path, f"{bomb.path}/frames/1", f"{bomb.path}/rendered"):
            service.get(path, related("application/octet-stream") if "fr" in path else "*/*")
        service.request("DELETE", bomb.study)


def test_a_zip_archive_is_no_body(service):
    headers = {"Content-Type": "application/zip"}
    answer = service.request("POST", "/studies", headers=headers, content=b"PK\3\4" + bytes(1000))
    assert answer.status_code == 415


# Multipart


def test_boundaries_that_do_not_bound(service, made):
    body = HEAD + made.fresh().data + TAIL
    for kind in (
        MULTIPART.replace("=B", "=C"),
        MULTIPART.partition("; boundary")[0],
        MULTIPART.replace("=B", "=" + "B" * 5000),
        MULTIPART.replace("=B", '=""'),
    ):
        headers = {"Content-Type": kind}
        answer = service.request("POST", "/studies", accept=JSON, headers=headers, content=body)
        assert answer.status_code == 400, kind[:80]


def test_parts_with_heads_without_end(service):
    for head in (b"X: y\r\n" * 200_000, b"X: " + b"y" * 2_000_000, b"X" * 2_000_000):
        headers = {"Content-Type": MULTIPART}
        body = b"--B\r\n" + head
        answer = service.request("POST", "/studies", accept=JSON, headers=headers, content=body)
        assert answer.status_code in (400, 413)


def test_hundreds_of_thousands_of_parts(service):
    headers = {"Content-Type": MULTIPART}
    body = (HEAD + b"\r\n") * 200_000 + TAIL
    answer = service.request("POST", "/studies", accept=JSON, headers=headers, content=body)
    assert answer.status_code in (400, 413)


# At once


def test_the_same_instance_from_many_at_once(service, made):
    sample = made.fresh()
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: service.store_instances([sample.data]), range(16)))
    assert {answer.status_code for answer in answers} == {200}
    found = service.search("/instances", {"SOPInstanceUID": sample.sop_uid})
    assert len(found) == 1


def test_other_bytes_under_one_name_at_once(service, made):
    first = made.fresh()
    twins = []
    for number in range(8):
        dataset = first.dataset
        dataset.PatientComments = f"twin {number}"
        twins.append(as_sample(dataset).data)
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda data: service.store_instances([data]), twins))
    # All are kept: one is the instance, the others are in quarantine.
    assert {answer.status_code for answer in answers} <= {200, 202}
    found = service.search("/instances", {"SOPInstanceUID": first.sop_uid})
    assert len(found) == 1


def test_a_hundred_requests_that_break_off(wire, made):
    kind, body = payload(
        [("Content-Type: application/dicom", made.fresh().data)], "application/dicom"
    )
    for number in range(100):
        one = wire()
        head = f"POST /dicom-web/studies HTTP/1.1\r\n{one.head}Content-Type: {kind}\r\n"
        one.send(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body[: 130 * number])
        one.close()


def test_bytes_of_every_kind(service, made):
    """Cut and changed at many places: an answer each time, and never a 5xx."""
    data = bytearray(made.fresh().data[:2500])
    for at in range(0, len(data), 23):
        changed = bytearray(data)
        changed[at] ^= 0xFF
        answer = service.store_instances([bytes(changed), bytes(data[:at])])
        assert answer.status_code < 500, (at, answer.text)


def test_a_file_that_is_something_else(service):
    for data in (
        b"%PDF-1.7" + bytes(500),
        b"MZ" + bytes(500),
        b"",
        b"\0" * 132,
    ):
        is_refused(service, data)
