"""With which key the image's program makes the data at the first start, and when it makes none.

The program itself, on a disk that is a file, as in `tests.image.test_erasing`.
"""

from __future__ import annotations

import shutil
import subprocess

import pytest

from tests.image.test_erasing import KEY, NEW, Box, box_in, put, restarted

pytestmark = pytest.mark.skipif(not shutil.which("sfdisk"), reason="needs sfdisk (fdisk)")


@pytest.fixture
def new(tmp_path):
    """A box on its first day: it has no data yet, and its disk no key."""
    box = box_in(tmp_path / "machine")
    box.key.unlink()
    disk = str(box.root / "dev/vda")
    subprocess.run(["sfdisk", "--quiet", "--delete", disk, "6"], check=True)
    restarted(box)
    (box.root / "run/edge-disk/data").unlink()
    return box


def put_stick_in(box: Box) -> None:
    """One that is called EDGE-KEY."""
    (box.root / "dev/disk/by-label").mkdir(parents=True)
    (box.root / "dev/disk/by-label/EDGE-KEY").touch()


def stick(box: Box) -> str:
    """Where it is mounted."""
    return f"{box.root}/run/edge-disk/stick-mount"


def test_the_stick_gets_a_key_and_nothing_on_it_leads_elsewhere(new):
    put_stick_in(new)
    assert new.run("disk", "open") == 0, new.said
    assert new.data == NEW
    assert f"--key-file={stick(new)}/data.key " in new.said
    assert not new.key.exists(), "the disk has none"
    mounted = [line.split() for line in new.said.splitlines() if line.startswith("mount ")]
    to_stick = [words for words in mounted if words[-1] == stick(new)]
    assert len(to_stick) == 2, "to make the data, and to open it"
    for words in to_stick:
        assert words[words.index("-t") + 1] == "vfat,exfat", "what knows links is not mounted"
        options = set(words[words.index("-o") + 1].split(","))
        assert {"nosymfollow", "nodev", "nosuid", "noexec"} <= options


def test_no_other_key_is_taken_where_the_stick_can_not_be_read(new):
    put_stick_in(new)
    new.breaks("mount")
    assert new.run("disk", "open") != 0
    assert "the stick EDGE-KEY can't be used: format it anew" in new.said
    assert not new.called("systemd-repart")


def test_nor_where_no_key_can_be_written_to_it(new):
    put_stick_in(new)
    (new.root / "run/edge-disk/stick-mount/data.key.new").mkdir(parents=True)
    assert new.run("disk", "open") != 0
    assert "no key can be written to the stick EDGE-KEY" in new.said
    assert f"umount {stick(new)}\n" in new.said
    assert not new.called("systemd-repart")


def test_a_box_that_is_in_use_does_not_mind_a_stick_that_can_not_be_read(tmp_path):
    box = box_in(tmp_path / "machine")
    (box.root / "dev/vda6").write_bytes(NEW.ljust(4096, b"."))
    put_stick_in(box)
    mount = box.root / "programs/mount"
    of_stick = "#!/bin/bash\ncase $* in *stick-mount) exit 3 ;; esac\n"
    put(mount, mount.read_text().replace("#!/bin/bash\n", of_stick))
    assert box.run("disk", "open") == 0, box.said
    assert box.key.read_bytes() == KEY


def with_tpm(box: Box, said: str) -> None:
    """It is there; what systemd-repart says before it ends without having made anything."""
    put(box.root / "programs/systemd-analyze", "#!/bin/sh\nexit 0\n")
    put(box.root / "programs/systemd-repart", f"#!/bin/sh\nprintf '%s' '{said}' >&2\nexit 1\n")


def test_a_tpm_that_gives_no_key_is_said_and_the_disk_gets_none_in_its_place(new):
    lines = (
        "Encrypting future partition 5...\n"
        "Failed to seal to TPM2: Operation not supported\n"
        "Failed to encrypt device: Operation not supported\n"
    )
    with_tpm(new, lines)
    assert new.run("disk", "open") != 0
    assert "the TPM gives no key (Failed to seal to TPM2: Operation not supported)" in new.said
    assert "or put a stick EDGE-KEY in. No data was made" in new.said
    assert lines in new.said, "the log has all of it"
    assert not new.key.exists()
    assert "edge-data" not in new.labels


