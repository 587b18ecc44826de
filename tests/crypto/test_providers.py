"""Where the root secret comes from, by the attack model in ``edge.crypto.providers``."""

from __future__ import annotations

import base64
import hashlib
import os
import subprocess

import msgspec
import pytest

from edge import config
from edge.crypto.kernel import KernelMemory
from edge.crypto.passphrases import normal
from edge.crypto.providers import FileKeyProvider
from edge.crypto.providers.choice import keeper_of
from edge.crypto.providers.credential import CredentialKeyProvider
from edge.crypto.providers.network import NetworkKeyProvider
from edge.crypto.providers.passphrase import PassphraseKeyProvider
from edge.crypto.providers.wrapped import FILE, ByPassphrase, WrappedRoot
from edge.crypto.twin import copies
from edge.errors import (
    KeyLocked,
    KeyUnavailable,
    Needs,
    SealBroken,
    SecretError,
    WrongKey,
)

GOOD, OTHER = "seven herons over a wet field", "seven herons over a dry field"


def settings(folder, **keys):
    return config.Config(appliance=config.Appliance(data_dir=folder), keys=config.Keys(**keys))


@pytest.fixture
def passphrase(tmp_path):
    """The provider, as a start of the service has it: the kernel remembers nothing."""

    def start(said="", grace=0.0):
        wrapped = WrappedRoot(tmp_path, tmp_path / "recovery.key")
        provider = PassphraseKeyProvider(wrapped, KernelMemory(tmp_path, grace))
        if said:
            provider._said = normal(said)
        return provider

    return start


@pytest.fixture
def credentials(tmp_path):
    """A folder as systemd makes one, and the provider that finds it."""
    folder = tmp_path / "credentials"
    folder.mkdir()
    (folder / "edge.root-key").write_bytes(base64.b64encode(os.urandom(32)))

    def start(environ=None):
        wrapped = WrappedRoot(tmp_path, tmp_path / "recovery.key")
        found = {"CREDENTIALS_DIRECTORY": str(folder)} if environ is None else environ
        return CredentialKeyProvider(wrapped, "edge.root-key", found)

    start.file = folder / "edge.root-key"
    return start


# A stolen box stays shut without the passphrase


def test_a_stolen_box_stays_shut_without_the_passphrase(passphrase, tmp_path):
    root = passphrase(GOOD).root_secret(first_start=True)
    for nothing in ("", OTHER, GOOD.upper(), GOOD + " "):
        with pytest.raises((KeyLocked, WrongKey)):
            passphrase(nothing).root_secret(first_start=False)
    assert passphrase(GOOD).root_secret(first_start=False) == root
    disk = b"".join(path.read_bytes() for path in tmp_path.iterdir())
    for secret in (root, root.hex().encode(), base64.b64encode(root), GOOD.encode()):
        assert secret not in disk


def test_the_secret_is_random_and_not_made_of_the_passphrase(passphrase, tmp_path):
    first = passphrase(GOOD).root_secret(first_start=True)
    passphrase().destroy()
    assert passphrase(GOOD).root_secret(first_start=True) != first


def test_nothing_is_made_before_somebody_chose(passphrase, tmp_path):
    with pytest.raises(KeyLocked) as locked:
        passphrase().root_secret(first_start=True)
    assert locked.value.needs is Needs.NEW_PASSPHRASE
    assert not list(tmp_path.iterdir())


def test_a_weak_passphrase_can_not_be_chosen_and_makes_nothing(passphrase, tmp_path):
    with pytest.raises(SecretError, match="too few"):
        passphrase("password").root_secret(first_start=True)
    assert not list(tmp_path.iterdir())


def test_a_wrong_passphrase_is_told_from_a_damaged_disk(passphrase, tmp_path):
    passphrase(GOOD).root_secret(first_start=True)
    with pytest.raises(WrongKey, match="the passphrase is wrong"):
        passphrase(OTHER).root_secret(first_start=False)
    for copy in copies(tmp_path / FILE):
        copy.write_bytes(copy.read_bytes()[:-1])
    with pytest.raises(SealBroken, match="is damaged"):
        passphrase(GOOD).root_secret(first_start=False)


