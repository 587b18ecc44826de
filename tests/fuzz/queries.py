"""What may be asked of the box by a URL: paths, parameters, and the header fields around them."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from urllib.parse import quote_from_bytes

from hypothesis import strategies as st

from edge.access.roles import Role
from tests.fuzz.door import CANARY, Door, Request, opened
from tests.fuzz.mutation import changes, mutated
from tests.fuzz.targets import Target

_UIDS = (
    "1.3.6.1.4.1.5962.1.2.1.20040119072730.12322",
    "1.3.6.1.4.1.5962.1.3.1.1.20040119072730.12322",
    "1.3.6.1.4.1.5962.1.1.1.1.1.20040119072730.12322",
    "1.2.3",
    "0",
    "1..2",
    "9" * 65,
    "%2e%2e",
    "..%2f..%2fetc",
    "1.2%00",
    "*",
    "",
    CANARY,
)
"""Those of CT_small.dcm first."""
_STEMS = (
    "studies",
    "series",
    "instances",
    "frames",
    "bulkdata",
    "metadata",
    "rendered",
    "thumbnail",
)
_ENDS = (
    "",
    "/metadata",
    "/rendered",
    "/thumbnail",
    "/bulkdata",
    "/pixeldata",
    "/frames/1",
    "/frames/1,2,0",
    "/frames/1,,2",
    "/frames/99999999999",
    "/frames/1/rendered",
    "/frames/-1/thumbnail",
    "/bulkdata/7FE00010",
    "/bulkdata/00091001",
    "/bulkdata/../x",
    "/bulkdata/54000100/0/54001010",
    "/",
)
_ROOTS = (
    "/dicom-web/studies",
    "/dicom-web/series",
    "/dicom-web/instances",
    "/dicom-web",
    "/wado",
    "/changefeed",
    "/changefeed/latest",
    "/api/v1/status",
    "/api/v1/sync/dead-letters",
    "/api/v1/sync/conflicts",
    "/api/v1/sync/absent",
    "/api/v1/procedures",
    "/api/v1/arrivals",
    "/api/v1/outbox",
    "/api/v1/peers",
    "/api/v1/peers/doctor",
    "/api/v1/worklist",
    "/api/v1/worklist/sources",
    "/api/v1/trash",
    "/api/v1/expected",
    "/api/v1/pins",
    "/api/v1/commitments",
    "/api/v1/openapi.json",
    "/healthz",
    "/readyz",
    "/metrics",
    "/",
    "/viewer/",
    "//",
    "/dicom-web/../api/v1/status",
    "*",
    "http://127.0.0.1/dicom-web/studies",
    "http://evil.example/dicom-web/studies",
)
_NAMES = (
    "PatientName PatientID PatientBirthDate StudyDate StudyTime StudyInstanceUID SeriesInstanceUID "
    "SOPInstanceUID ModalitiesInStudy Modality AccessionNumber StudyDescription Rows "
    "NumberOfFrames AcquisitionDateTime RequestAttributesSequence PixelData StudyID 00100010 "
    "0020000D 00281050 00400275.00400009 RequestAttributesSequence.ScheduledProcedureStepID "
    "00091001 00090010.00100010 FFFFFFFF includefield limit offset fuzzymatching "
    "emptyvaluematching multiplevaluematching accept requestType studyUID seriesUID objectUID "
    "contentType charset anonymize annotation rows columns region windowCenter windowWidth "
    "frameNumber imageQuality presentationUID transferSyntax viewport window quality iccprofile "
    "startTime endTime includeMetadata since day station sop_uids study_uid all ae peer what "
    "patient_id uid date at"
).split()
_VALUES = (
    b"",
    b"*",
    b"?",
    b"CT",
    b"CompressedSamples*",
    b"1CT1",
    CANARY.encode(),
    CANARY.encode() + b"*",
    b"20040101-20301231",
    b"-20300101",
    b"20040230",
    b"1015-",
    b"101112.5+0100",
    b"20040119072731.000-0500",
    b"00000101000000-0000",
    b"99991231235959.999999+1400",
    b'""',
    b"all",
    b"PatientName,00100020,StudyDate",
    b"true",
    b"1",
    b"0",
    b"-1",
    b"1e3",
    b"999999999",
    b"9999999999999999999999",
    b"nan",
    b"WADO",
    b"image/jpeg",
    b"application/dicom",
    b"100,100",
    b"64,64,0,0,,",
    b"0.1,0.1,0.9,0.9",
    b"40,400,linear",
    b"1,1e-99,sigmoid",
    b"2026-03-04T01:03:08Z",
    b"0001-01-01T00:00:00+23:59",
    b"9999-12-31T23:59:59-23:59",
    b"1.2.840.10008.1.2.1",
    b"1.2.840.10008.1.2.4.90",
    b"%",
    b"_",
    b"'; DROP TABLE studies; --",
    b'" OR 1=1 --',
    b"\\",
    b"\0",
    b"\xff\xfe",
    b"\xc0\x80",
    b"\xed\xa0\x80",
    b"\xf0\x9f\x98\x80",
    "D\u00f6e^J\u00e4ne=\u5c71\u7530".encode(),
    b"a" * 3000,
    b"*a" * 300,
    b"1.2," * 300 + b"1.3",
    b"\r\nX-Smuggled: 1\r\n",
    b"..",
    b"<script>alert(1)</script>",
    b"file:///etc/passwd",
)
_ACCEPTS = (
    b"*/*",
    b"application/dicom+json",
    b"application/json",
    b'multipart/related; type="application/dicom+xml"',
    b'multipart/related; type="application/dicom"; transfer-syntax=*',
    b'multipart/related; type="application/dicom"; transfer-syntax=1.2.840.10008.1.2.4.90',
    b'multipart/related; type="application/octet-stream"; transfer-syntax=*',
    b'multipart/related; type="image/jpeg"',
    b"image/jpeg",
    b"image/png;q=0.1, image/gif",
    b"text/html",
    b"text/plain;charset=x",
    b"application/dicom; transfer-syntax=*",
    b"application/pdf",
    b"application/zip",
    b"application/vnd.sun.wadl+xml",
    b"q=1;;;,,,",
    b"(((",
)
_FIELDS = (
    b"Accept",
    b"Accept",
    b"Range",
    b"If-None-Match",
    b"If-Match",
    b"If-Modified-Since",
    b"If-Unmodified-Since",
    b"If-Range",
    b"Host",
    b"Origin",
    b"X-Request-ID",
    b"Accept-Encoding",
    b"Accept-Charset",
    b"Expect",
    b"Cookie",
    b"Authorization",
    b"Content-Type",
    b"Content-Length",
    b"X-Forwarded-For",
    b"X-Forwarded-Host",
    b"Forwarded",
    b"Upgrade",
    b"Sec-Fetch-Site",
)
_FIELD_VALUES = (
    b"bytes=0-9",
    b"bytes=-5,0-",
    b"bytes=9-1",
    b"bytes=0-99999999999999999999",
    b'"x"',
    b'W/"x", "y"',
    b"*",
    b"Sat, 29 Oct 1994 19:43:31 GMT",
    b"Sat, 99 Foo 0000 99:99:99 GMT",
    b"evil.example",
    b"[::1]:99999",
    b"127.0.0.1:0",
    b"gzip;q=1.0, identity; q=0",
    b"br;q=nan",
    b"100-continue",
    b"Basic OjoK",
    b"Bearer x",
    b"null",
    b"http://evil.example",
    b"0",
    b"-1",
    b"websocket",
    b"\xff\xfe",
    b"\x01\x7f",
    b"a" * 5000,
)


def _paths() -> st.SearchStrategy[bytes]:
    uid = st.sampled_from(_UIDS)
    nested = st.builds(
        lambda study, series, instance, depth, end: (
            "/dicom-web"
            + "".join(
                f"/{stem}/{one}"
                for stem, one in zip(_STEMS, (study, series, instance)[:depth], strict=False)
            )
            + end
        ),
        st.one_of(st.just(_UIDS[0]), st.just(_UIDS[0]), uid),
        st.one_of(st.just(_UIDS[1]), st.just(_UIDS[1]), uid),
        st.one_of(st.just(_UIDS[2]), st.just(_UIDS[2]), uid),
        st.integers(1, 3),
        st.one_of(
            st.sampled_from(_ENDS),
            st.sampled_from(("/series", "/instances", "/series/1.2/instances")),
        ),
    ).map(str.encode)
    return st.one_of(
        nested,
        nested,
        st.sampled_from(_ROOTS).map(str.encode),
        st.sampled_from(_ROOTS[:6]).map(str.encode),
    )


def _parameter(name: str, value: bytes, some: list, raw: int) -> bytes:
    changed = mutated(value, some) if raw % 3 == 0 else value
    left = quote_from_bytes(name.encode(), safe=".")
    # By the book, half by the book, and as it is.
    if raw < 6:
        return f"{left}={quote_from_bytes(changed, safe='*?,-')}".encode()
    return left.encode() + b"=" + changed.replace(b" ", b"+").replace(b"#", b"")


_QUERIES = st.lists(
    st.builds(
        _parameter,
        st.sampled_from(_NAMES),
        st.one_of(st.sampled_from(_VALUES), st.sampled_from(_VALUES), st.binary(max_size=12)),
        changes(),
        st.integers(0, 7),
    ),
    max_size=5,
).map(b"&".join)
_WADO = st.builds(
    lambda more: (
        f"requestType=WADO&studyUID={_UIDS[0]}&seriesUID={_UIDS[1]}&objectUID={_UIDS[2]}&".encode()
        + more
    ),
    _QUERIES,
)


def _target(path: bytes, query: bytes, wado: bytes) -> bytes:
    if path == b"/wado":
        query = wado
    target = path + b"?" + query if query else path
    # One word of the request line.
    return bytes(byte for byte in target if byte > 0x20) or b"/"


_HEADERS = st.lists(
    st.one_of(
        st.tuples(st.just(b"Accept"), st.sampled_from(_ACCEPTS)),
        st.tuples(st.sampled_from(_FIELDS), st.sampled_from(_FIELD_VALUES)),
        st.tuples(
            st.sampled_from(_FIELDS),
            st.builds(mutated, st.sampled_from((*_FIELD_VALUES, *_ACCEPTS)), changes()),
        ),
    ),
    max_size=3,
).map(tuple)
_ASKED = st.builds(
    Request,
    st.sampled_from(("GET", "GET", "GET", "GET", "HEAD", "OPTIONS", "PUT", "PATCH", "TRACE")),
    st.builds(_target, _paths(), _QUERIES, _WADO),
    _HEADERS,
    st.just(b""),
    st.sampled_from((Role.PHYSICIAN, Role.ADMIN, Role.ADMIN, "")).map(str),
)


async def _query(door: Door, request: Request) -> None:
    # 505: a request line that seems to hold another version; 501 and others are of no method.
    await door.ask(request, or_else=(501, 505))


def queries() -> Callable[..., object]:
    """Opens the target."""
    return partial(opened, _query)


QUERIES = (
    Target("query", _ASKED, queries(), Request, seconds=20.0, megabytes=200.0, at_a_time=1000),
)
