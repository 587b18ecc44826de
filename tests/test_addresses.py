"""Addresses to listen on: read, and what is to be done where one can't be had."""

from __future__ import annotations

import errno

import pytest

from edge import addresses, config
from edge.access.authority import general_name
from edge.access.tls import box_names


@pytest.mark.parametrize(
    ("listen", "found", "is_loopback"),
    [
        ("0.0.0.0:11112", ("0.0.0.0", 11112), False),
        ("127.0.0.2:0", ("127.0.0.2", 0), True),
        ("[::1]:8443", ("::1", 8443), True),
        ("localhost:1", ("localhost", 1), True),
        ("box.clinic:65535", ("box.clinic", 65535), False),
    ],
)
def test_an_address_is_a_host_and_a_port(listen, found, is_loopback):
    assert addresses.host_and_port(listen) == found
    assert addresses.is_loopback(listen) == is_loopback


@pytest.mark.parametrize("text", ["", "host", ":80", "host:", "host:http", "host:65536", "host:-1"])
def test_what_is_no_address_is_said_to_be_none(text):
    with pytest.raises(ValueError, match="is not HOST:PORT"):
        addresses.host_and_port(text)


def test_an_address_that_can_not_be_listened_on_is_answered_with_what_to_do():
    def hint(number):
        return addresses.not_listening("http.listen", "a:1", OSError(number, "no")).hint

    assert "another program" in hint(errno.EADDRINUSE)
    assert "no such address" in hint(errno.EADDRNOTAVAIL)
    assert "privilege" in hint(errno.EACCES)
    assert hint(errno.EINVAL)


@pytest.mark.parametrize(
    ("name", "host"),
    [
        ("edge", "edge"),
        ("Radiology.Example.ORG", "radiology.example.org"),
        ("St. Brigid Clinic", "st-brigid-clinic"),
        ("Müller & Söhne", "muller-sohne"),
        ("مستشفى", "edge"),
        ("a..b", "a-b"),
        ("-x-", "x"),
        ("x" * 80, "x" * 63),
        ("…", "edge"),
    ],
)
def test_a_box_has_a_host_name_whatever_people_call_it(name, host):
    assert addresses.host_name(name) == host
    names = box_names(config.Config(appliance=config.Appliance(name=name)))
    assert {host, f"{host}.local"} <= {str(general_name(one).value) for one in names}
