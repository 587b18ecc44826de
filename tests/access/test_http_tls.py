"""The certificate of the HTTP door while it is served."""

from __future__ import annotations

import pytest
import trustme

from edge.access.http_tls import HttpTls
from edge.config import Http
from edge.errors import ConfigError

SECRET = bytes(range(32))
NAMES = ("edge-box", "127.0.0.1")


class Files:
    """A certificate of the clinic's own, and its key, which can be replaced."""

    def __init__(self, folder):
        self.certificate, self.key, self.ca = (
            folder / name for name in ("own.crt", "own.key", "own-ca.crt")
        )
        self.http = Http(tls="files", tls_certificate=self.certificate, tls_key=self.key)

    def issue(self, *names, common_name=None):
        authority = trustme.CA()
        issued = authority.issue_cert(*names, common_name=common_name)
        authority.cert_pem.write_to_path(self.ca)
        issued.cert_chain_pems[0].write_to_path(self.certificate)
        issued.private_key_pem.write_to_path(self.key)
        return issued


@pytest.fixture
def files(tmp_path):
    return Files(tmp_path)


def test_without_tls_nothing_is_loaded(tmp_path):
    tls = HttpTls(Http(tls="off"), SECRET, tmp_path / "tls", NAMES)
    tls.load()
    assert tls.context is None
    assert tls.certified() == frozenset()


def test_the_boxs_own_certificate_has_no_names_but_those_it_was_given(tmp_path):
    tls = HttpTls(Http(), SECRET, tmp_path / "tls", NAMES)
    tls.load()
    assert tls.context is not None
    assert tls.certified() == frozenset()


def test_the_names_in_the_clinics_certificate_are_those_of_the_one_that_is_loaded(files, tmp_path):
    files.issue("Pacs.clinic.example", "*.images.example", "192.168.7.9")
    tls = HttpTls(files.http, SECRET, tmp_path / "tls", NAMES)
    tls.load()
    assert tls.certified() == {"pacs.clinic.example", "*.images.example", "192.168.7.9"}
    context = tls.context
    files.issue("new.clinic.example")
    assert tls.certified() == {"pacs.clinic.example", "*.images.example", "192.168.7.9"}
    tls.load()
    assert tls.certified() == {"new.clinic.example"}
    assert tls.context is context


def test_files_that_do_not_fit_change_nothing(files, tmp_path, handshake, trusting):
    files.issue("localhost")
    tls = HttpTls(files.http, SECRET, tmp_path / "tls", NAMES)
    tls.load()
    before = trusting(files.ca)
    files.key.write_text("nothing")
    with pytest.raises(ConfigError):
        tls.load()
    assert tls.certified() == {"localhost"}
    handshake(tls.context, before)


def test_a_certificate_without_names_is_served_and_names_nothing(files, tmp_path):
    files.issue(common_name="old.clinic.example")
    tls = HttpTls(files.http, SECRET, tmp_path / "tls", NAMES)
    tls.load()
    assert tls.certified() == frozenset()
