"""The box's own settings lie below the machine's, are tried first, and may be taken back."""

from __future__ import annotations

import asyncio
import dataclasses
import datetime as dt
import errno
import os
import threading
import tomllib
import typing

import pytest
import trustme
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from edge.cache import own_settings
from edge.cache.own_settings import (
    OwnSettings,
    prove,
    put_back,
    recover,
    setback,
    take_back,
    told,
)
from edge.cache.undone_settings import undo_change
from edge.changing import all_settings, setting_of
from edge.config import Config
from edge.crypto.durable import one_at_a_time
from edge.errors import ConfigError, DecisionRefused, StorageFull
from edge.loading import load
from edge.overlay import take, to_toml

ARCHIVE = {"name": "cloud", "url": "https://a.example/dicom-web"}
BASIC = {"kind": "basic", "user": "u", "password": "opensesame"}


@pytest.fixture
def folder(tmp_path):
    made = tmp_path / "box"
    made.mkdir()
    return made


@pytest.fixture
def machine(tmp_path, folder):
    """Writes the file of the machine; its name."""

    def write(more=""):
        path = tmp_path / "edge.toml"
        path.write_text(f'[appliance]\ndata_dir = "{folder}"\n{more}')
        return path

    return write


@pytest.fixture
def own(machine, folder):
    return OwnSettings(machine(), folder, lambda secret: f"sealed:{secret[::-1]}", {})


def prove_as_it_is(folder):
    assert prove(folder, (folder / "settings.toml").read_bytes())


async def known(own, key):
    return next(one for one in await own.known() if one.key == key)


async def test_what_is_changed_is_loaded_from_then_on(own, machine):
    (change,) = await own.change({"sync.sweep_minutes": 5})
    assert (change.key, change.before, change.after) == ("sync.sweep_minutes", 15.0, 5.0)
    assert (await asyncio.to_thread(load, machine(), {})).sync.sweep_minutes == 5
    assert (await known(own, "sync.sweep_minutes")).source == "box"


async def test_null_is_as_by_default(own, machine, folder):
    await own.change({"sync.sweep_minutes": 5})
    await asyncio.to_thread(prove_as_it_is, folder)
    await own.change({"sync.sweep_minutes": None})
    assert (await asyncio.to_thread(load, machine(), {})).sync.sweep_minutes == 15
    assert (await known(own, "sync.sweep_minutes")).source == "default"


async def test_the_file_of_the_machine_wins_and_is_named(machine, folder):
    own = OwnSettings(machine("[sync]\nsweep_minutes = 7\n"), folder, str, {})
    one = await known(own, "sync.sweep_minutes")
    assert (one.value, one.source) == (7, "fixed")
    assert one.where.endswith("edge.toml:4")
    with pytest.raises(ConfigError, match=r"fixed by .*edge\.toml:4") as caught:
        await own.change({"sync.sweep_minutes": 5})
    assert caught.value.key == "sync.sweep_minutes"
    # Another of the same table is free.
    await own.change({"sync.feed_seconds": 5})


async def test_a_variable_wins_too(machine, folder):
    own = OwnSettings(machine(), folder, str, {"EDGE_SYNC__SWEEP_MINUTES": "7"})
    one = await known(own, "sync.sweep_minutes")
    assert (one.source, one.where) == ("fixed", "EDGE_SYNC__SWEEP_MINUTES")


async def test_what_came_into_the_file_later_wins_over_the_box(own, machine):
    await own.change({"sync.sweep_minutes": 5})
    assert (
        await asyncio.to_thread(load, machine("[sync]\nsweep_minutes = 7\n"), {})
    ).sync.sweep_minutes == 7


