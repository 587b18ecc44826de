"""``edge courier`` as it is typed: sizes, keys, and what is said of a bad disk."""

from __future__ import annotations

import argparse
import json

import pytest

from edge import config, loading
from edge.commands.courier import _counted, _print_deleted, _size
from edge.crypto.courier import Place, PlaceKeys
from edge.errors import ConfigError
from edge.opening import ring
from tests.fakes.courier import place
from tests.journeys.service import Installation


@pytest.mark.parametrize(
    ("text", "size"),
    [("1000", 1000), ("32GB", 32 * 10**9), ("1.5 tb", 15 * 10**11), ("5mb", 5 * 10**6)],
)
def test_a_size_is_read_as_people_write_it(text, size):
    assert _size(text) == size


@pytest.mark.parametrize("text", ["", "many", "-1", "0", "0GB", "5 pounds", "1e9"])
def test_what_is_no_size_is_refused(text):
    with pytest.raises(argparse.ArgumentTypeError, match="such as 32GB"):
        _size(text)


def test_outcomes_are_counted_in_words():
    assert _counted({"VERIFIED": 2, "DAMAGED": 1}) == "1 damaged, 2 verified"


def test_a_laptop_gets_its_keys_once_and_a_box_keeps_its_own(tmp_path):
    loaded = config.Config(appliance=config.Appliance(data_dir=tmp_path / "new" / "place"))
    with ring(loaded) as keys:
        first = PlaceKeys(keys.derive).place
    with ring(loaded) as keys:
        assert PlaceKeys(keys.derive).place == first
    assert not (tmp_path / "new" / "place" / "index.db").exists()


def test_a_key_with_a_typing_error_is_found_when_the_configuration_is_read(tmp_path):
    path = tmp_path / "edge.toml"
    groups = place("hospital").place.to_groups()
    path.write_text(f'[courier]\nrecipients = ["""\n{" ".join(groups)}\n"""]\n')
    loaded = loading.load(path, {})
    assert Place.from_text(loaded.courier.recipients[0]) == place("hospital").place
    groups[4] = groups[4][:7] + ("2" if groups[4][7] == "3" else "3")
    path.write_text(f'[courier]\nsenders = ["{" ".join(groups)}"]\n')
    with pytest.raises(ConfigError, match=r"edge.toml:2: courier.senders.0 is no courier key: gro"):
        loading.load(path, {})


@pytest.fixture
def laptop(tmp_path):
    return Installation(tmp_path / "laptop")


def test_a_key_is_printed_to_be_copied(laptop):
    ran = laptop.command("courier", "key")
    assert ran.status == 0, ran
    shown = Place.from_text(ran.out)
    assert shown.fingerprint in ran.err
    as_json = json.loads(laptop.command("courier", "key", "--json").out)
    assert Place.from_text(as_json["key"]) == shown
    assert as_json["fingerprint"] == shown.fingerprint


def test_without_an_archive_or_a_disk_it_says_what_is_missing(laptop, tmp_path):
    ran = laptop.command("courier", "unpack", "--from", str(tmp_path))
    assert (ran.status, "no archive is configured" in ran.err) == (2, True), ran
    ran = laptop.command("courier", "list", "--from", str(tmp_path / "not there"))
    assert (ran.status, "is mounted" in ran.err) == (1, True), ran
    ran = laptop.command("courier", "list", "--from", str(tmp_path))
    assert (ran.status, ran.out) == (0, "no bundle is on the disk\n")


def test_help_names_what_can_be_done(laptop):
    ran = laptop.command("courier", "--help")
    assert ran.status == 0
    for act in ("key", "pack", "unpack", "receipts", "list"):
        assert act in ran.out


def test_what_is_left_of_a_deleted_bundle_is_said(capsys):
    assert _print_deleted("0123456789abcdef", [])
    assert capsys.readouterr() == ("  bundle 0123456789abcdef is deleted from the disk\n", "")
    assert _print_deleted("0123456789abcdef", ["holiday\x1b.jpg"])
    assert "its folder stays, with holiday\\x1b.jpg" in capsys.readouterr().out
    assert not _print_deleted("0123456789abcdef", ["0007.PART", "0008.list.new", "holiday.jpg"])
    said = capsys.readouterr().err
    assert "no file of it: 0007.PART, 0008.list.new: remove that by hand" in said