def test_what_is_no_fault_of_the_tpm_is_not_said_to_be_one(new):
    with_tpm(new, "Applying changes.\nNo space left on device\n")
    assert new.run("disk", "open") != 0
    assert "the data could not be made: No space left on device\n" in new.said
    assert "the TPM gives no key" not in new.said


@pytest.mark.parametrize("last", ["No space left on device", "Failed to encrypt device: I/O error"])
def test_nor_is_what_came_after_a_word_of_the_tpm(new, last):
    of_tpm = "TPM2 device /dev/tpmrm0: no persistent key"
    with_tpm(new, f"{of_tpm}\nApplying changes.\n{last}\n")
    assert new.run("disk", "open") != 0
    assert f"the data could not be made: {last} (before that, of the TPM: {of_tpm})" in new.said
    assert "the TPM gives no key" not in new.said


def test_what_the_tpm_says_by_a_code_of_its_own_is_its_fault(new):
    of_tpm = "Failed to create primary key: tpm:error(2.0): hierarchy is not enabled"
    lines = "Failed to encrypt device: State not recoverable\n"
    with_tpm(new, f"{of_tpm}\nCould not calculate digest: State not recoverable\n{lines}")
    assert new.run("disk", "open") != 0
    assert f"the TPM gives no key ({of_tpm})" in new.said


def on_usb(box: Box, **inside: dict[str, str]) -> None:
    """Its disk is plugged in at USB; others are not, whose files in sysfs are changed so."""
    blocks = box.root / "sys/class/block"
    usb = box.root / "sys/devices/usb2/vda"
    usb.parent.mkdir(parents=True)
    (blocks / "vda").rename(usb)
    (blocks / "vda").symlink_to(usb)
    for part in blocks.glob("vda?"):
        part.unlink()
        part.symlink_to(usb / part.name)
    for name, changed in {"vda": {}, **inside}.items():
        folder = blocks / name
        (folder / "device").mkdir(parents=True)
        files = {"removable": "0", "ro": "0", "size": str(64 * 10**9 // 512)} | changed
        for file, said in files.items():
            (folder / file).write_text(f"{said}\n")
    (usb / "device/model").write_text("Ultra Fit       \n")


def test_who_took_a_stick_for_the_installer_has_a_minute_to_see_that_it_becomes_the_box(new):
    on_usb(new, nvme0n1={})
    assert new.run("disk", "open") == 0, new.said
    said, called = (new.root / "said").read_text(), (new.root / "called").read_text()
    assert "this USB disk (vda, Ultra Fit) becomes the box" in said
    assert "nvme0n1 inside the machine stays as it is" in said
    assert called.index("\nsleep 60\n") < called.index("\nsystemd-repart ")
    assert new.data == NEW, "a small box whose disk is on USB needs nobody"
    (new.root / "called").write_text("")
    assert new.run("disk", "open") == 0, new.said
    assert "becomes the box" not in new.said, "it is one by now"


@pytest.mark.parametrize(
    "inside",
    [
        {},
        {"sr0": {"removable": "1"}},
        {"mmcblk0boot0": {"size": "8192"}},
        {"sdb": {"ro": "1"}},
    ],
    ids=lambda inside: next(iter(inside), "none"),
)
def test_where_there_is_no_other_disk_nobody_waits(new, inside):
    on_usb(new, **inside)
    assert new.run("disk", "open") == 0, new.said
    assert "becomes the box" not in new.said
    assert "\nsleep 60\n" not in new.said


def test_nor_on_a_disk_inside_the_machine(new):
    other = new.root / "sys/class/block/nvme0n1/device"
    other.mkdir(parents=True)
    assert new.run("disk", "open") == 0, new.said
    assert "becomes the box" not in new.said