@pytest.mark.parametrize(
    ("changes", "key"),
    [
        ({"sync.sweep_minutes": 0}, "sync.sweep_minutes"),
        ({"sync.sweep_minutes": "often"}, "sync.sweep_minutes"),
        ({"sync.calendar": ["sometimes"]}, "sync.calendar.0"),
        ({"cloud.archive": [{"name": "x", "url": "ftp://x"}]}, "cloud.archive.0.url"),
        ({"cloud.archive": [ARCHIVE | {"authority": "no"}]}, "cloud.archive.0.authority"),
        ({"cloud.archive": [ARCHIVE | {"authority": 7}]}, "cloud.archive.0.authority"),
        ({"appliance.time_zone": "Atlantis"}, "appliance.time_zone"),
        ({"sync.nothing": 1}, "sync.nothing"),
        ({"access.idle_minutes": 1e-9}, "access.idle_minutes"),
        ({"cache.max_bytes": 1}, "cache.max_bytes"),
        ({"dimse.listen": "0.0.0.0:0"}, "dimse.listen"),
        ({"dimse.listen": ":00"}, "dimse.listen"),
        ({"appliance.data_dir": "/tmp"}, "appliance.data_dir"),
        ({"keys.provider": "passphrase"}, "keys.provider"),
        ({"update.keys": "/var/lib/edge/keys"}, "update.keys"),
    ],
)
async def test_what_can_not_be_is_refused_with_its_key_and_nothing_is_written(
    own, folder, changes, key
):
    with pytest.raises(ConfigError) as caught:
        await own.change(changes)
    assert caught.value.key == key
    assert not (folder / "settings.toml").exists()


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("appliance.lab", True),
        ("http.auth", "required"),
        ("access.admins_need_second_factor", True),
        ("access.emergency.roles", ["viewer"]),
        ("access.emergency.minutes", 90),
        ("audit.keep_days", 7),
    ],
)
async def test_what_guards_the_box_is_said_on_the_machine_alone(own, key, value):
    with pytest.raises(ConfigError, match="on the machine alone"):
        await own.change({key: value})
    await own.change({key: value}, is_remote=False)


@pytest.mark.parametrize("is_remote", [True, False])
@pytest.mark.parametrize("rule", ["patient 4711", "Patient 4711 of CLINIC", "STUDY 1.2.3"])
async def test_no_rule_that_names_a_patient_is_written_in_the_clear(own, folder, rule, is_remote):
    with pytest.raises(ConfigError, match="not sealed") as caught:
        await own.change({"cache.pin": ["modality MG", rule]}, is_remote=is_remote)
    assert caught.value.key == "cache.pin.1"
    assert "edge pin" in caught.value.hint
    assert "4711" not in str(caught.value)
    assert not (folder / "settings.toml").exists()


async def test_a_rule_that_names_nobody_is_written_and_what_is_none_is_said_to_be(own):
    await own.change({"cache.pin": ["modality MG within 2 years"]})
    with pytest.raises(ConfigError, match="is not") as caught:
        await own.change({"cache.pin": ["everything"]}, is_remote=False)
    assert caught.value.key == "cache.pin.0"


async def test_a_file_of_the_machine_is_not_named_from_afar(own):
    archive = ARCHIVE | {"tls_ca": "/etc/shadow"}
    with pytest.raises(ConfigError, match="names a file of the machine"):
        await own.change({"cloud.archive": [archive]})


@pytest.mark.parametrize("name", ["key_file", "tls_ca"])
async def test_a_file_of_the_machine_is_used_for_no_other_archive_and_that_is_said(
    own, folder, tmp_path, name
):
    file, other = tmp_path / "key.json", {"kind": "google", "key_file": str(tmp_path / "k.json")}
    file.write_text("{}")
    archive = ARCHIVE | {"kind": "google", "auth": other | {name: str(file)}}
    pem = trustme.CA().cert_pem.bytes().decode()
    await own.change({"cloud.archive": [archive]}, is_remote=False)
    await asyncio.to_thread(prove_as_it_is, folder)
    with pytest.raises(ConfigError, match="is a file of the machine: it is used for") as caught:
        await own.change({"cloud.archive": [archive | {"authority": pem}]})
    assert caught.value.key.startswith("cloud.archive.0.auth.")
    assert "edge config set" in caught.value.hint
    await own.change({"cloud.archive": [archive | {"authority": pem}]}, is_remote=False)


