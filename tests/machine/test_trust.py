"""The clinic's own authority, beside those that the system trusts."""

from __future__ import annotations

import ssl

import pytest
import trustme

from edge.errors import MachineRefused
from edge.machine.health import read_machine
from edge.machine.trust import begin_to_trust, only_authorities, trust, trusted


@pytest.fixture(scope="module")
def clinic():
    return trustme.CA()


def pem_of(authority):
    return authority.cert_pem.bytes().decode()


def test_both_are_trusted(places, clinic):
    system = trustme.CA()
    places.system_ca.parent.mkdir(parents=True)
    places.system_ca.write_text(pem_of(system).rstrip())
    trust(places, pem_of(clinic))
    context = ssl.create_default_context(cafile=str(places.ca_bundle))
    assert len(context.get_ca_certs()) == 2
    # Also after a restart, when /run is empty.
    places.ca_bundle.unlink()
    begin_to_trust(places)
    assert places.ca_bundle.read_text().count("BEGIN CERTIFICATE") == 2
    trust(places, "")
    assert places.ca_bundle.read_text().count("BEGIN CERTIFICATE") == 1


def test_what_of_it_is_the_clinic_s_is_told_to_everybody(places):
    clinic = trustme.CA(organization_name="St. Brigid")
    assert trusted(places) == ()
    trust(places, pem_of(clinic))
    (one,) = trusted(places)
    assert one.subject == "St. Brigid"
    assert places.ca_told.stat().st_mode & 0o777 == 0o644
    state = read_machine(places, None)
    assert state.authorities == (one,)
    assert list(state.lines()) == [f"trusts St. Brigid, until {one.day}"]
    assert state.is_fine
    trust(places, "")
    assert trusted(places) == ()
    places.ca_told.write_text("garbage")
    assert trusted(places) == ()


def test_what_is_no_authority_is_not_trusted(places, clinic):
    leaf = clinic.issue_cert("archive.example")
    for pem in ("", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "é"):
        with pytest.raises(MachineRefused):
            only_authorities(pem)
    with pytest.raises(MachineRefused, match="no authority's certificate"):
        trust(places, leaf.cert_chain_pems[0].bytes().decode())
    assert not places.ca_kept.exists()


def test_nothing_but_certificates_gets_into_the_bundle(places, clinic):
    trust(places, f"# comment\n{pem_of(clinic)}\n-----BEGIN X509 CRL-----\n")
    text = places.ca_bundle.read_text()
    assert "comment" not in text
    assert "CRL" not in text


def test_a_private_key_is_refused(places, clinic):
    with pytest.raises(MachineRefused, match="a private key, which must be given to nobody"):
        trust(places, f"{pem_of(clinic)}\n-----BEGIN PRIVATE KEY-----\n")
    assert not places.ca_kept.exists()
