"""What a person has to know of a certificate."""

import datetime as dt
import ssl

import pytest
import trustme

from edge.cloud.certificate import Certificate


def certificate_of(leaf):
    return Certificate.of(ssl.PEM_cert_to_DER_cert(leaf.cert_chain_pems[0].bytes().decode()))


def test_names_issuer_and_dates_are_read():
    authority = trustme.CA(organization_name="Clinic", organization_unit_name="Firewall")
    end = dt.datetime(2030, 1, 31, tzinfo=dt.UTC)
    read = certificate_of(authority.issue_cert("a.example", "b.example", "::1", not_after=end))
    assert read.names == ("a.example", "b.example", "::1")
    assert "Clinic" in read.issuer
    assert read.end == "2030-01-31"
    assert read.days_left(end.timestamp() - 3 * 86400) == 3
    assert read.days_left(end.timestamp() + 86400 * 2.5) == -3
    assert read.is_valid_at(end.timestamp() - 1)
    assert not read.is_valid_at(end.timestamp() + 1)
    assert not read.is_valid_at(0.0)


def test_many_names_are_counted():
    names = [f"{number}.example" for number in range(9)]
    read = certificate_of(trustme.CA().issue_cert(*names))
    assert read.who == "0.example, 1.example, 2.example and 6 more"


def test_what_is_no_certificate():
    with pytest.raises(ValueError, match=r"."):
        Certificate.of(b"none")