async def test_a_secret_is_sealed_and_never_shown(own, folder):
    (change,) = await own.change({"cloud.archive": [ARCHIVE | {"auth": BASIC}]})
    written = tomllib.loads((folder / "settings.toml").read_text())
    assert written["cloud"]["archive"][0]["auth"]["password"] == "sealed:emasesnepo"
    assert change.after[0]["auth"] == {"kind": "basic", "user": "u", "password": True}
    assert "opensesame" not in str(told([change])) + str(await own.known())
    assert "emasesnepo" not in str(told([change])) + str(await own.known())


BESIDE = {
    "access.oidc.issuer": "https://idp.example",
    "access.oidc.client_id": "edge",
    "access.oidc.roles": {"all": "viewer"},
    "access.oidc.proxy": "http://proxy.example:3128",
    "access.oidc.proxy_user": "edge",
    "update.proxy": "http://proxy.example:3128",
    "update.proxy_user": "edge",
}
"""What the secrets of an identity provider, and of the server of updates, need beside them."""


def secrets_of(cls, keys=()):
    """The names of what shows in no repr."""
    hints = typing.get_type_hints(cls)
    for item in dataclasses.fields(cls):
        if dataclasses.is_dataclass(hints[item.name]):
            yield from secrets_of(hints[item.name], (*keys, item.name))
        elif not item.repr:
            yield ".".join((*keys, item.name))


def test_what_shows_in_no_repr_is_known_to_be_a_secret():
    secrets = set(secrets_of(Config))
    known = {"access.oidc.client_secret", "access.oidc.proxy_password", "update.proxy_password"}
    assert known <= secrets
    assert {one.key for one in all_settings().values() if one.is_secret} == secrets
    assert not any(setting_of(key).default for key in secrets)


async def test_secrets_that_are_settings_of_their_own_are_sealed_and_never_shown(own, folder):
    secrets = sorted(secrets_of(Config))
    assert [(await known(own, key)).value for key in secrets] == [False] * len(secrets)
    changes = await own.change(BESIDE | dict.fromkeys(secrets, "opensesame"), is_remote=False)
    told_of = {one.key: (one.before, one.after) for one in changes}
    written = tomllib.loads((folder / "settings.toml").read_text())
    for key in secrets:
        assert told_of[key] == (False, True)
        assert (await known(own, key)).value is True
        assert take(written, key.split(".")) == "sealed:emasesnepo"
    seen = str(told(changes)) + str(await own.known())
    assert "opensesame" not in seen
    assert "emasesnepo" not in seen
    assert await own.change(dict.fromkeys(secrets, True), is_remote=False) == []
    assert tomllib.loads((folder / "settings.toml").read_text()) == written


async def test_a_secret_that_the_machine_s_file_says_is_not_shown_either(machine, folder):
    file = machine(
        '[access.oidc]\nissuer = "https://idp.example"\nclient_id = "edge"\n'
        'client_secret = "opensesame"\nroles = { all = "viewer" }\n'
    )
    own = OwnSettings(file, folder, str, {})
    one = await known(own, "access.oidc.client_secret")
    assert (one.value, one.source) == (True, "fixed")
    assert "opensesame" not in str(await own.known())


