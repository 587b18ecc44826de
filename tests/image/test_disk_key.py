"""The image's program that opens the data, where the TPM does not: it asks for the recovery key.

The program itself, on a disk that is a file, as in `tests.image.test_erasing`; encryption is real.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from edge.machine.disk_key import groups_of, keep_disk_key, passphrase_from
from edge.machine.places import Places
from edge.machine.tools import Tools
from tests.image.test_erasing import Box, box_in, put, put_program
from tests.machine.test_disk_key import PATH, QUICK, TPM, cryptsetup, hindrance

pytestmark = [
    pytest.mark.skipif(not shutil.which("sfdisk", path=PATH), reason="needs sfdisk (fdisk)"),
    pytest.mark.skipif(bool(hindrance()), reason=hindrance()),
]

_PLAYED = r"""#!/bin/bash
root={root}
echo "${{0##*/}} $*" >>$root/called
case ${{0##*/}} in
    cryptsetup)
        [ "$1" != close ] || exit 0
        PATH={path} exec cryptsetup "$@"
        ;;
    systemd-analyze) [ -e $root/tpm ] ;;
    systemd-ask-password)
        [ -s $root/typed ] || exit 1
        head -n 1 $root/typed
        sed -i 1d $root/typed
        ;;
    systemd-cryptsetup)
        [ "$4" != - ] || exec grep -qsx "$3" $root/opened-by-tpm
        PATH={path} exec cryptsetup open --test-passphrase --key-file "$4" "$3"
        ;;
    systemd-cryptenroll)
        case $1 in
            --wipe-slot=tpm2) exit 0 ;;
            --wipe-slot=recovery) PATH={path} exec systemd-cryptenroll "$@" ;;
        esac
        [ ! -e $root/broken-tpm ] || exit 1
        key=${{1#--unlock-key-file=}}
        PATH={path} cryptsetup open --test-passphrase --key-file "$key" "${{@: -1}}" || exit 1
        echo "${{@: -1}}" >>$root/opened-by-tpm
        ;;
    edge) exec {python} -m edge "$@" ;;
esac
"""
_NAMES = (
    "cryptsetup",
    "systemd-analyze",
    "systemd-ask-password",
    "systemd-cryptenroll",
    "systemd-cryptsetup",
    "edge",
)


@pytest.fixture
def box(tmp_path):
    """One whose TPM, which made its data, does not open it any more."""
    made = box_in(tmp_path / "machine")
    root, places = made.root, Places.under(made.root)
    disk = root / "dev/vda6"
    with disk.open("wb") as opened:
        opened.truncate(20 * 1024 * 1024)
    (root / "tpm.key").write_bytes(b"t" * 64)
    cryptsetup("luksFormat", "--type", "luks2", *QUICK, "--key-file", root / "tpm.key", disk)
    (root / "run/edge-disk/key").write_text("tpm2\n")
    places.run.mkdir(parents=True)
    real = shutil.which("systemd-cryptenroll", path=PATH)
    (root / "before").mkdir()
    put(root / "before/systemd-cryptenroll", TPM.format(root=root, real=real))
    keep_disk_key(places, Tools(f"{root}/before:{PATH}"))
    for name in _NAMES:
        put(root / "programs" / name, _PLAYED.format(root=root, path=PATH, python=sys.executable))
    put_program(root, "disk")
    (root / "tpm").touch()
    return made


def types(box: Box, *lines: str) -> int:
    """Start it, and type that; the exit status of the program."""
    (box.root / "typed").write_text("".join(f"{line}\n" for line in lines))
    return box.run("disk", "open")


def key_of(box: Box) -> str:
    return " ".join(groups_of(Places.under(box.root)))


def how(box: Box) -> str:
    return (box.root / "run/edge-disk/key").read_text().strip()


def enrolled(box: Box) -> list[str]:
    return re.findall(r"^systemd-cryptenroll .*$", (box.root / "called").read_text(), re.MULTILINE)


def test_the_recovery_key_opens_the_data_and_the_tpm_is_enrolled_anew(box):
    assert types(box, key_of(box).lower()) == 0, box.said
    assert "the TPM of this machine does not do it" in box.said
    assert "from the next start on the TPM opens it" in box.said
    # At once, what is enrolled for the same PCRs counts as enrolled already (systemd 257).
    first, then = enrolled(box)
    assert first.split()[1:-1] == ["--wipe-slot=tpm2"]
    assert then.split()[2:-1] == ["--tpm2-device=auto", "--tpm2-pcrs=7"]
    assert how(box) == "tpm2"


def test_no_key_stands_on_the_screen_or_is_left_lying_about(box):
    assert types(box, key_of(box)) == 0, box.said
    passphrase = passphrase_from(key_of(box))
    assert passphrase not in box.said
    assert not list((box.root / "run/edge-disk").glob("typed*"))


def test_without_a_tpm_it_is_opened_and_said_to_be_asked_for_again(box):
    (box.root / "tpm").unlink()
    assert types(box, key_of(box)) == 0, box.said
    assert "this machine has no TPM" in box.said
    assert "asked for at each start" in box.said
    assert enrolled(box) == []
    assert how(box) == "recovery"


def test_a_tpm_that_takes_no_key_keeps_nobody_from_the_data(box):
    (box.root / "broken-tpm").touch()
    assert types(box, key_of(box)) == 0, box.said
    assert "the TPM could not be given a key" in box.said
    assert how(box) == "recovery"


def test_two_that_are_wrong_cost_nothing(box):
    other = "0" + key_of(box)[1:] if key_of(box)[0] != "0" else "1" + key_of(box)[1:]
    assert types(box, "nothing", other, key_of(box)) == 0, box.said
    assert "has 72 characters, and these are 7; two more tries" in box.said
    assert "group 1 of the recovery key of the disk is not right; one more try" in box.said


def test_after_three_that_are_wrong_the_machine_starts_again(box):
    (box.root / "run/edge-disk/key").unlink()
    assert types(box, "a", "b", "c", key_of(box)) == 1
    assert key_of(box) in (box.root / "typed").read_text(), "the fourth is not asked for"
    assert not (box.root / "run/edge-disk/key").exists()
    assert enrolled(box) == []


def test_who_does_not_come_finds_a_machine_that_starts_again(box):
    assert types(box) == 1
    assert box.said.count("Type the recovery key of the disk") == 1


def test_the_key_of_another_disk_is_told_from_a_mistake(box):
    secret = passphrase_from(key_of(box))
    kept = Places.under(box.root).disk_key_kept
    kept.write_text(secret[::-1].replace("-", "")[:8] + secret[8:])
    (box.root / "run/edge-disk/key").write_text("recovery\n")
    keep_disk_key(Places.under(box.root), Tools(PATH))
    assert types(box, key_of(box)) == 1
    assert "that is the recovery key of another disk; two more tries" in box.said


def test_data_that_a_stick_or_the_disk_opens_asks_for_nothing(box):
    disk = box.root / "dev/vda6"
    cryptsetup("token", "remove", "--token-id", "0", disk)
    assert box.run("disk", "open") == 1
    assert "put the stick EDGE-KEY in" in box.said
    assert "systemd-ask-password" not in box.said


def test_a_disk_that_takes_the_data_over_is_opened_by_the_same_key(box, tmp_path):
    """What ``disk make`` does with it, without what needs a kernel with device mapper."""
    places = Places.under(box.root)
    moving = Path(box.root / "programs/disk.d/moving")
    text = moving.read_text()
    put(moving, text.replace("recovery=/var", f"recovery={box.root}/var"))
    new, key = tmp_path / "new", tmp_path / "move.key"
    key.write_bytes(b"m" * 64)
    with new.open("wb") as opened:
        opened.truncate(20 * 1024 * 1024)
    assert box.run("disk", "make", str(new), str(key)) != 0, "no device mapper, or no such device"
    typed = passphrase_from(key_of(box)).encode()
    cryptsetup("open", "--test-passphrase", "--key-file", "-", new, said=typed)
    assert b"systemd-recovery" in cryptsetup("luksDump", new).stdout
    assert places.disk_key_kept.read_bytes() == typed


def taker(box: Box) -> tuple[Path, Path]:
    """A partition that is ready to take the data over, which the TPM does not open; its key."""
    new, key = box.root / "dev/vda4", box.root / "move.key"
    key.write_bytes(b"m" * 64)
    with new.open("wb") as opened:
        opened.truncate(20 * 1024 * 1024)
    cryptsetup("luksFormat", "--type", "luks2", *QUICK, "--key-file", key, new)
    typed = passphrase_from(key_of(box)).encode()
    cryptsetup("luksAddKey", *QUICK, "--key-file", key, new, "-", said=typed)
    return new, key


def test_after_a_tpm_was_cleared_the_data_still_moves_to_the_disk_that_was_ready(box):
    """Before, it failed at each start, and so did the same disk that was chosen once more."""
    new, key = taker(box)
    assert types(box, key_of(box)) == 0, box.said
    assert box.run("disk", "seal", str(new), str(key)) == 0, box.said
    assert enrolled(box)[-1].endswith(f"--tpm2-device=auto --tpm2-pcrs=7 {new}")
    opening = ("open", "--test-passphrase", "--key-file", "-", new)
    cryptsetup(*opening, said=key.read_bytes(), fine=(2,))
    cryptsetup(*opening, said=passphrase_from(key_of(box)).encode())
    count = len(enrolled(box))
    assert box.run("disk", "seal", str(new), str(key)) == 0, box.said
    assert len(enrolled(box)) == count, "what the TPM opens is not given to it again"


def test_a_disk_that_the_tpm_does_not_take_keeps_its_key_and_the_data_stays(box):
    new, key = taker(box)
    (box.root / "broken-tpm").touch()
    assert box.run("disk", "seal", str(new), str(key)) == 1
    assert "does not open as the data does" in box.said
    cryptsetup("open", "--test-passphrase", "--key-file", key, new)


@pytest.mark.parametrize("before", ["none", "another"])
def test_a_disk_that_was_made_before_the_recovery_key_opens_by_it_once_it_has_the_data(box, before):
    """Before, another key was made then, and the sheet in the safe was void."""
    new, key = taker(box)
    typed = passphrase_from(key_of(box)).encode()
    cryptsetup("luksRemoveKey", "-q", new, "-", said=typed)
    if before == "another":
        real = shutil.which("systemd-cryptenroll", path=PATH)
        words = (real, f"--unlock-key-file={key}", "--recovery-key", new)
        subprocess.run(words, check=True, capture_output=True)
    kept = box.root / "run/edge-disk/old/lib/edge-machine/disk-key"
    kept.parent.mkdir(parents=True)
    kept.write_bytes(typed)
    for _ in range(2):
        assert box.run("disk", "seal", str(new), str(key)) == 0, box.said
    cryptsetup("open", "--test-passphrase", "--key-file", "-", new, said=typed)
    dump = json.loads(cryptsetup("luksDump", "--dump-json-metadata", new).stdout)
    slots = [one["keyslots"] for one in dump["tokens"].values()]
    assert slots == [["2"]]
    assert set(dump["keyslots"]) == {"2"}, "the key of the move is gone"