def test_over_a_restart_of_the_service_the_kernel_keeps_it_if_it_may(passphrase):
    provider = passphrase(GOOD, grace=60)
    root = provider.root_secret(first_start=True)
    if not provider.remember(root):
        pytest.skip("the kernel has no keyrings here")
    try:
        assert passphrase(grace=60).root_secret(first_start=False) == root
        with pytest.raises(KeyLocked):  # with keys.grace_hours = 0
            passphrase(grace=0).root_secret(first_start=False)
        provider.forget()  # or the machine was without power
        with pytest.raises(KeyLocked) as locked:
            passphrase(grace=60).root_secret(first_start=False)
        assert locked.value.needs is Needs.PASSPHRASE
    finally:
        provider.forget()


def test_what_the_kernel_keeps_of_another_box_in_the_same_place_is_not_taken(passphrase):
    provider = passphrase(GOOD, grace=60)
    if not provider.remember(provider.root_secret(first_start=True)):
        pytest.skip("the kernel has no keyrings here")
    try:
        passphrase(grace=60).destroy()
        passphrase(OTHER, grace=60).root_secret(first_start=True)
        with pytest.raises(KeyLocked):
            passphrase(grace=60).root_secret(first_start=False)
    finally:
        provider.forget()


# What is wrapped


def test_every_byte_of_both_copies_flipped_or_cut_is_detected(passphrase, tmp_path):
    passphrase(GOOD).root_secret(first_start=True)
    paths = copies(tmp_path / FILE)
    whole = paths[0].read_bytes()
    wrapped = WrappedRoot(tmp_path, tmp_path / "recovery.key")
    damaged = [whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :] for at in range(len(whole))]
    damaged += [whole[:at] for at in range(len(whole))] + [whole + b"\0"]
    for content in damaged:
        for path in paths:
            path.write_bytes(content)
        with pytest.raises(SealBroken):
            wrapped.read()


def test_one_whole_copy_is_enough_and_the_other_is_mended(passphrase, tmp_path, caplog):
    root = passphrase(GOOD).root_secret(first_start=True)
    for harm in ("damaged", "gone"):
        for path in copies(tmp_path / FILE):
            whole = path.read_bytes()
            path.write_bytes(whole[:-1]) if harm == "damaged" else path.unlink()
            assert passphrase(GOOD).root_secret(first_start=False) == root
            passphrase().wrapped.mend()
            assert path.read_bytes() == whole
    assert caplog.text.count("made again from its copy") == 4


def test_who_forges_the_digest_too_makes_no_guess_cheaper(passphrase, tmp_path):
    passphrase(GOOD).root_secret(first_start=True)
    wrapped = WrappedRoot(tmp_path, tmp_path / "recovery.key")
    found = wrapped.read()
    for change in (
        {"passes": 1},
        {"memory_kib": 1024},
        {"lanes": 1},
        {"salt": bytes(16)},
        {"box": bytes(len(found.box))},
        {"box": b""},
        {"box": found.box[:-1]},
    ):
        forged = msgspec.structs.replace(found, **change)
        wrapped.write(forged)
        with pytest.raises(WrongKey):
            passphrase(GOOD).root_secret(first_start=False)
    wrapped.write(msgspec.structs.replace(found, memory_kib=2**31))
    with pytest.raises(SecretError, match="too much"):
        passphrase(GOOD).root_secret(first_start=False)


def test_a_newer_version_is_told_from_damage(passphrase, tmp_path):
    passphrase(GOOD).root_secret(first_start=True)
    for path in copies(tmp_path / FILE):
        data = bytearray(path.read_bytes()[:-16])
        data[8] = 2
        path.write_bytes(bytes(data) + hashlib.sha256(data).digest()[:16])
    with pytest.raises(SecretError, match="newer version"):
        passphrase(GOOD).root_secret(first_start=False)


def test_what_another_provider_wrapped_is_named(passphrase, credentials):
    passphrase(GOOD).root_secret(first_start=True)
    with pytest.raises(KeyUnavailable, match='kept by "passphrase"') as refused:
        credentials().root_secret(first_start=False)
    assert "keys.provider" in refused.value.hint


def test_where_nothing_is_wrapped_any_more_the_recovery_key_is_named(passphrase, tmp_path):
    with pytest.raises(KeyUnavailable, match="is not there") as refused:
        passphrase(GOOD).root_secret(first_start=False)
    assert not isinstance(refused.value, KeyLocked)
    (tmp_path / "recovery.key").touch()
    with pytest.raises(KeyLocked, match="only the recovery key") as locked:
        passphrase(GOOD).root_secret(first_start=False)
    assert locked.value.needs is Needs.RECOVERY_KEY


