"""Resources: from path to UIDs and back."""

from __future__ import annotations

import pytest

from edge.dicomweb.resources import Target


@pytest.mark.parametrize(
    ("target", "url", "name"),
    [
        (Target(), "b", "all studies"),
        (Target("1"), "b/studies/1", "study 1"),
        (Target("1", "2"), "b/studies/1/series/2", "series 2"),
        (Target("1", "2", "3"), "b/studies/1/series/2/instances/3", "instance 3"),
    ],
)
def test_a_target_has_a_url_and_a_name(target, url, name):
    assert target.url("b") == url
    assert str(target) == name


def test_only_what_is_in_a_study_has_uids():
    assert Target("1", "2").uids == ("1", "2", None)
    with pytest.raises(ValueError, match="no study"):
        _ = Target().uids


async def test_urls_name_the_service_as_the_client_reached_it(service, packaged):
    service.catalogue.results = [{"0020000D": {"vr": "UI", "Value": ["1.2"]}}]
    port = service.base.removesuffix("/dicom-web").rpartition(":")[2]
    for host, named in (
        ("edge.clinic.example:8443", "edge.clinic.example:8443"),
        ("[::1]:80", "[::1]:80"),
        # Clients that leave out the port, though it is not the scheme's own.
        ("localhost", f"localhost:{port}"),
        ("[::1]", f"[::1]:{port}"),
    ):
        headers = {"Host": host}
        async with service.http.get(f"{service.base}/studies", headers=headers) as answer:
            [found] = await answer.json(content_type=None)
        assert found["00081190"]["Value"] == [f"http://{named}/dicom-web/studies/1.2"]
