"""A file of the box's own settings that does not load: what of it can be kept, is."""

from __future__ import annotations

import asyncio

import pytest

from edge.cache.damaged_settings import damage, put_right, spare
from edge.cache.own_settings import OwnSettings, recover
from edge.errors import ConfigError
from edge.loading import load

SOUND = '[sync]\nsweep_minutes = 5.0\n\n[page]\nlanguage = "fr"\n'


@pytest.fixture
def folder(tmp_path):
    made = tmp_path / "box"
    made.mkdir()
    return made


@pytest.fixture
def machine(folder, tmp_path):
    """The file of the machine."""
    path = tmp_path / "edge.toml"
    path.write_text(f'[appliance]\ndata_dir = "{folder}"\n')
    return path


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"\xff\xfe\x00nothing", "not text in UTF-8"),
        (b"[sync\n", "not valid TOML"),
        (b"#" * (1024 * 1024 + 1), "too long"),
        (b"sync = 7\n", "sync must be a table"),
    ],
)
def test_what_can_not_be_understood_is_kept_aside_and_the_machine_s_file_holds(
    machine, folder, content, why
):
    own = folder / "settings.toml"
    own.write_bytes(content)
    with pytest.raises(ConfigError):
        load(machine, {})
    assert why in spare(machine, {})
    assert load(machine, {}).sync.sweep_minutes == 15
    assert (folder / "settings.toml.damaged").read_bytes() == content
    assert why in damage(folder)
    assert "none of it holds" in damage(folder)


def test_so_is_a_folder_in_its_place_and_in_that_of_the_former(machine, folder):
    (folder / "settings.toml").mkdir()
    (folder / "settings.toml.former").mkdir()
    assert not recover(machine, {})
    assert "can't be read" in spare(machine, {})
    assert load(machine, {}).sync.sweep_minutes == 15
    assert not (folder / "settings.toml.former").exists()


@pytest.mark.parametrize(
    ("more", "why"),
    [
        ("\n[of_a_later_version]\nnew = true\n", "of_a_later_version is not a known key"),
        ("\n[access]\nidle_minutes = 1e-9\n", "access.idle_minutes must be 1 at the least"),
        ('\n[cache]\npin = ["all"]\n', "cache.pin.0"),
        ('\n[keys]\nprovider = "passphrase"\n', "keys can't be said here"),
    ],
)
def test_one_key_takes_no_other_away(machine, folder, more, why):
    (folder / "settings.toml").write_text(SOUND + more)
    found = spare(machine, {})
    assert why in found
    assert "the others hold" in found
    config = load(machine, {})
    assert (config.sync.sweep_minutes, config.page.language) == (5, "fr")
    assert (folder / "settings.toml.damaged").read_text() == SOUND + more


def test_an_unknown_key_of_an_archive_does_not_take_the_archives_away(machine, folder):
    archive = '\n[[cloud.archive]]\nname = "a"\nurl = "https://a.example"\nnew = 1\n'
    (folder / "settings.toml").write_text(SOUND + archive)
    assert "cloud.archive.0.new is not a known key" in spare(machine, {})
    config = load(machine, {})
    assert [one.url for one in config.cloud.archive] == ["https://a.example"]


def test_a_pair_of_which_one_is_missing_takes_its_section_alone(machine, folder):
    pair = f'\n[http]\ntls = "files"\ntls_certificate = "{machine}"\ntls_key = "/not/there"\n'
    (folder / "settings.toml").write_text(SOUND + pair)
    assert "the others hold" in spare(machine, {})
    config = load(machine, {})
    assert (config.sync.sweep_minutes, config.http.tls) == (5, "auto")


def test_what_was_wrong_for_a_time_alone_is_put_back(machine, folder, tmp_path):
    late = tmp_path / "late.pem"
    archive = f'\n[[cloud.archive]]\nname = "a"\nurl = "https://a.example"\ntls_ca = "{late}"\n'
    (folder / "settings.toml").write_text(SOUND + archive)
    assert "the others hold" in spare(machine, {})
    assert load(machine, {}).cloud.archive == ()
    assert not put_right(machine, {})
    late.write_text("there by now")
    assert put_right(machine, {})
    assert [one.name for one in load(machine, {}).cloud.archive] == ["a"]
    assert damage(folder) == ""
    assert not put_right(machine, {})


async def test_nothing_is_put_back_over_what_somebody_saved(machine, folder, tmp_path):
    late = tmp_path / "late.pem"
    archive = f'\n[[cloud.archive]]\nname = "a"\nurl = "https://a.example"\ntls_ca = "{late}"\n'
    own = folder / "settings.toml"
    own.write_text(SOUND + archive)
    assert await asyncio.to_thread(spare, machine, {})
    own.write_text(SOUND)
    late.write_text("there by now")
    assert not await asyncio.to_thread(put_right, machine, {})
    assert own.read_text() == SOUND


async def test_the_alarm_ends_once_somebody_saves_settings(machine, folder):
    (folder / "settings.toml").write_text(SOUND + "\n[nothing]\nx = 1\n")
    assert await asyncio.to_thread(spare, machine, {})
    assert await asyncio.to_thread(damage, folder)
    await OwnSettings(machine, folder, str, {}).change({"page.language": "es"})
    assert await asyncio.to_thread(damage, folder) == ""


def test_what_is_not_its_fault_is_not_taken_away(machine, folder):
    (folder / "settings.toml").write_text(SOUND)
    assert spare(machine, {}) == ""
    machine.write_text(machine.read_text() + "[sync]\nnothing = 1\n")
    assert spare(machine, {}) == ""
    assert (folder / "settings.toml").read_text() == SOUND
    assert damage(folder) == ""
