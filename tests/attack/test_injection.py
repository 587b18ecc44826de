"""Words of strangers, by every way in: they forge no header, no line of the log, and no path.

One service, as it is installed, hears them all. What it answered is looked at as bytes, and so is
its log; then, whether anything lies outside of its own folders.
"""

from __future__ import annotations

import asyncio
import base64
import io
import json
import re
import unicodedata
import zipfile
from urllib.parse import quote

import pydicom
import pytest

from tests.attack import doors
from tests.dimse import raw
from tests.journeys.service import Installation
from tests.samples import ct_series

PATIENCE = 150.0
FORGED = "2026-01-01 00:00:00 WARNING edge: a stranger wrote this"
EVIL = [
    f"x\r\nX-Evil: 1\r\n\r\n{FORGED}",
    f"x\n{FORGED}",
    "\x1b[2J\x1b]0;owned\x07",
    "\u202ecod.exe\u2066\u200b",
    f"\x85{FORGED}\u2028{FORGED}",
    "nul\x00behind",
    "%0d%0aX-Evil:%201",
]
TARGETS = [
    "/../../../../etc/passwd",
    "//etc/passwd",
    "/%2e%2e/%2e%2e/%2e%2e/etc/passwd",
    "/..%2f..%2f..%2fetc%2fpasswd",
    "/%252e%252e/%252e%252e/etc/passwd",
    "/..%5c..%5c..%5cetc%5cpasswd",
    "/%c0%ae%c0%ae/%c0%ae%c0%ae/etc/passwd",
    "/ca.crt/../../../../etc/passwd",
    "/dicom-web/studies/..%2f..%2f..%2f..%2fetc%2fpasswd/metadata",
    "/dicom-web/studies/1.2/series/1.2/instances/1.2/bulkdata/..%2f..%2f..%2fetc%2fpasswd",
    "/dicom-web/studies/1.2/series/1.2/instances/1.2/bulkdata/../../../../../../etc/passwd",
    "/dicom-web/studies/%00/../../../etc/passwd",
    "/wado?requestType=WADO&studyUID=../../etc/passwd&seriesUID=1.2&objectUID=1.2",
    "/api/v1/peers/..%2f..%2fetc%2fpasswd/echo",
    "/api/v1/users/..%2f..%2fetc%2fpasswd",
    "/page/static/0/../../../../../../etc/passwd",
    "/page/static/..%2f..%2f..%2fetc/passwd",
    "/page/static/0/..%2f..%2f..%2f..%2fetc%2fpasswd",
    "/page/static/0//etc/passwd",
    "/studies/..%2f..%2fetc%2fpasswd",
    "http://127.0.0.1/../../etc/passwd",
    "file:///etc/passwd",
]
UIDS = ["../../../escaped", "..\\..\\escaped", "/tmp/escaped", "1.2/../../escaped", "escaped\0"]
TOKEN = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")


@pytest.fixture
async def service(tmp_path):
    made = Installation(tmp_path / "box")
    await made.start()
    token = (await made.run("token", "create", "--role", "admin")).out.strip()
    yield made, token
    made.kill()