async def test_a_secret_that_the_box_can_not_open_any_more_is_given_anew_from_afar(own, folder):
    """Without a shell, a factory reset alone would mend it."""
    mirror = ARCHIVE | {"name": "mirror", "role": "copy", "auth": BASIC}
    said = BESIDE | {"access.oidc.client_secret": "sealed:lost", "access.oidc.proxy_password": "x"}
    auth = BASIC | {"password": "sealed:lost"}
    said["cloud.archive"] = [ARCHIVE | {"auth": auth}, mirror]
    await own.change(said, is_remote=False)
    kept = BASIC | {"password": True}
    again = [ARCHIVE | {"auth": BASIC}, mirror | {"auth": kept}]
    secrets = ("access.oidc.client_secret", "access.oidc.proxy_password", "update.proxy_password")
    changes = {"cloud.archive": again, **dict.fromkeys(secrets, "opensesame")}
    (folder / "settings.toml.former").unlink()
    assert {one.key for one in await own.change(changes)} == set(changes)
    written = (folder / "settings.toml").read_text()
    assert "sealed:lost" not in written
    assert written.count("sealed:emasesnepo") == 5
    with pytest.raises(ConfigError, match=r"access\.oidc\.issuer is said on the machine alone"):
        await own.change({"access.oidc.issuer": "https://other.example"})


async def test_a_secret_from_afar_is_no_name_of_a_file(own, folder):
    """Else an admin could have any file of the machine sent to an archive of their own."""
    auth = BASIC | {"password": "file:/etc/shadow"}
    await own.change({"cloud.archive": [ARCHIVE | {"auth": auth}]})
    written = tomllib.loads((folder / "settings.toml").read_text())
    assert written["cloud"]["archive"][0]["auth"]["password"].startswith("sealed:")


async def test_a_secret_that_is_true_stays(own, folder):
    await own.change({"cloud.archive": [ARCHIVE | {"auth": BASIC}]})
    await asyncio.to_thread(prove_as_it_is, folder)
    auth = BASIC | {"password": True, "user": "other"}
    await own.change({"cloud.archive": [ARCHIVE | {"auth": auth}]})
    written = tomllib.loads((folder / "settings.toml").read_text())
    assert written["cloud"]["archive"][0]["auth"]["password"] == "sealed:emasesnepo"
    assert written["cloud"]["archive"][0]["auth"]["user"] == "other"


@pytest.mark.parametrize(
    "moved",
    [
        {"url": "https://thief.example"},
        {"proxy": "http://thief.example:1"},
        {"authority": trustme.CA().cert_pem.bytes().decode()},
        {"name": "z"},
    ],
    ids=["url", "proxy", "authority", "name"],
)
async def test_a_secret_does_not_go_to_another_address(own, folder, moved):
    await own.change({"cloud.archive": [ARCHIVE | {"auth": BASIC}]})
    await asyncio.to_thread(prove_as_it_is, folder)
    with pytest.raises(ConfigError, match="must be said again"):
        await own.change(
            {"cloud.archive": [ARCHIVE | {"auth": BASIC | {"password": True}} | moved]}
        )


def pem_of(authority):
    return authority.cert_pem.bytes().decode()


async def test_an_authority_is_kept_without_what_stands_beside_it(own, folder):
    clinic = trustme.CA(organization_name="St. Brigid")
    with_words = ARCHIVE | {"auth": BASIC, "authority": f"\r\nAutorité\r\n{pem_of(clinic)}"}
    changes = await own.change({"cloud.archive": [with_words]})
    written = tomllib.loads((folder / "settings.toml").read_text())["cloud"]["archive"][0]
    assert written["authority"] == pem_of(clinic).strip()
    assert "St. Brigid (SHA-256 " in told(changes)["cloud.archive after"]
    assert "BEGIN CERTIFICATE" not in told(changes)["cloud.archive after"]
    # The same once more is no other, and no reason to say the password again.
    await asyncio.to_thread(prove_as_it_is, folder)
    kept = with_words | {"auth": BASIC | {"password": True}}
    assert await own.change({"cloud.archive": [kept]}) == []


