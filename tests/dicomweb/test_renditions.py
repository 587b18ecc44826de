"""What is no picture: videos, documents, reports; nothing of it runs scripts."""

from __future__ import annotations

import io

import pydicom
import pytest
from pydicom.encaps import encapsulate

PDF = b"%PDF-1.1 and so on"  # of an even length
BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"


def saved(dataset):
    file = io.BytesIO()
    dataset.save_as(file)
    return file.getvalue()


@pytest.fixture
def document(service, packaged):
    """Puts an encapsulated document there."""

    def add(data, kind="application/pdf", **attributes):
        dataset = pydicom.dcmread(packaged("test-SR.dcm"))
        del dataset.ContentSequence, dataset.ValueType
        dataset.SOPClassUID = "1.2.840.10008.5.1.4.1.1.104.1"
        dataset.EncapsulatedDocument = data + b"\0" * (len(data) % 2)
        dataset.MIMETypeOfEncapsulatedDocument = kind
        dataset.update(attributes)
        [instance] = service.retrieval.add(saved(dataset))
        instance.bulk["00420011"] = dataset.EncapsulatedDocument
        return instance

    return add


@pytest.mark.parametrize("accept", [BROWSER, "*/*", "application/pdf"])
async def test_a_document_is_what_it_is(service, document, url, accept):
    target = url(document(PDF), "rendered")
    async with service.http.get(target, headers={"Accept": accept}) as answer:
        assert answer.headers["Content-Type"] == "application/pdf"
        assert await answer.read() == PDF


async def test_a_document_has_no_more_bytes_than_it_says(service, document, url):
    instance = document(PDF + b"!", EncapsulatedDocumentLength=len(PDF) + 1)
    async with service.http.get(url(instance, "rendered")) as answer:
        assert await answer.read() == PDF + b"!"
    twice = document(PDF, EncapsulatedDocumentLength=[len(PDF) - 1, len(PDF)])
    async with service.http.get(url(twice, "rendered")) as answer:
        assert await answer.read() == PDF
    liar = document(PDF, EncapsulatedDocumentLength=3)
    async with service.http.get(url(liar, "rendered"), headers={"Range": "bytes=1-3"}) as answer:
        assert answer.status == 206
        assert await answer.read() == b"PDF"


@pytest.mark.parametrize(
    ("kind", "given"),
    [
        ("text/xml", "text/xml"),
        ("text/html", "application/octet-stream"),
        ("image/svg+xml", "application/octet-stream"),
        ("Application/PDF", "application/pdf"),
        ("nonsense\\", "application/octet-stream"),
    ],
)
async def test_a_document_that_could_run_scripts_does_not(service, document, url, kind, given):
    instance = document(b"<svg onload='alert(1)'/>", kind)
    async with service.http.get(url(instance, "rendered"), headers={"Accept": "*/*"}) as answer:
        assert answer.content_type == given
        if given != "application/pdf":
            assert answer.headers["Content-Security-Policy"].endswith("sandbox")


@pytest.mark.parametrize(
    ("accept", "kind"),
    [
        (BROWSER, "text/html"),
        ("*/*", "text/html"),
        ("text/plain", "text/plain"),
        ("text/xml", "text/xml"),
    ],
)
async def test_a_report_is_text(service, held, url, accept, kind):
    target = url(held["test-SR.dcm"], "rendered")
    async with service.http.get(target, headers={"Accept": accept}) as answer:
        assert answer.headers["Content-Type"] == f"{kind}; charset=utf-8"
        assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
        assert "Diagnosis" in await answer.text()
    async with service.http.head(target, headers={"Accept": accept}) as answer:
        assert answer.content_type == kind


async def test_a_report_is_no_picture(service, held, url):
    for rest in ("rendered", "thumbnail"):
        target = url(held["test-SR.dcm"], rest)
        async with service.http.get(target, headers={"Accept": "image/jpeg"}) as answer:
            assert answer.status == 406


async def test_a_video_is_its_stream_and_can_be_sought_in(service, packaged, url):
    dataset = pydicom.dcmread(packaged("examples_ybr_color.dcm"))
    dataset.file_meta.TransferSyntaxUID = "1.2.840.10008.1.2.4.102"
    dataset.NumberOfFrames = 1
    stream = bytes(range(250)) * 8
    dataset.PixelData = encapsulate([stream])
    [instance] = service.retrieval.add(saved(dataset))
    target = url(instance, "rendered")
    async with service.http.get(target) as answer:
        assert answer.content_type == "video/mp4"
        assert await answer.read() == stream
    async with service.http.get(target, headers={"Range": "bytes=260-263"}) as answer:
        assert answer.status == 206
        assert await answer.read() == stream[260:264]
    for rest in ("thumbnail", "frames/1/rendered"):
        async with service.http.get(url(instance, rest)) as answer:
            assert answer.status in (200, 406)


async def test_what_was_never_here_is_looked_at_first(service, held, url):
    instance = held["CT_small.dcm"]
    service.retrieval.nearline = {instance.entry.ref.sop_uid}
    for rest in ("rendered", "frames/1/rendered"):
        async with service.http.get(url(instance, rest)) as answer:
            assert answer.content_type == "image/jpeg"
