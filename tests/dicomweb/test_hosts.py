"""What the box takes for its own name."""

from __future__ import annotations

import pytest

from edge.dicomweb.hosts import OwnNames


@pytest.mark.parametrize(
    "host",
    ["127.0.0.1", "127.0.0.1:8443", "[::1]:8443", "localhost:80", "edge", "EDGE.local.", "edge:1"],
)
def test_addresses_and_own_names_are_its_own(host):
    assert OwnNames(["edge", "Edge.local"]).has(host)


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "evil.example:8443",
        "127.0.0.1.evil.example",
        "edge.evil.example",
        "edge@evil.example",
        "[::1].evil.example",
        "0x7f.1",
        "",
        ":8443",
    ],
)
def test_a_name_that_somebody_made_lead_here_is_not(host):
    assert not OwnNames(["edge", "edge.local"]).has(host)


def test_names_in_the_clinics_certificate_are_its_own_as_long_as_it_has_them():
    certified = {"pacs.clinic.example", "*.images.example"}
    names = OwnNames(["edge"], lambda: certified)
    assert names.has("PACS.clinic.example:443")
    assert names.has("box.images.example")
    for other in ("clinic.example", "images.example", "a.b.images.example", "example", "*"):
        assert not names.has(other)
    certified.clear()
    assert not names.has("pacs.clinic.example")
