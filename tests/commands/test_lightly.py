"""Loading the service: what is left out meanwhile is as it was afterwards."""

from __future__ import annotations

import gc
import os

import pytest

from edge.commands.lightly import lightly


@pytest.mark.parametrize("authorities", [None, "/etc/ssl/cert.pem"])
def test_garbage_is_looked_for_and_authorities_are_trusted_again(monkeypatch, authorities):
    if authorities is None:
        monkeypatch.delenv("SSL_CERT_FILE", raising=False)
    else:
        monkeypatch.setenv("SSL_CERT_FILE", authorities)
    with lightly():
        assert not gc.isenabled()
        assert os.environ["SSL_CERT_FILE"] == os.devnull
    assert gc.isenabled()
    assert os.environ.get("SSL_CERT_FILE") == authorities