async def say(port, request):
    """Send bytes; the bytes that come back, to the end if they have one."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(request)
        answer = b""
        async with asyncio.timeout(PATIENCE):
            while piece := await reader.read(65536):
                answer += piece
                if b"\r\n\r\n" in answer and b"Content-Type: text/event-stream" in answer:
                    break
        return answer
    except ConnectionError:
        return b""
    finally:
        writer.close()


def request_of(method, target, headers, body=b""):
    lines = [f"{method} {target} HTTP/1.1", "Host: 127.0.0.1", "Connection: close"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    if body:
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join(lines).encode("utf-8", "surrogateescape") + b"\r\n\r\n" + body


def look_at(answer):
    """Its head is one head, and nobody but us wrote a line of it."""
    if not answer:
        return 0
    head, _, _ = answer.partition(b"\r\n\r\n")
    status, *lines = head.split(b"\r\n")
    assert re.match(rb"HTTP/1\.[01] \d{3} ", status), status
    for line in lines:
        name, colon, value = line.partition(b": ")
        assert colon, line
        assert TOKEN.fullmatch(name), line
        assert name.lower() != b"x-evil", line
        assert not re.search(rb"[\x00-\x08\x0a-\x1f\x7f]", value), line
    return int(status.split()[1])


def known_doors():
    """Method and path of each, from the table."""
    for line in doors.TABLE.read_text(encoding="utf-8").splitlines():
        if found := re.search(r"(GET|POST|DELETE) +(/\S*)$", line):
            yield found[1], found[2]


def with_words(path, evil):
    """The path with the words in it, wherever something can be named, and in parameters."""
    named = quote(evil, safe="")
    filled = re.sub(r"{[^}]*}", lambda _: named, path)
    query = "&".join(
        f"{key}={named}"
        for key in ("limit", "PatientName", "00100020", "accept", "charset", "date", "token_id")
    )
    return f"{filled}?{query}&{named}={named}&requestType=WADO&studyUID={named}"


def bodies(evil):
    """What can be said in JSON, about everything."""
    yield {"role": "viewer", "name": evil, "ae_title": evil, "networks": [evil]}
    yield {"name": evil, "role": "viewer", "display_name": evil, "password": evil, "code": evil}
    yield {"study_uid": evil, "patient_id": evil, "patient_name": evil, "station_ae_title": evil}
    yield {"ae_title": evil, "host": evil, "name": evil, "certificate": evil}
    yield [evil, {evil: evil}]


async def over_http(port, token):
    for evil in EVIL:
        one_line = re.sub(r"[\r\n\0]", " ", evil)
        proofs = [
            {"Authorization": f"Bearer {token}"},
            {"Authorization": f"Bearer {one_line}"},
            {"Authorization": "Basic " + base64.b64encode(f"{evil}:{evil}".encode()).decode()},
        ]
        said = {
            "X-Request-ID": one_line,
            "User-Agent": one_line,
            "Origin": one_line,
            "Accept": f"application/json; x={one_line}",
            "Content-Type": f"application/json; x={one_line}",
            "If-None-Match": one_line,
            "Range": one_line,
            "X-Forwarded-For": one_line,
        }
        for method, path in known_doors():
            body = json.dumps(next(iter(bodies(evil)))).encode() if method == "POST" else b""
            target = with_words(path, evil)
            look_at(await say(port, request_of(method, target, said | proofs[0], body)))
        for headers in (*proofs, said, dict.fromkeys(("Host", "Cookie"), one_line)):
            look_at(await say(port, request_of("GET", "/dicom-web/studies", headers)))
        admin = proofs[0] | {"Content-Type": "application/json"}
        for _, path in [door for door in known_doors() if door[0] == "POST"]:
            target = re.sub(r"{[^}]*}", "x", path)
            for body in bodies(evil):
                look_at(
                    await say(port, request_of("POST", target, admin, json.dumps(body).encode()))
                )
        look_at(await say(port, f"{one_line} / HTTP/1.1\r\nHost: x\r\n\r\n".encode()))
        look_at(await say(port, f"GET /{one_line} HTTP/1.1\r\n{one_line}: x\r\n\r\n".encode()))


def instance(**values):
    """A CT image in which a stranger wrote these, valid or not: bytes that nobody looked at."""
    (made,) = ct_series(1, rows=8, columns=8, seed=11)
    dataset = pydicom.dcmread(io.BytesIO(made.data))
    dataset.SpecificCharacterSet = "ISO_IR 192"
    written = {}
    for number, (keyword, value) in enumerate(values.items()):
        words = value.encode()
        words += b" " * (len(words) % 2)
        place = f"{number + 1}" + "7" * (len(words) - 1)
        written[place.encode()] = words
        setattr(dataset, keyword, place)
    buffer = pydicom.filebase.DicomBytesIO()
    dataset.save_as(buffer)
    data = buffer.getvalue()
    for place, words in written.items():
        assert place in data
        data = data.replace(place, words)
    return data


def hostile_instances():
    for evil in EVIL:
        words = evil[:60]
        yield instance(PatientName=words, PatientID=words, StudyDescription=words)
    for uid in [*UIDS, *(f"1.2.3{evil}"[:40] for evil in EVIL)]:
        yield instance(SOPInstanceUID=uid)
        yield instance(StudyInstanceUID=uid, SeriesInstanceUID=uid)


async def over_stow(port, token):
    for data in hostile_instances():
        boundary = b"edge-boundary"
        body = b"\r\n".join(
            [
                b"--" + boundary,
                b"Content-Type: application/dicom",
                b"Content-Location: /../../escaped",
                b"",
                data,
                b"--" + boundary + b"--",
                b"",
            ]
        )
        headers = {
            "Authorization": f"Bearer {token}",
            "Accept": "application/dicom+json",
            "Content-Type": 'multipart/related; type="application/dicom"; boundary=edge-boundary',
        }
        look_at(await say(port, request_of("POST", "/dicom-web/studies", headers, body)))


async def over_dimse(port):
    for evil in EVIL:
        words = evil.encode("utf-8")
        for title in (words[:16], b"A\r\n" + words[:13], words[-16:]):
            for fields in ({"calling": title}, {"called": title}):
                async with raw.connected(port) as peer:
                    peer.send(raw.pdu(1, raw.associate_body(raw.DEFAULT_CONTEXTS, **fields)))
                    await peer.read_pdu()
        user = raw.item(0x51, b"\0\0\x40\0") + raw.item(0x52, words) + raw.item(0x55, words[:16])
        contexts = raw.DEFAULT_CONTEXTS + raw.item(
            0x20, b"\x05\0\0\0" + raw.item(0x30, words) + raw.item(0x40, words)
        )
        async with raw.connected(port) as peer:
            peer.send(raw.pdu(1, raw.associate_body(contexts, user=user)))
            await peer.read_pdu()
        for uid in (f"1.2.3{evil}", *UIDS):
            async with raw.connected(port) as peer:
                await peer.associate()
                peer.store(b"\0" * 64, uid[:60])
                await peer.read_pdu()


def put_into_the_drop_folder(installation, outside):
    """Files under names of strangers, an archive that climbs out, and links that lead out."""
    (made,) = ct_series(1, rows=8, columns=8, seed=12)
    for number, evil in enumerate(EVIL):
        name = evil.replace("\0", "").replace("/", "")[:80]
        (installation.drop / f"{number}{name}.dcm").write_bytes(b"no DICOM at all")
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name in ("../../escaped.dcm", "/tmp/escaped.dcm", "..\\..\\escaped.dcm", FORGED):
            archive.writestr(name, made.data)
        link = zipfile.ZipInfo("link.dcm")
        link.external_attr = 0o120777 << 16
        archive.writestr(link, str(outside / "secret.dcm"))
    (installation.drop / "climbing.zip").write_bytes(buffer.getvalue())
    (installation.drop / "link.dcm").symlink_to(outside / "secret.dcm")
    (installation.drop / "folder").symlink_to(outside)


async def until(condition):
    """Wait until it holds; a drop folder tells nobody when it is empty."""
    async with asyncio.timeout(PATIENCE):
        while not condition():  # noqa: ASYNC110 - there is no event to wait for
            await asyncio.sleep(0.1)


def is_plain(char):
    return char.isprintable() or unicodedata.category(char) == "Zs"


async def test_words_of_strangers_forge_nothing_by_any_way_in(service, tmp_path):
    installation, token = service
    outside = tmp_path / "outside"
    outside.mkdir()
    (secret,) = ct_series(1, rows=8, columns=8, seed=13)
    (outside / "secret.dcm").write_bytes(secret.data)
    put_into_the_drop_folder(installation, outside)
    await over_http(installation.http_port, token)
    await over_stow(installation.http_port, token)
    await over_dimse(installation.dimse_port)
    # A bad file waits for a minute: it may still be copied.
    await until(lambda: not list(installation.drop.glob("*.*")))

    # It serves on, and what lies elsewhere was neither read nor touched.
    assert installation.process.poll() is None
    answer = await say(
        installation.http_port,
        request_of(
            "GET",
            f"/dicom-web/instances?SOPInstanceUID={secret.ref.sop_uid}",
            {"Authorization": f"Bearer {token}"},
        ),
    )
    assert look_at(answer) in (200, 204)
    assert secret.ref.sop_uid.encode() not in answer
    assert (outside / "secret.dcm").read_bytes() == secret.data
    assert [one.name for one in outside.iterdir()] == ["secret.dcm"]
    assert not list(tmp_path.rglob("*escaped*"))
    assert {one.name for one in tmp_path.iterdir()} == {"box", "outside"}

    ended = await installation.stop()
    assert ended.status == 0
    log = installation.log.read_text(encoding="utf-8")
    assert "Traceback" not in log
    strange = {char for char in log if char != "\n" and not is_plain(char)}
    assert not strange
    assert not [line for line in log.splitlines() if line.startswith(FORGED[:30])]
    assert FORGED not in [line.strip() for line in log.splitlines()]


async def test_no_path_leads_out_of_the_service(service):
    installation, token = service
    for target in TARGETS:
        for headers in ({}, {"Authorization": f"Bearer {token}"}):
            for method in ("GET", "HEAD", "POST", "DELETE"):
                request = request_of(method, target, headers)
                answer = await say(installation.http_port, request)
                allowed = {400, 401, 403, 404, 405, 411, 415}
                if target.startswith(("/api/v1/", "/studies/")):
                    allowed.add(200)  # nobody is called so: "removed": false, a page of nothing
                if b"\r\nLocation: /welcome?to=/studies/" in answer:
                    allowed.add(303)  # to log in first
                assert look_at(answer) in allowed, (method, target)
                assert b"root:" not in answer
