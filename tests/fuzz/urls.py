"""What URLs are made of, and the header fields around them: right words, and wrong ones."""

from __future__ import annotations

from tests.fuzz.door import CANARY

UIDS = (
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
STEMS = (
    "studies",
    "series",
    "instances",
    "frames",
    "bulkdata",
    "metadata",
    "rendered",
    "thumbnail",
)
ENDS = (
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
ROOTS = (
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
MATCHED = (
    "PatientName PatientID PatientBirthDate StudyDate StudyTime StudyInstanceUID SeriesInstanceUID "
    "SOPInstanceUID ModalitiesInStudy Modality AccessionNumber StudyDescription Rows "
    "NumberOfFrames AcquisitionDateTime RequestAttributesSequence PixelData StudyID 00100010 "
    "0020000D 00281050 00400275.00400009 RequestAttributesSequence.ScheduledProcedureStepID "
    "00091001 00090010.00100010 FFFFFFFF includefield limit offset fuzzymatching "
    "emptyvaluematching multiplevaluematching accept"
).split()
VIEWED = (
    "rows columns region windowCenter windowWidth frameNumber imageQuality presentationUID "
    "viewport window quality iccprofile annotation accept charset"
).split()
NAMES = {
    "search": MATCHED,
    "view": VIEWED,
    "wado": (
        *VIEWED,
        *"requestType studyUID seriesUID objectUID contentType transferSyntax anonymize".split(),
    ),
    "feed": "startTime endTime includeMetadata since limit offset".split(),
    "other": (
        "since day station sop_uids study_uid all ae peer what patient_id uid date at limit offset"
    ).split(),
}
"""Of the parameters of what is asked for."""
ALL = sorted({name for names in NAMES.values() for name in names})
VALUES = (
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
ACCEPTS = (
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
FIELDS = (
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
FIELD_VALUES = (
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


DATES = (b"20040119", b"20040101-20301231", b"-20300101", b"20040230", b"2004", b"0-")
TIMES = (b"07", b"0727-", b"-101112.5", b"101112.5+0100", b"2460")
NUMBERS = (b"1", b"0", b"-1", b"16", b"200", b"1e3", b"9999999999999999999999", b"nan")
FITTING: dict[str, tuple[bytes, ...]] = {
    "StudyDate": DATES,
    "PatientBirthDate": DATES,
    "StudyTime": TIMES,
    "AcquisitionDateTime": (b"20040119072730-0500", b"2004-", b"-20300101000000.5+1400"),
    "startTime": (b"2026-03-04T01:03:08Z", b"0001-01-01T00:00:00+23:59"),
    "endTime": (b"2026-03-04T01:03:08Z", b"9999-12-31T23:59:59-23:59"),
    "includefield": (b"all", b"PatientName,00100020,StudyDate", b"00400275", b"7FE00010"),
    "region": (b"0,0,1,1", b"0.1,0.1,0.9,0.9", b"0.9,0.9,0.1,0.1", b"-1,0,2,1", b"nan,0,1,1"),
    "viewport": (b"100,100", b"64,64,0,0,,", b"16,16,-8,8,8,8", b"0,0", b"99999,99999"),
    "window": (b"40,400,linear", b"1,1e-99,sigmoid", b"40,0,linear-exact", b"inf,1,linear"),
    "annotation": (b"patient", b"technique,patient", b""),
    "iccprofile": (b"no", b"yes", b"srgb", b"x"),
    "contentType": (b"image/jpeg", b"application/dicom", b"text/html, image/png"),
    "transferSyntax": (b"1.2.840.10008.1.2.1", b"1.2.840.10008.1.2.4.90", b"1.2.3"),
    **dict.fromkeys(("fuzzymatching", "emptyvaluematching", "includeMetadata"), (b"true", b"1")),
    **dict.fromkeys(
        (
            "limit offset Rows NumberOfFrames rows columns windowCenter windowWidth frameNumber "
            "imageQuality quality since day 00281050"
        ).split(),
        NUMBERS,
    ),
    **{
        name: tuple(map(str.encode, UIDS))
        for name in "StudyInstanceUID SeriesInstanceUID SOPInstanceUID 0020000D studyUID".split()
    },
}
