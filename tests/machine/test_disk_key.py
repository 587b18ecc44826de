"""The recovery key of the disk: made once, kept for root, and what opens the disk when it is typed.

Encryption is real, on a file; the TPM is a key that cryptsetup's programs are handed in its place.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from functools import cache

import pytest

from edge.errors import MachineRefused, WrongKey
from edge.machine.disk_key import groups_of, keep_disk_key, passphrase_from
from edge.machine.tools import Tools
from tests.machine.machines import machine_in

PATH = f"{os.environ['PATH']}:/usr/sbin:/sbin"
QUICK = ("--batch-mode", "--pbkdf", "pbkdf2", "--pbkdf-force-iterations", "1000")
TPM = """#!/bin/sh
echo "$*" >>{root}/enrolled
for word; do
    shift
    case $word in --unlock-tpm2-device=auto) word=--unlock-key-file={root}/tpm.key ;; esac
    set -- "$@" "$word"
done
exec {real} "$@"
"""


@cache
def hindrance() -> str:
    for name in ("cryptsetup", "systemd-cryptenroll"):
        if not shutil.which(name, path=PATH):
            return f"needs {name}"
    return ""


def cryptsetup(*words, said=b"", fine=(0,)):
    done = subprocess.run(
        ["cryptsetup", *map(str, words)],
        input=said,
        capture_output=True,
        env={"PATH": PATH},
        check=False,
    )
    assert done.returncode in fine, done.stderr
    return done


@pytest.fixture
def machine(tmp_path):
    """One whose data a TPM opened at this start."""
    if hindrance():
        pytest.skip(hindrance())
    made = machine_in(tmp_path / "machine")
    root, disk = made.root, made.places.data_disk
    disk.parent.mkdir(parents=True)
    (made.places.own_disk / "key").write_text("tpm2\n")
    with disk.open("wb") as opened:
        opened.truncate(20 * 1024 * 1024)
    (root / "tpm.key").write_bytes(b"t" * 64)
    cryptsetup("luksFormat", "--type", "luks2", *QUICK, "--key-file", root / "tpm.key", disk)
    program = root / "programs/systemd-cryptenroll"
    real = shutil.which("systemd-cryptenroll", path=PATH)
    program.write_text(TPM.format(root=root, real=real))
    program.chmod(0o755)
    (root / "programs/cryptsetup").unlink()
    return made


@pytest.fixture
def keep(machine):
    tools = Tools(f"{machine.root}/programs:{PATH}")
    return lambda: keep_disk_key(machine.places, tools)


def opens(machine, passphrase):
    """Whether it does, of the partition as it is."""
    words = ("open", "--test-passphrase", "--key-file", "-", machine.places.data_disk)
    return cryptsetup(*words, said=passphrase.encode(), fine=(0, 2)).returncode == 0


def slots(machine):
    dump = cryptsetup("luksDump", "--dump-json-metadata", machine.places.data_disk)
    return len(json.loads(dump.stdout)["keyslots"])


def test_it_is_made_once_and_what_is_typed_from_paper_opens_the_disk(machine, keep):
    assert keep() is True
    groups = groups_of(machine.places)
    assert [len(group) for group in groups] == [8] * 9
    for typed in (" ".join(groups), "".join(groups).lower(), "-".join(groups).replace("0", "O")):
        assert opens(machine, passphrase_from(typed))
    assert keep() is False
    assert groups_of(machine.places) == groups
    assert slots(machine) == 2


def test_it_is_kept_for_root_alone_and_shown_to_nobody_but_the_service(machine, keep):
    keep()
    kept, shown = machine.places.disk_key_kept, machine.places.disk_key
    assert kept.stat().st_mode & 0o777 == 0o600
    assert shown.stat().st_mode & 0o007 == 0
    assert shown.is_relative_to(machine.places.run), "it is gone when the machine ends"


@pytest.mark.parametrize("damage", [None, b"", b"nothing", b"\xff" * 71])
def test_a_slot_whose_key_is_not_kept_goes_and_another_is_made(machine, keep, damage):
    keep()
    first = passphrase_from(" ".join(groups_of(machine.places)))
    if damage is None:
        machine.places.disk_key_kept.unlink()
    else:
        machine.places.disk_key_kept.write_bytes(damage)
    assert keep() is True
    assert not opens(machine, first)
    assert opens(machine, passphrase_from(" ".join(groups_of(machine.places))))
    assert slots(machine) == 2


def test_a_disk_without_its_slot_gets_one(machine, keep):
    keep()
    first = passphrase_from(" ".join(groups_of(machine.places)))
    cryptsetup("luksRemoveKey", "-q", machine.places.data_disk, "-", said=first.encode())
    cryptsetup("token", "remove", "--token-id", "0", machine.places.data_disk)
    assert keep() is True
    assert opens(machine, passphrase_from(" ".join(groups_of(machine.places))))


class Cut(Exception):
    """The power goes."""


def test_a_cut_behind_the_slot_leaves_no_file_of_another_one(machine, keep, monkeypatch):
    """Before, the sheet showed the key of a slot that was gone, for good."""
    keep()
    disk = str(machine.places.data_disk)
    cryptsetup("token", "remove", "--token-id", "0", disk)
    run = Tools.run

    def cut(tools, name, *words, **more):
        said = run(tools, name, *words, **more)
        if name == "systemd-cryptenroll":
            raise Cut
        return said

    with monkeypatch.context() as patched:
        patched.setattr(Tools, "run", cut)
        with pytest.raises(Cut):
            keep()
    assert keep() is True
    assert opens(machine, passphrase_from(" ".join(groups_of(machine.places))))


@pytest.mark.parametrize("how", ["esp", "stick", None])
def test_where_no_tpm_opens_the_data_nothing_is_done(machine, keep, how):
    (machine.places.own_disk / "key").unlink()
    if how:
        (machine.places.own_disk / "key").write_text(f"{how}\n")
    assert keep() is False
    assert groups_of(machine.places) == []
    assert slots(machine) == 1


def test_opened_by_it_alone_it_is_shown_as_it_was(machine, keep):
    keep()
    groups = groups_of(machine.places)
    machine.places.disk_key.unlink()
    (machine.places.own_disk / "key").write_text("recovery\n")
    assert keep() is False
    assert groups_of(machine.places) == groups


def test_a_tpm_that_gives_nothing_leaves_all_as_it_was(machine, keep):
    (machine.root / "tpm.key").write_bytes(b"another")
    with pytest.raises(MachineRefused):
        keep()
    assert not machine.places.disk_key_kept.exists()
    assert groups_of(machine.places) == []
    assert slots(machine) == 1


def test_where_no_file_can_be_written_no_slot_is_made_however_often_it_is_tried(machine, keep):
    """Before, each try wrote to the head of the partition, for a key that nobody has."""
    machine.places.kept.parent.mkdir(parents=True, exist_ok=True)
    machine.places.kept.symlink_to("/proc/self/fdinfo")  # a folder in which nothing can be made
    for _ in range(2):
        with pytest.raises(OSError, match=r"\.disk-key\.room"):
            keep()
    assert slots(machine) == 1
    assert not (machine.root / "enrolled").exists()
    machine.places.kept.unlink()
    assert keep() is True
    assert [path.name for path in machine.places.kept.iterdir()] == ["disk-key"]


def test_a_mistake_is_named_with_its_group(machine, keep):
    keep()
    groups = groups_of(machine.places)
    wrong = [*groups[:3], groups[3][::-1], *groups[4:]]
    with pytest.raises(WrongKey, match="group 4 of the recovery key of the disk is not right"):
        passphrase_from(" ".join(wrong))


def test_the_key_of_backups_is_not_taken_for_it():
    from edge.crypto.recovery import RecoveryKey  # noqa: PLC0415

    with pytest.raises(WrongKey) as found:
        passphrase_from(" ".join(RecoveryKey.new().to_groups()))
    assert str(found.value) == (
        "this is the recovery key; what is wanted is the recovery key of the disk"
    )
    assert "“Recovery key of the disk”" in found.value.hint
