"""A box that was renamed goes on showing who calls as before what was shown there before."""

from __future__ import annotations

import datetime as dt
import ssl

import pytest
import trustme

from edge.access.former import TERM, former, former_files
from edge.access.http_tls import HttpTls
from edge.config import Http

SECRET = bytes(range(32))
FIRST = ("edge", "edge.local", "127.0.0.1")
SECOND = ("st-brigid", "st-brigid.local", "127.0.0.1")
THIRD = ("st-brigids", "st-brigids.local", "127.0.0.1")


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "tls"


@pytest.fixture
def begin(folder, clock):
    """The service begins, with these names."""

    def start(names):
        tls = HttpTls(Http(), SECRET, folder, names, clock=clock)
        tls.load()
        return tls

    return start


@pytest.fixture
def trusted(folder, trusting, tmp_path):
    """Who trusts the authority that there is now, whatever comes."""

    def keep():
        file = tmp_path / f"{len(list(tmp_path.iterdir()))}.crt"
        file.write_bytes((folder / "ca.crt").read_bytes())
        return trusting(file)

    return keep


def by_address(context):
    """Of who looks at no name, and says none: as a browser that came by an address."""
    context.check_hostname = False
    return context


def test_who_calls_by_a_former_name_or_by_an_address_sees_what_was_there(begin, trusted, handshake):
    begin(FIRST)
    before = trusted()
    tls = begin(SECOND)
    handshake(tls.context, before, "edge.local")
    handshake(tls.context, before, "EDGE.local")
    handshake(tls.context, before, "127.0.0.1")
    handshake(tls.context, by_address(before), None)
    assert {"edge", "edge.local"} < tls.called()
    with pytest.raises(ssl.SSLCertVerificationError):
        handshake(tls.context, before, "st-brigid.local")


def test_a_new_name_has_the_new_certificate_at_once(begin, trusted, handshake):
    begin(FIRST)
    tls = begin(SECOND)
    handshake(tls.context, trusted(), "st-brigid.local")


def test_it_ends_after_some_hours_by_itself(begin, trusted, handshake, clock, folder):
    begin(FIRST)
    before = trusted()
    tls = begin(SECOND)
    clock.now += TERM + dt.timedelta(seconds=1)
    with pytest.raises(ssl.SSLCertVerificationError):
        handshake(tls.context, before, "edge.local")
    assert "edge.local" not in tls.called()
    tls.load()
    assert former_files(folder) == []


def test_who_renames_it_twice_goes_on_under_both_names(begin, trusted, handshake, clock):
    begin(FIRST)
    first = trusted()
    begin(SECOND)
    second = trusted()
    clock.now += dt.timedelta(minutes=5)
    tls = begin(THIRD)
    handshake(tls.context, first, "edge.local")
    handshake(tls.context, first, "127.0.0.1")
    handshake(tls.context, second, "st-brigid.local")
    handshake(tls.context, trusted(), "st-brigids.local")


def test_who_takes_the_name_back_is_shown_what_was_there_at_first(begin, trusted, handshake):
    begin(FIRST)
    first = trusted()
    begin(SECOND)
    tls = begin(FIRST)
    handshake(tls.context, first, "edge.local")


def test_the_same_names_make_nothing_former(begin, clock, folder):
    begin(FIRST)
    clock.now += dt.timedelta(days=390)  # renewed
    begin(FIRST)
    assert former_files(folder) == []


def test_what_ended_before_the_new_name_is_not_kept(begin, clock, folder):
    begin(FIRST)
    clock.now += dt.timedelta(days=400)
    begin(SECOND)
    assert former_files(folder) == []


def test_a_clock_that_was_set_back_does_not_make_it_last(begin, clock, folder):
    begin(FIRST)
    clock.now += dt.timedelta(days=200)
    begin(SECOND)
    assert len(list(former(folder, clock.now))) == 1
    clock.now -= dt.timedelta(days=199)
    assert list(former(folder, clock.now)) == []


def test_one_that_is_damaged_is_not_shown_and_stops_nothing(begin, trusted, handshake, folder):
    begin(FIRST)
    begin(SECOND)
    ((_, path),) = former_files(folder)
    path.write_bytes(path.read_bytes()[:-200])
    handshake(begin(SECOND).context, trusted(), "st-brigid.local")
    path.write_bytes(b"nothing")
    handshake(begin(SECOND).context, trusted(), "st-brigid.local")


def test_one_whose_certificate_is_for_no_name_is_not_shown(begin, folder, clock):
    begin(FIRST)
    begin(SECOND)
    ((_, path),) = former_files(folder)
    path.write_bytes(trustme.CA().cert_pem.bytes())  # an authority's has none
    assert list(former(folder, clock())) == []
    begin(SECOND)


def test_a_box_in_which_nobody_is_shows_the_new_one_alone(begin, trusted, handshake, folder):
    begin(FIRST)
    tls = begin(SECOND)
    assert former_files(folder)
    tls.forget_former()
    assert not former_files(folder)
    assert tls.former_hosts() == frozenset()
    handshake(tls.context, by_address(trusted()), None)
    begin(SECOND)
    assert not former_files(folder)


def test_its_private_key_is_sealed(begin, folder):
    begin(FIRST)
    begin(SECOND)
    ((_, path),) = former_files(folder)
    assert "BEGIN ENCRYPTED PRIVATE KEY" in path.read_text()
    assert path.stat().st_mode & 0o777 == 0o600
