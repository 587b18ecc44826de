import json

import httpx
import pytest

from edge.cloud.answers import AnswerTooLarge, datasets_in, read_body, words_in

ROW = {"0020000D": {"vr": "UI", "Value": ["1.2.3"]}}
XML = (
    b'<NativeDicomModel><DicomAttribute tag="0020000D" vr="UI"><Value number="1">1.2.3</Value>'
    b"</DicomAttribute></NativeDicomModel>"
)
MULTIPART = (
    b"--x\r\nContent-Type: application/dicom+xml\r\n\r\n" + XML + b"\r\n"
    b"--x\r\nContent-Type: application/dicom+xml\r\n\r\n" + XML + b"\r\n--x--"
)


def answer(content_type):
    return httpx.Response(200, headers={"Content-Type": content_type})


@pytest.mark.parametrize(
    ("content_type", "body", "datasets"),
    [
        ("application/dicom+json", json.dumps([ROW, ROW]).encode(), [ROW, ROW]),
        ("application/json", json.dumps(ROW).encode(), [ROW]),
        ("text/plain", b"\xef\xbb\xbf \n" + json.dumps([ROW]).encode(), [ROW]),
        ("application/dicom+json", b"[]", []),
        ("application/dicom+xml", b'<?xml version="1.0"?>' + XML, [ROW]),
        ('multipart/related; type="application/dicom+xml"; boundary=x', MULTIPART, [ROW, ROW]),
    ],
)
async def test_datasets_come_as_json_or_xml_whatever_the_label(content_type, body, datasets):
    assert await datasets_in(answer(content_type), body) == datasets


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        ("application/dicom+json", b""),
        ("application/dicom+json", b"[1, 2]"),
        ("application/dicom+json", b'{"message": "no"}'),
        ("application/dicom+json", b'{"a": '),
        ("application/dicom+json", b'["\xff"]'),
        ("text/html", b"<html><body>Welcome to the hotel</body></html>"),
        ("multipart/related; boundary=y", MULTIPART),
        ("multipart/related", MULTIPART),
        ("multipart/related; boundary=x", MULTIPART[:-30]),
        ("multipart/related; boundary=x", MULTIPART.replace(b"+xml", b"")),
    ],
)
async def test_what_only_looks_like_an_answer_is_none(content_type, body):
    assert await datasets_in(answer(content_type), body) is None


UID = {"0020000D": {"vr": "UI", "Value": ["1.2.3"]}}


@pytest.mark.parametrize(
    "nonsense",
    [
        5,
        None,
        "text",
        {},
        {"Value": ["no VR"]},
        {"vr": 5, "Value": ["x"]},
        {"vr": "LO", "Value": {"a": 1}},
        {"vr": "LO", "Value": [{"a": 1}]},
        {"vr": "LO", "Value": [["x"]]},
        {"vr": "PN", "Value": 5},
        {"vr": "PN", "Value": [{"Alphabetic": 5}]},
        {"vr": "PN", "Value": [{"Alphabetic": ["DOE^JANE"]}]},
        {"vr": "SQ", "Value": ["no item"]},
        {"vr": "OB", "BulkDataURI": 5},
        {"vr": '"/><x y="', "Value": ["x"]},
        {"vr": "lo", "Value": []},
        {"vr": "OB", "InlineBinary": "</InlineBinary>"},
    ],
)
async def test_an_element_that_is_nonsense_costs_nothing_else(nonsense):
    body = json.dumps([UID | {"00100010": nonsense}, UID]).encode()
    assert await datasets_in(answer("application/dicom+json"), body) == [UID, UID]


@pytest.mark.parametrize(
    "element",
    [
        {"vr": "LO"},
        {"vr": "LO", "Value": ["x", None]},
        {"vr": "DS", "Value": [1.5, 2, "3"]},
        {"vr": "PN", "Value": [{"Alphabetic": "A^B", "Ideographic": None}]},
        {"vr": "PN", "Value": ["A^B"]},
        {"vr": "SQ", "Value": [{"00080100": {"vr": "SH", "Value": ["x"]}}, {}]},
        {"vr": "OB", "InlineBinary": "AAAA"},
        {"vr": "OW", "BulkDataURI": "https://archive/1"},
    ],
)
async def test_what_has_the_form_of_the_standard_stays_as_it_is(element):
    body = json.dumps([UID | {"00100010": element}]).encode()
    assert await datasets_in(answer("application/dicom+json"), body) == [
        UID | {"00100010": element}
    ]


@pytest.mark.parametrize(
    ("text", "read"),
    [
        (b"M\xfcller", "M\ufffdller"),
        (b"\\ud800x", "\ufffdx"),
        (b"x\\udc00", "x\ufffd"),
        (b"\\ud83d\\ude00 \\ud800", "\U0001f600 \ufffd"),
    ],
)
async def test_text_that_is_no_unicode_spoils_nothing_else(text, read):
    body = b'[{"00081030": {"vr": "LO", "Value": ["%b"]}}]' % text
    found = await datasets_in(answer("application/dicom+json"), body)
    assert found == [{"00081030": {"vr": "LO", "Value": [read]}}]


async def test_rows_that_are_none_cost_nothing_else():
    body = json.dumps([None, UID, 5, {"message": "busy"}]).encode()
    assert await datasets_in(answer("application/dicom+json"), body) == [UID]


@pytest.mark.parametrize("levels", [100, 300, 100_000])
async def test_nesting_without_end_is_cut_or_no_answer(levels):
    inner = b'{"00081110":{"vr":"SQ","Value":[' * levels + b"]}}" * levels
    body = b'[{"0020000D":{"vr":"UI","Value":["1.2.3"]},"00081110":{"vr":"SQ","Value":[%b]}}]'
    found = await datasets_in(answer("application/dicom+json"), body % inner)
    assert found is None or found[0]["0020000D"] == UID["0020000D"]
    assert found is None or json.dumps(found).count("SQ") <= 64


async def test_a_large_answer_is_decoded_beside_the_loop():
    body = json.dumps([ROW] * 10_000).encode()
    assert len(await datasets_in(answer("application/dicom+json"), body)) == 10_000


async def test_a_body_beyond_the_limit_is_not_read_to_its_end():
    async def endless():
        while True:
            yield bytes(1000)

    with pytest.raises(AnswerTooLarge):
        await read_body(httpx.Response(200, content=endless()), limit=10_000)


def test_words_lose_their_markup():
    assert words_in(b"<html><b>413</b>\n Request Entity  Too Large") == (
        "413 Request Entity Too Large"
    )
