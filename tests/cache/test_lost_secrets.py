"""Secrets that can't be opened: whose they are, and where they can be given again."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from edge.access.roles import Act
from edge.cache.lost_secrets import lost_secrets
from edge.crypto.secrets import seal_secret
from edge.loading import load
from edge.pages.alarms import _of_secrets
from edge.pages.words import Messages, Words

KEY, OTHER = bytes(32), bytes(range(32))
LOST = seal_secret("opensesame", OTHER)
ARCHIVE = f"""
[[cloud.archive]]
name = "cloud"
url = "https://archive.example/dicom-web"
auth = {{ kind = "basic", user = "edge", password = "{LOST}" }}
"""
PROVIDER = f"""
[access.oidc]
issuer = "https://idp.example"
client_id = "edge"
client_secret = "{LOST}"
roles = {{ all = "viewer" }}
"""
UPDATES = f"""
[update]
url = "https://updates.example/"
proxy = "http://proxy.example:3128"
proxy_user = "edge"
proxy_password = "{LOST}"
"""
SECRETS = {
    ARCHIVE: "cloud.archive.0.auth.password",
    PROVIDER: "access.oidc.client_secret",
    UPDATES: "update.proxy_password",
}
ADMIN = SimpleNamespace(words=Words("en", Messages()), may=lambda act: act is Act.ADMINISTER)


@pytest.fixture
def lost(tmp_path):
    """Of a box whose machine's file and own file say these."""

    def lost(machine="", own=""):
        file, folder = tmp_path / "edge.toml", tmp_path / "box"
        folder.mkdir()
        file.write_text(f'[appliance]\ndata_dir = "{folder}"\n{machine}')
        (folder / "settings.toml").write_text(own)
        return lost_secrets(load(file, {}), KEY)

    return lost


def alarms(*found):
    return list(_of_secrets(SimpleNamespace(lost_secrets=found), ADMIN))


@pytest.mark.parametrize("text", [ARCHIVE, PROVIDER, UPDATES])
def test_what_was_typed_on_the_page_is_typed_there_again(lost, text):
    [one] = lost(own=text)
    assert (one.key, one.by_page) == (SECRETS[text], True)
    [alarm] = alarms(one)
    assert "until an administrator types it again" in alarm.advice
    assert alarm.link == "/settings"


@pytest.mark.parametrize("text", [ARCHIVE, PROVIDER, UPDATES])
def test_what_a_file_of_the_machine_says_is_given_again_on_the_machine(lost, text):
    """The page shows it as fixed: nobody is sent to where nothing can be typed."""
    [one] = lost(text)
    assert (one.key, one.by_page) == (SECRETS[text], False)
    [alarm] = alarms(one)
    assert "gives it again on the machine itself" in alarm.advice
    assert alarm.link == ""
    assert one.key in alarm.words


def test_the_server_of_updates_is_told_from_an_identity_provider(lost):
    [one] = lost(own=UPDATES)
    assert one.sentence.startswith("The server of updates is out of use")
    [alarm] = alarms(one)
    assert "server of updates" in alarm.text


def test_the_machine_s_file_wins_over_what_was_typed(lost):
    typed = ARCHIVE.replace(LOST, seal_secret("before", KEY))
    [one] = lost(ARCHIVE, typed)
    assert not one.by_page


def test_a_server_of_updates_that_nobody_asks_is_not_spoken_of(lost):
    assert lost(UPDATES.replace("https://updates.example/", "")) == ()


def test_each_whose_secret_is_lost_is_told_of_once(lost):
    found = lost(UPDATES, ARCHIVE + PROVIDER)
    assert len(alarms(*found, *found)) == 3
