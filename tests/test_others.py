"""Those that the box deals with: their secrets do not show, and whom it calls is known."""

from __future__ import annotations

from edge import others
from edge.config import Update

SECRET = "hidden"


def test_secrets_do_not_show():
    said = (
        others.Auth("basic", user="u", password=SECRET, token=SECRET, client_secret=SECRET),
        others.Auth("aws", secret_access_key=SECRET, session_token=SECRET),
        others.Archive("cloud", "https://a.example", proxy_user="u", proxy_password=SECRET),
        others.Oidc("https://i.example", "c", SECRET, proxy_password=SECRET),
        Update(proxy_user="u", proxy_password=SECRET),
    )
    for one in said:
        assert SECRET not in repr(one)


def test_the_source_of_a_worklist_is_called_as_a_peer_is():
    source = others.WorklistSource(
        "ris", "dicom", "RIS", "10.0.0.7", 11112, tls=True, certificate="CN=ris"
    )
    assert source.peer == others.Peer("RIS", "10.0.0.7", 11112, tls=True, certificate="CN=ris")
