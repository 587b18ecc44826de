"""Where the page of a box is: by its name, and by the addresses of the machine."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

import edge
from edge import config
from edge.cache.page_address import page_address, page_addresses


@pytest.mark.parametrize(
    ("changes", "address"),
    [
        ({}, "https://edge.local:8443/"),
        ({"names": ("pacs.clinic.example",)}, "https://pacs.clinic.example:8443/"),
        ({"listen": "[fd00::1]:443"}, "https://[fd00::1]/"),
        ({"listen": "127.0.0.1:80", "tls": "off"}, "http://127.0.0.1:80/"),
    ],
)
def test_where_a_browser_finds_it(changes, address, tmp_path):
    loaded = config.Config(http=replace(config.Http(), **changes))
    assert page_address(loaded, tmp_path / "none", is_new=False) == address
    assert page_address(loaded, tmp_path / "none", is_new=True) == f"{address}welcome"


def test_where_the_image_leads_browsers_to_it_they_need_no_port():
    rules = Path(edge.__file__).parent.parent / "image/mkosi.extra/usr/lib/edge/firewall.nft"
    plain = config.Config()
    assert page_address(plain, rules, is_new=True) == "https://edge.local/welcome"
    for http, address in (
        (config.Http(listen="0.0.0.0:9443"), "https://edge.local:9443/"),
        (config.Http(tls="off"), "http://edge.local:8443/"),
    ):
        assert page_address(config.Config(http=http), rules, is_new=False) == address


def test_where_it_is_by_each_address_of_the_machine(tmp_path):
    found = ["192.0.2.7", "2001:db8::7"]
    plain, none = config.Config(), tmp_path / "none"
    assert page_addresses(plain, none, found) == [
        "https://edge.local:8443/",
        "https://192.0.2.7:8443/",
        "https://[2001:db8::7]:8443/",
    ]
    one = config.Config(http=config.Http(listen="192.0.2.7:443"))  # and at no other
    assert page_addresses(one, none, found) == ["https://192.0.2.7/"]
