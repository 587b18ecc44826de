"""A box without tokens, and pages that had a name of theirs lead to it (DNS rebinding)."""

from __future__ import annotations

import pytest

from tests.bench.servers import Edge
from tests.conformance import material
from tests.conformance.service import DICOM, JSON, Service, payload

NAMES = ("evil.example", "evil.example:80", "127.0.0.1.evil.example", "localhost.evil.example")


@pytest.fixture(scope="module")
def tokenless(tmp_path_factory):
    """The service of a box that asks nobody who they are, on loopback."""
    server = Edge(tmp_path_factory.mktemp("tokenless"))
    text = server.config.read_text(encoding="utf-8")
    assert 'auth = "required"' in text
    server.config.write_text(text.replace('"required"', '"none"'), encoding="utf-8")
    try:
        server.start()
        with Service(f"http://127.0.0.1:{server.web.port}/dicom-web") as service:
            yield service
    finally:
        server.discard()


@pytest.fixture(scope="module")
def sample(tokenless):
    """An image that is in it."""
    made = material.build().fresh()
    assert tokenless.store_instances([made.data]).status_code == 200
    return made


def paths(service, sample) -> list[str]:
    """Everything that says something of it, or of the box."""
    root = service.base.removesuffix("/dicom-web")
    below = ("", "/metadata", "/frames/1", "/rendered", "/thumbnail", "/bulkdata/7FE00010")
    uids = f"studyUID={sample.study_uid}&seriesUID={sample.series_uid}&objectUID={sample.sop_uid}"
    return [
        *(f"{service.base}{sample.path}{path}" for path in below),
        f"{service.base}/studies",
        f"{service.base}/changefeed",
        f"{service.uri_service}?requestType=WADO&{uids}",
        f"{root}/api/v1/status",
        f"{root}/api/v1/openapi.json",
        f"{root}/nothing",
    ]


@pytest.mark.parametrize("name", NAMES)
def test_a_page_that_a_browser_takes_for_the_box_reads_nothing(name, tokenless, sample):
    for path in paths(tokenless, sample):
        for method in ("GET", "HEAD", "OPTIONS"):
            headers = {"Host": name, "Origin": f"http://{name}", "Sec-Fetch-Site": "same-origin"}
            answer = tokenless.request(method, path, headers=headers)
            assert answer.status_code == 421, (method, path)
            assert sample.dataset.PatientID not in answer.text
            assert "Access-Control-Allow-Origin" not in answer.headers


def test_such_a_page_stores_and_deletes_nothing(tokenless, sample):
    other = material.build().fresh()
    kind, body = payload([("Content-Type: application/dicom", other.data)], "application/dicom")
    headers = {"Host": "evil.example", "Content-Type": kind}
    answer = tokenless.request("POST", "/studies", headers=headers, content=body)
    assert answer.status_code == 421
    answer = tokenless.request("DELETE", sample.study, headers={"Host": "evil.example"})
    assert answer.status_code == 421
    assert tokenless.get(other.path, DICOM).status_code == 404
    assert tokenless.get(sample.path, DICOM).status_code == 200


def test_by_its_address_and_as_localhost_it_answers(tokenless, sample):
    for name in ("127.0.0.1", "localhost:8080", "[::1]"):
        answer = tokenless.request(
            "GET", f"{sample.path}/metadata", accept=JSON, headers={"Host": name}
        )
        assert answer.status_code == 200, name