def test_what_is_destroyed_is_nowhere(passphrase, tmp_path):
    passphrase(GOOD).root_secret(first_start=True)
    passphrase().destroy()
    assert not list(tmp_path.iterdir())
    passphrase().destroy()


# A stolen disk stays shut without the machine's credential


def test_a_stolen_disk_stays_shut_without_the_credential(credentials):
    root = credentials().root_secret(first_start=True)
    assert credentials().root_secret(first_start=False) == root
    credentials.file.write_bytes(base64.b64encode(os.urandom(32)))
    with pytest.raises(WrongKey, match="not the one that this box was made with") as wrong:
        credentials().root_secret(first_start=False)
    assert "edge key unlock --recovery" in wrong.value.hint


@pytest.mark.parametrize("first_start", [True, False], ids=["first", "later"])
def test_a_credential_that_is_not_there_is_an_error_that_says_where(
    credentials, first_start, tmp_path
):
    if not first_start:
        credentials().root_secret(first_start=True)
    credentials.file.unlink()
    for environ, why in (
        ({}, "CREDENTIALS_DIRECTORY is not set"),
        (None, "edge.root-key can't be read: No such file"),
    ):
        with pytest.raises(KeyUnavailable, match=why) as refused:
            credentials(environ).root_secret(first_start=first_start)
        assert "LoadCredentialEncrypted=edge.root-key:/etc/edge/edge.root-key" in refused.value.hint
    assert (tmp_path / FILE).exists() != first_start


def test_a_credential_of_another_form_is_refused_and_not_shown(credentials):
    credentials.file.write_bytes(b"my password")
    with pytest.raises(KeyUnavailable, match="not one that edge key seal-credential made") as no:
        credentials().root_secret(first_start=True)
    assert "my password" not in str(no.value) + no.value.hint


@pytest.fixture
def systemd_creds(tmp_path):
    """Seals and opens credentials with the real tool, and the machine's own key."""
    try:
        subprocess.run(
            ["systemd-creds", "encrypt", "--with-key=host", "--name=probe", "-", "-"],
            input=b"x",
            capture_output=True,
            check=True,
        )
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("systemd-creds has no key of this machine here")

    def run(*words, data=None):
        return subprocess.run(
            ["systemd-creds", *words], input=data, capture_output=True, check=False
        )

    return run


def test_what_systemd_creds_sealed_opens_the_box_and_under_another_name_does_not(
    systemd_creds, credentials, tmp_path
):
    sealed = tmp_path / "sealed"
    secret = base64.b64encode(os.urandom(32))
    made = systemd_creds(
        "encrypt", "--with-key=host", "--name=edge.root-key", "-", str(sealed), data=secret
    )
    assert made.returncode == 0, made.stderr
    assert secret not in sealed.read_bytes()
    opened = systemd_creds("decrypt", "--name=edge.root-key", str(sealed), "-")
    assert opened.stdout == secret
    credentials.file.write_bytes(opened.stdout)
    root = credentials().root_secret(first_start=True)
    assert credentials().root_secret(first_start=False) == root
    assert systemd_creds("decrypt", "--name=another", str(sealed), "-").returncode != 0


# Which one


def test_the_configuration_says_which(tmp_path):
    kinds = {
        "file": FileKeyProvider,
        "passphrase": PassphraseKeyProvider,
        "systemd-creds": CredentialKeyProvider,
        "network": NetworkKeyProvider,
    }
    for name, kind in kinds.items():
        keeper = keeper_of(settings(tmp_path, provider=name))
        assert isinstance(keeper, kind)
        assert keeper.is_destroyed_by_locking == (name in ("file", "systemd-creds"))
        assert keeper.opens_alone == (name != "passphrase")
    keeper_of(settings(tmp_path)).root_secret(first_start=True)
    assert (tmp_path / "root.key").exists()


def test_a_provider_shows_nothing_of_its_secrets(passphrase):
    assert "herons" not in repr(passphrase(GOOD))
    assert "box" in {field.name for field in msgspec.structs.fields(ByPassphrase)}
