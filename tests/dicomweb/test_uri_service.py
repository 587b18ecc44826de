"""WADO-URI: one instance, by query parameters."""

from __future__ import annotations

import io

import pydicom
import pytest

from edge.pixels.presentation import Presentation, Region, Viewport, Window
from tests.dicomweb.doubles import EXPLICIT, RLE

DICOM, JPEG, PNG = "application/dicom", "image/jpeg", "image/png"


@pytest.fixture
def ask(service, held):
    """Asks for a packaged instance."""

    async def get(name="CT_small.dcm", *, accept="*/*", method="GET", **query):
        ref = held[name].entry.ref
        whole = {
            "requestType": "WADO",
            "studyUID": ref.study_uid,
            "seriesUID": ref.series_uid,
            "objectUID": ref.sop_uid,
        } | query
        asked = {name: text for name, text in whole.items() if text is not None}
        url = service.base.removesuffix("/dicom-web") + "/wado"
        headers = {"Accept": accept}
        async with service.http.request(method, url, params=asked, headers=headers) as answer:
            await answer.read()
            return answer

    return get


@pytest.mark.parametrize(
    ("name", "query", "kind"),
    [
        ("CT_small.dcm", {}, JPEG),
        ("CT_small.dcm", {"contentType": PNG}, PNG),
        ("CT_small.dcm", {"contentType": f"video/mpeg, {PNG}"}, PNG),
        ("CT_small.dcm", {"contentType": DICOM}, DICOM),
        ("test-SR.dcm", {}, "text/html"),
        ("test-SR.dcm", {"contentType": "text/plain"}, "text/plain"),
        ("rtplan.dcm", {}, DICOM),
    ],
)
async def test_the_content_type_decides(ask, name, query, kind):
    answer = await ask(name, **query)
    assert answer.status == 200
    assert answer.content_type == kind


async def test_without_a_content_type_accept_decides(ask):
    assert (await ask(accept=DICOM)).content_type == DICOM
    assert (await ask(accept=DICOM, contentType=PNG)).content_type == PNG


@pytest.mark.parametrize(
    ("query", "syntax"),
    [({}, EXPLICIT), ({"transferSyntax": "*"}, None), ({"transferSyntax": RLE}, RLE)],
)
async def test_the_transfer_syntax_decides(ask, held, query, syntax):
    for name in ("CT_small.dcm", "SC_rgb_rle_2frame.dcm"):
        answer = await ask(name, contentType=DICOM, **query)
        found = pydicom.dcmread(io.BytesIO(answer._body))
        wanted = syntax or held[name].entry.transfer_syntax
        assert found.file_meta.TransferSyntaxUID == wanted


@pytest.mark.parametrize(
    ("query", "wanted"),
    [
        ({"windowCenter": "40", "windowWidth": "400"}, Presentation(window=Window(40, 400))),
        ({"imageQuality": "7"}, Presentation(quality=7)),
        ({"rows": "24", "columns": "32"}, Presentation(viewport=Viewport(32, 24))),
        ({"rows": "1024"}, Presentation(viewport=Viewport(32768, 1024))),
        ({"columns": "1024"}, Presentation(viewport=Viewport(1024, 32768))),
        (
            {"region": "0.25,0.5,0.75,1"},
            Presentation(viewport=Viewport(64, 64, Region(32, 64, 64, 64))),
        ),
        (
            {"region": "0,0,1,0.5", "rows": "9", "columns": "9"},
            Presentation(viewport=Viewport(9, 9, Region(0, 0, 128, 64))),
        ),
    ],
    ids=str,
)
async def test_a_picture_is_made_as_it_is_asked_for(ask, service, query, wanted):
    assert (await ask(**query)).status == 200
    [(_, _, given)] = service.rendering.asked
    assert given == wanted


async def test_a_frame_is_chosen(ask, service):
    for number in ("1", "15"):
        assert (await ask("rtdose.dcm", frameNumber=number)).status == 200
    assert [number for _, number, _ in service.rendering.asked] == [1, 15]


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ({"requestType": None}, 400),
        ({"requestType": "WADA"}, 400),
        ({"studyUID": None}, 400),
        ({"seriesUID": ""}, 400),
        ({"objectUID": "../x"}, 400),
        ({"objectUID": "1.2.3"}, 404),
        ({"seriesUID": "1.2.3"}, 404),
        ({"contentType": f"{DICOM}; transfer-syntax={EXPLICIT}"}, 400),
        ({"contentType": "nonsense"}, 400),
        ({"contentType": "audio/basic"}, 406),
        ({"contentType": DICOM, "transferSyntax": "fast"}, 400),
        ({"contentType": DICOM, "transferSyntax": "1.2.840.10008.1.2.4.100"}, 406),
        ({"contentType": DICOM, "transferSyntax": "1.2.840.10008.1.2"}, 406),
        ({"contentType": DICOM, "windowCenter": "1", "windowWidth": "2"}, 400),
        ({"contentType": DICOM, "frameNumber": "1"}, 400),
        ({"windowCenter": "1"}, 400),
        ({"windowWidth": "1"}, 400),
        ({"windowCenter": "a", "windowWidth": "1"}, 400),
        ({"frameNumber": "0"}, 400),
        ({"frameNumber": "2"}, 400),
        ({"frameNumber": "one"}, 400),
        ({"rows": "0"}, 400),
        ({"rows": "99999", "columns": "99999"}, 400),
        ({"region": "0.5,0.5,0.25,1"}, 400),
        ({"region": "0,0,1"}, 400),
        ({"region": "0,0,1,2"}, 400),
        ({"region": "a,0,1,1"}, 400),
        ({"imageQuality": "101"}, 400),
        ({"annotation": ""}, 400),
        ({"anonymize": "yes"}, 406),
        ({"charset": "latin1"}, 406),
        ({"presentationUID": "1.2"}, 400),
    ],
    ids=str,
)
async def test_what_is_refused(ask, service, query, status):
    answer = await ask(**query)
    assert answer.status == status
    assert answer.content_type == "application/problem+json"
    assert service.rendering.asked == []


async def test_a_hint_names_nothing_that_only_dicomweb_has(ask):
    answer = await ask(contentType=DICOM, transferSyntax="1.2.840.10008.1.2")
    hint = (await answer.json(content_type=None))["hint"]
    assert EXPLICIT in hint
    answer = await ask("JPEG2000.dcm", contentType="audio/basic")
    assert "multipart" not in hint + (await answer.json(content_type=None))["hint"]


async def test_it_stands_behind_the_same_door(service):
    url = service.base.removesuffix("/dicom-web") + "/wado"
    async with service.http.get(url, headers={"Authorization": ""}) as answer:
        assert answer.status == 401


async def test_head_says_what_get_would(ask):
    for kind in (DICOM, JPEG):
        got, head = await ask(contentType=kind), await ask(contentType=kind, method="HEAD")
        for name in ("Content-Type", "ETag"):
            assert head.headers[name] == got.headers[name]
