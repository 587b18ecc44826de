"""Secrets of a configuration: sealed, in a file, or plain."""

from __future__ import annotations

import base64
import os
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge import config, others
from edge.crypto.secrets import open_secrets, seal_secret, unopened
from edge.errors import ConfigError, SecretUnopened

KEY = bytes(range(32))


@dataclass(frozen=True, slots=True)
class Settings:
    user: str = ""
    password: str = field(default="", repr=False)


def opened(text, key=KEY):
    return open_secrets(Settings(password=text), key, "auth").password


def failure(text, key=KEY):
    with pytest.raises(ConfigError) as caught:
        opened(text, key)
    assert str(caught.value).startswith("auth.password")
    return f"{caught.value} | {caught.value.hint}"


@given(st.text())
def test_what_was_sealed_is_opened_again(secret):
    sealed = seal_secret(secret, KEY)
    assert opened(sealed) == secret
    assert sealed.isascii()
    assert not set(sealed) & set(" \"'\\+/=\n")


def test_the_same_secret_is_sealed_in_another_way_each_time():
    assert seal_secret("hush", KEY) != seal_secret("hush", KEY)


def test_plain_text_is_itself():
    for text in ("", "hush", "Sealed:abc", "a file:/x", "profile:x"):
        assert opened(text) == text


def test_only_secrets_are_opened():
    settings = Settings(user="sealed:edge", password=seal_secret("hush", KEY))
    assert open_secrets(settings, KEY, "auth") == Settings("sealed:edge", "hush")


def test_every_secret_of_every_archive_is_opened_and_nothing_else_changes(tmp_path):
    names = ("password", "token", "client_secret", "secret_access_key", "session_token")

    def cloud(write):
        auths = [others.Auth("basic", user="u", **{name: write(name)}) for name in names]
        return config.Cloud(
            tuple(
                others.Archive(auth.user, "https://a", auth=auth, tls_ca=tmp_path) for auth in auths
            )
        )

    assert open_secrets(cloud(lambda name: seal_secret(name, KEY)), KEY, "cloud") == cloud(str)
    with pytest.raises(ConfigError, match=r"cloud\.archive\.0\.auth\.password was sealed"):
        open_secrets(cloud(lambda name: seal_secret(name, bytes(32))), KEY, "cloud")


def test_a_secret_of_another_box_says_so_and_what_to_do():
    told = failure(seal_secret("hush", bytes(32)))
    assert "sealed on another box" in told
    assert "settings of the page" in told
    assert "edge secret seal" in told


def test_what_is_sealed_and_can_not_be_opened_is_told_from_a_file_that_can_not_be_read(tmp_path):
    lost = seal_secret("hush", bytes(32))
    (tmp_path / "secret").write_text(lost)
    for text in (lost, f"file:{tmp_path}/secret", "sealed:abc"):
        with pytest.raises(SecretUnopened) as caught:
            opened(text)
        assert caught.value.key == "auth.password"
        assert caught.value.what
    with pytest.raises(ConfigError) as caught:
        opened("file:/none")
    assert not isinstance(caught.value, SecretUnopened)


def test_all_that_can_not_be_opened_is_named_and_nothing_else(tmp_path):
    lost, sound = seal_secret("hush", bytes(32)), seal_secret("hush", KEY)
    auths = [
        others.Auth("oauth2", client_id="x", client_secret=lost, token=lost),
        others.Auth("basic", user="sealed:no-secret", password=sound),
        others.Auth("bearer", token="file:/none"),
    ]
    cloud = config.Cloud(tuple(others.Archive("a", "https://a", auth=auth) for auth in auths))
    found = unopened(cloud, KEY, "cloud")
    assert [one.key for one in found] == [
        "cloud.archive.0.auth.token",
        "cloud.archive.0.auth.client_secret",
    ]
    assert all("sealed on another box" in str(one) for one in found)


def test_a_changed_bit_is_noticed():
    sealed = seal_secret("hush", KEY).removeprefix("sealed:")
    content = bytearray(base64.urlsafe_b64decode(sealed + "=" * (-len(sealed) % 4)))
    for place in range(len(content)):
        changed = content.copy()
        changed[place] ^= 1
        told = failure(f"sealed:{base64.urlsafe_b64encode(changed).decode().rstrip('=')}")
        assert ("newer version" if place == 0 else "was changed") in told


@pytest.mark.parametrize("cut", [0, 1, 2, 5, 20, 38])
def test_a_sealed_secret_that_was_cut(cut):
    sealed = seal_secret("", KEY)
    assert "edge secret seal" in failure(sealed[: len("sealed:") + cut])


@pytest.mark.parametrize("text", ["sealed:", "sealed:ü", "sealed:a b", "sealed:====", "sealed:+/"])
def test_what_is_no_sealed_secret_at_all(text):
    assert "not a whole sealed secret" in failure(text)


@pytest.mark.parametrize(
    ("content", "secret"),
    [
        (b"hush", "hush"),
        (b"hush\n", "hush"),
        (b"hush\r\n", "hush"),
        (b"hush\n\n", "hush\n"),
        (b" hush ", " hush "),
        ("hüsh\n".encode(), "hüsh"),
    ],
)
def test_a_secret_in_a_file_loses_its_last_line_end(tmp_path, content, secret):
    (tmp_path / "secret").write_bytes(content)
    assert opened(f"file:{tmp_path}/secret") == secret


def test_a_file_may_hold_a_sealed_secret(tmp_path):
    (tmp_path / "secret").write_text(seal_secret("hush", KEY) + "\n")
    assert opened(f"file:{tmp_path}/secret") == "hush"


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (None, "can't be read: No such file"),
        (b"", "is empty"),
        (b"\n", "is empty"),
        (b"hush\xff", "not text in UTF-8"),
        (b"hush" * 20_000, "too long"),
    ],
)
def test_a_file_that_is_of_no_use(tmp_path, content, why):
    if content is not None:
        (tmp_path / "secret").write_bytes(content)
    told = failure(f"file:{tmp_path}/secret")
    assert why in told
    assert str(tmp_path) in told
    assert "hush" not in told


def test_a_file_that_this_user_may_not_read(tmp_path):
    (tmp_path / "secret").mkdir()
    assert "can't be read: Is a directory" in failure(f"file:{tmp_path}/secret")


@pytest.mark.parametrize("path", ["", "secret", "./secret", "~/secret"])
def test_a_path_is_absolute(path):
    assert "absolute path" in failure(f"file:{path}")


def test_a_pipe_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    assert "is no ordinary file" in failure(f"file:{tmp_path}/pipe")
