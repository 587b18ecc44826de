"""Pictures that would be too large, and documents that would be pages which run scripts."""

from __future__ import annotations

import pytest

from tests.conformance import material
from tests.conformance.material import as_sample, uid


@pytest.fixture(scope="module")
def made():
    return material.build()


@pytest.fixture(scope="module")
def slice_(service, made):
    """An image to ask for."""
    sample = made.fresh()
    assert service.store_instances([sample.data]).status_code == 200
    return sample


@pytest.mark.parametrize(
    "query",
    [
        {"viewport": "1000000000,1000000000"},
        {"viewport": "60000,60000"},
        {"viewport": "1,1,0,0,1e300,1e300"},
        {"viewport": "10,10,1e9,1e9,-1e9,-1e9"},
        {"viewport": "10,10,nan,inf,1,1"},
        {"window": "1e999,1e-999,linear"},
        {"window": "nan,inf,sigmoid"},
        {"quality": "9" * 1000},
        {"iccprofile": "/etc/passwd"},
        {"annotation": "x" * 5000},
    ],
    ids=str,
)
def test_a_picture_that_is_too_large_or_none(query, service, slice_):
    answer = service.request("GET", f"{slice_.path}/rendered", accept="image/png", query=query)
    assert answer.status_code in (200, 400, 413), answer.text
    assert len(answer.content) < 5_000_000


def test_a_report_is_no_page_that_runs_scripts(service):
    dataset = material.packaged("HOSTILE", "REPORT", "reportsi.dcm").dataset
    attack = "<script>alert(1)</script>"
    dataset.PatientName = dataset.StudyDescription = attack
    dataset.ContentSequence[2].TextValue = attack
    sample = as_sample(dataset)
    assert service.store_instances([sample.data]).status_code == 200
    answer = service.get(f"{sample.path}/rendered", "text/html")
    assert answer.status_code == 200
    assert attack not in answer.text
    assert "default-src" in answer.headers.get("Content-Security-Policy", "")


@pytest.mark.parametrize(
    ("kind", "data"),
    [("text/html", b"<script>alert(1)</script>"), ("image/svg+xml", b"<svg onload='alert(1)'/>")],
)
def test_a_document_that_is_a_page_is_not_shown_as_one(kind, data, service, made):
    dataset = made.document.dataset
    dataset.SOPInstanceUID = uid()
    dataset.EncapsulatedDocument = data + b" " * (len(data) % 2)
    dataset.MIMETypeOfEncapsulatedDocument = kind
    sample = as_sample(dataset)
    assert service.store_instances([sample.data]).status_code == 200
    answer = service.get(f"{sample.path}/rendered", "text/html,*/*;q=0.8")
    if answer.status_code == 200:
        shown = answer.headers["Content-Type"].partition(";")[0] in ("text/html", "image/svg+xml")
        assert not shown or "sandbox" in answer.headers.get("Content-Security-Policy", "")