async def test_a_key_that_somebody_gives_in_its_place_is_kept_nowhere(own, folder):
    key = trustme.CA().private_key_pem.bytes().decode()
    with pytest.raises(ConfigError, match="which must be given to nobody") as caught:
        await own.change({"cloud.archive": [ARCHIVE | {"authority": key}]})
    assert key.split("\n")[1] not in str(caught.value)
    assert not (folder / "settings.toml").exists()


async def test_an_authority_that_ended_is_not_taken_and_one_that_ends_stays(own, folder):
    """Or nothing else of the archive could be changed, and the box would not start."""
    old = ended_authority()
    with pytest.raises(ConfigError, match="which ended on 2020-01-01"):
        await own.change({"cloud.archive": [ARCHIVE | {"authority": old}]})
    before = {"cloud": {"archive": [ARCHIVE | {"authority": old}]}}
    (folder / "settings.toml").write_text(to_toml(before))
    elsewhere = ARCHIVE | {"url": "https://b.example/dicom-web", "authority": old.strip()}
    assert len(await own.change({"cloud.archive": [elsewhere]})) == 1
    await asyncio.to_thread(prove_as_it_is, folder)
    assert len(await own.change({"cloud.archive": [ARCHIVE]})) == 1
    assert "authority" not in (folder / "settings.toml").read_text()


def ended_authority():
    """Of an authority whose certificate ended long ago."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "Old")])
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(dt.datetime(2019, 1, 1, tzinfo=dt.UTC))
        .not_valid_after(dt.datetime(2020, 1, 1, tzinfo=dt.UTC))
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    return made.public_bytes(serialization.Encoding.PEM).decode()


async def test_a_change_that_is_none_writes_nothing(own, folder):
    assert await own.change({"sync.sweep_minutes": None}) == []
    assert not (folder / "settings.toml").exists()


async def test_trying_writes_nothing(own, folder):
    changes, config = await own.check({"sync.sweep_minutes": 5})
    assert config.sync.sweep_minutes == 5
    assert len(changes) == 1
    assert not (folder / "settings.toml").exists()


async def test_what_was_not_proven_is_taken_back(own, machine, folder):
    await own.change({"sync.sweep_minutes": 5})
    await asyncio.to_thread(prove_as_it_is, folder)
    await own.change({"sync.sweep_minutes": 6})
    with pytest.raises(DecisionRefused, match="not in force yet"):
        await own.change({"sync.sweep_minutes": 7})
    assert await asyncio.to_thread(take_back, folder)
    assert (await asyncio.to_thread(load, machine(), {})).sync.sweep_minutes == 5
    assert not await asyncio.to_thread(take_back, folder)


async def test_the_first_change_may_be_taken_back_too(own, machine, folder):
    await own.change({"sync.sweep_minutes": 6})
    assert await asyncio.to_thread(take_back, folder)
    assert (await asyncio.to_thread(load, machine(), {})).sync.sweep_minutes == 15


async def test_what_was_changed_once_more_is_taken_back_to_what_ran(own, machine, folder):
    """The service begins with the first change while a command makes the second."""
    await own.change({"sync.sweep_minutes": 5})
    ran = (folder / "settings.toml").read_bytes()
    await own.change({"sync.sweep_minutes": 6}, is_remote=False)
    assert not await asyncio.to_thread(prove, folder, ran)
    assert await asyncio.to_thread(take_back, folder)
    assert (await asyncio.to_thread(load, machine(), {})).sync.sweep_minutes == 5


async def test_what_was_taken_back_is_kept_and_can_be_put_back(own, machine, folder):
    await own.change({"sync.sweep_minutes": 5})
    await asyncio.to_thread(prove_as_it_is, folder)
    await own.change({"sync.sweep_minutes": 6})
    assert await asyncio.to_thread(take_back, folder, "a port is taken")
    assert await asyncio.to_thread(setback, folder) == "a port is taken"
    assert (await asyncio.to_thread(load, machine(), {})).sync.sweep_minutes == 5
    assert await asyncio.to_thread(put_back, folder)
    assert (await asyncio.to_thread(load, machine(), {})).sync.sweep_minutes == 6
    assert await asyncio.to_thread(setback, folder) == ""
    assert not await asyncio.to_thread(put_back, folder)
    # They are as new as they were.
    assert await asyncio.to_thread(take_back, folder, "another reason")
    assert (await asyncio.to_thread(load, machine(), {})).sync.sweep_minutes == 5
    await asyncio.to_thread(prove_as_it_is, folder)
    assert await asyncio.to_thread(setback, folder) == ""


async def test_a_box_without_settings_of_its_own_has_nothing_to_prove(folder):
    assert await asyncio.to_thread(prove, folder, b"")
    assert not list(folder.iterdir())


async def test_what_does_not_load_is_taken_back_to_what_does(own, machine, folder):
    await own.change({"sync.sweep_minutes": 5})
    await asyncio.to_thread(prove_as_it_is, folder)
    await own.change({"sync.sweep_minutes": 6})
    file = machine()
    assert not await asyncio.to_thread(recover, machine("[sync]\nnothing = 1\n"), {})
    (folder / "settings.toml").write_text("[sync]\nsweep_minutes = 0\n")
    assert await asyncio.to_thread(recover, machine(), {})
    assert (await asyncio.to_thread(load, file, {})).sync.sweep_minutes == 5
    assert not await asyncio.to_thread(recover, file, {})


async def test_after_a_full_disk_settings_can_be_changed_as_before(own, folder, monkeypatch):
    write = own_settings.write_file

    def refuse(path, content):
        if path.name == "settings.toml":
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        write(path, content)

    monkeypatch.setattr(own_settings, "write_file", refuse)
    with pytest.raises(StorageFull, match="No space left"):
        await own.change({"sync.sweep_minutes": 5})
    assert not list(folder.iterdir())
    monkeypatch.setattr(own_settings, "write_file", write)
    await own.change({"sync.sweep_minutes": 5})


async def test_what_does_not_load_can_be_removed_whatever_it_is(own, machine, folder):
    bad = "[sync]\nsweep_minutes = 0\nfeed_seconds = 20\nof_a_later_version = true\n"
    (folder / "settings.toml").write_text(bad)
    with pytest.raises(ConfigError, match="of_a_later_version"):
        await own.remove(["sync.sweep_minutes"])
    assert (folder / "settings.toml").read_text() == bad
    keys = ["sync.sweep_minutes", "sync.of_a_later_version"]
    assert await own.remove([*keys, "sync.verify"]) == keys
    found = await asyncio.to_thread(load, machine(), {})
    assert (found.sync.sweep_minutes, found.sync.feed_seconds) == (15, 20)
    assert await own.remove(keys) == []


async def test_what_is_no_toml_is_mended_by_hand(own, folder):
    (folder / "settings.toml").write_text("[sync\n")
    with pytest.raises(ConfigError, match="not TOML"):
        await own.remove(["sync"])


@pytest.mark.skipif(os.geteuid() != 0, reason="nobody but root can give a file away")
async def test_root_gives_away_no_file_to_which_a_link_leads(own, folder, tmp_path, monkeypatch):
    """Whoever the service runs as may put a link into its folder at any moment."""
    precious = tmp_path / "shadow"
    precious.write_text("root's own")
    os.chown(folder, 65534, 65534)
    write = own_settings.write_file

    def write_and_lose(path, content):
        write(path, content)
        assert path.stat().st_uid == 65534
        path.unlink()
        path.symlink_to(precious)

    monkeypatch.setattr(own_settings, "write_file", write_and_lose)
    await own.change({"sync.sweep_minutes": 5})
    assert (folder / "settings.toml").is_symlink()
    assert precious.stat().st_uid == 0


@pytest.mark.parametrize(
    ("content", "error"),
    [
        ('[keys]\nprovider = "passphrase"\n', r"settings\.toml:1: keys can't be said here"),
        (
            '[update]\nkeys = "/var/lib/edge"\n',
            r"settings\.toml:2: update\.keys can't be said here",
        ),
    ],
)
def test_the_box_s_own_file_may_not_move_the_box(machine, folder, content, error):
    (folder / "settings.toml").write_text(content)
    with pytest.raises(ConfigError, match=error):
        load(machine(), {})


def test_an_error_in_it_names_its_line(machine, folder):
    (folder / "settings.toml").write_text("[sync]\n\nsweep_minutes = 0\n")
    with pytest.raises(ConfigError, match=r"settings\.toml:3: sync\.sweep_minutes must be 0\.1"):
        load(machine(), {})


def test_every_setting_that_may_be_changed_from_afar_exists():
    assert sum(one.is_remote for one in all_settings().values()) == 52


class Sealing:
    """Seals once it is told to."""

    def __init__(self):
        self.begun, self.go_on = threading.Event(), threading.Event()

    def __call__(self, secret):
        self.begun.set()
        assert self.go_on.wait(20)
        return f"sealed:{secret[::-1]}"


async def test_the_page_and_a_command_keep_each_other_s_changes(machine, folder):
    """Two processes; the first one is in the middle of its change as the other one comes."""
    sealing = Sealing()
    page, command = (
        OwnSettings(machine(), folder, sealing, {}),
        OwnSettings(machine(), folder, str, {}),
    )
    first = asyncio.ensure_future(page.change({"cloud.archive": [ARCHIVE | {"auth": BASIC}]}))
    await asyncio.to_thread(sealing.begun.wait)
    second = asyncio.ensure_future(command.change({"sync.sweep_minutes": 5}, is_remote=False))
    await asyncio.wait({second}, timeout=0.3)
    sealing.go_on.set()
    async with asyncio.timeout(60):
        await asyncio.gather(first, second)
    config = await asyncio.to_thread(load, machine(), {})
    assert (len(config.cloud.archive), config.sync.sweep_minutes) == (1, 5)


async def test_nothing_is_proven_in_the_middle_of_a_change(own, folder):
    await own.change({"sync.sweep_minutes": 5})
    ran = (folder / "settings.toml").read_bytes()
    former = folder / "settings.toml.former"
    with one_at_a_time(folder):
        proving = asyncio.ensure_future(asyncio.to_thread(prove, folder, ran))
        await asyncio.wait({proving}, timeout=0.3)
        assert former.exists()
    assert await proving
    assert not former.exists()


async def test_a_change_of_which_nobody_was_told_is_undone(own, machine, folder):
    new = await own.written()
    await own.change({"sync.sweep_minutes": 5})
    await asyncio.to_thread(undo_change, folder, new, await own.written())
    assert (await asyncio.to_thread(load, machine(), {})).sync.sweep_minutes == 15
    assert await own.written() == new
    # One that waits to be proven waits on, and may still be taken back to the one before.
    await own.change({"sync.sweep_minutes": 5})
    before = await own.written()
    await own.change({"sync.sweep_minutes": 6}, is_remote=False)
    await asyncio.to_thread(undo_change, folder, before, await own.written())
    assert await own.written() == before
    assert await asyncio.to_thread(take_back, folder)
    assert (await asyncio.to_thread(load, machine(), {})).sync.sweep_minutes == 15


async def test_what_is_in_force_or_was_changed_since_is_not_undone(own, folder):
    new = await own.written()
    await own.change({"sync.sweep_minutes": 5})
    after = await own.written()
    await asyncio.to_thread(prove_as_it_is, folder)
    with pytest.raises(DecisionRefused, match="in force"):
        await asyncio.to_thread(undo_change, folder, new, after)
    await own.change({"sync.sweep_minutes": 6})
    with pytest.raises(DecisionRefused, match="changed meanwhile"):
        await asyncio.to_thread(undo_change, folder, new, after)
