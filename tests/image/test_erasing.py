"""A factory reset of the image: whatever step it is cut short at, the next start is of a new box.

The programs themselves, on a disk that is a file, with a partition table that is real. What only
root and a kernel can do is played by `_PLAYED`; there the power fails, too.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

from edge.machine.erasing import wipe
from edge.machine.places import Places
from edge.machine.tools import Tools
from tests.image.test_tree import IMAGE, read

pytestmark = pytest.mark.skipif(not shutil.which("sfdisk"), reason="needs sfdisk (fdisk)")

OLD, NEW, KEY = b"LUKS old\n", b"LUKS new\n", b"k" * 64
KILLED = {-signal.SIGKILL, 128 + signal.SIGKILL}
ESP_TYPE = "c12a7328-f81f-11d2-ba4b-00a0c93ec93b"
ROOT_TYPE = "4f68bce3-e8cd-4db1-96e7-fbcaf984b709"
VERITY_TYPE = "2c7357ed-ebd2-46d9-aec1-23d437ec2bf5"
DATA_TYPE = "0fc63daf-8483-4772-8e79-3d69d8477de4"
TABLE = f"""label: gpt
start=2048, size=2048, type={ESP_TYPE}, name=edge-esp
size=2048, type={ROOT_TYPE}, name=edge-root-1
size=2048, type={VERITY_TYPE}, name=edge-verity-1
size=2048, type={ROOT_TYPE}, name=_empty
size=2048, type={VERITY_TYPE}, name=_empty
type={DATA_TYPE}, name=edge-data
"""
_PLAYED = r"""#!/bin/bash
root={root} real={real} name=${{0##*/}} disk={root}/dev/vda
read -r at <$root/steps
echo $((at += 1)) >$root/steps
echo "$name $*" >>$root/called
read -r cut <$root/cut
[ "$at" != "$cut" ] || kill -9 $PPID
[ ! -e "$root/broken-$name" ] || exit 3
last() {{ echo "${{@: -1}}"; }}
number() {{ local part; part=$(realpath "$(last "$@")"); echo "${{part#$disk}}"; }}
case $name in
    lsblk)
        if [ "$4" = NAME,PARTLABEL ]; then
            PATH=$real
            for each in $root/dev/vd[ab]; do sfdisk --dump $each; done |
                sed -n 's|^.*/\(vd[^ ]*\) :.*name="\([^"]*\)".*|\1 \2|p'
            exit
        fi
        what=--part-type
        [ "$4" = PARTTYPE ] || what=--part-label
        PATH=$real sfdisk $what $disk "$(number "$@")" | tr A-Z a-z
        ;;
    cryptsetup) grep -q LUKS "$(last "$@")" ;;
    systemd-repart)
        [ ! -e $root/sys/class/block/vda6 ] || exit 0
        PATH=$real
        keys=$(printf '%s\n' "$@" | sed -n s/--key-file=//p)
        [ "$(wc -c <"$keys")" = 64 ] || exit 4
        (echo "LUKS new"; head -c 1000000 /dev/zero) >$root/dev/vda6
        mkdir $root/sys/class/block/vda/vda6
        ln -s vda/vda6 $root/sys/class/block/vda6
        echo 6 >$root/sys/class/block/vda6/partition
        echo 12288 >$root/sys/class/block/vda6/start
        echo 'type={data}, name=edge-data' | sfdisk --quiet --append $disk
        ;;
    systemd-cryptsetup) grep -q "LUKS new" "$root/run/edge-disk/data" ;;
    partx)
        PATH=$real
        rm -r $root/sys/class/block/vda6 $root/sys/class/block/vda/vda6 $root/dev/vda6
        ;;
    boot-disk) echo vda ;;
    mount | umount | udevadm | blkdiscard | sync | systemctl | sleep | boot-entry) ;;
    systemd-analyze) exit 1 ;;
    dd)
        set -- "${{@/count=32/count=1}}"
        PATH=$real exec dd "${{@/fsync,/}}"
        ;;
    *) PATH=$real exec $name "$@" ;;
esac
"""
_NAMES = (
    "lsblk",
    "cryptsetup",
    "systemd-repart",
    "systemd-cryptsetup",
    "partx",
    "mount",
    "umount",
    "udevadm",
    "blkdiscard",
    "sync",
    "boot-disk",
    "boot-entry",
    "systemctl",
    "sleep",
    "systemd-analyze",
    "sfdisk",
    "dd",
    "rm",
)


@dataclass(frozen=True)
class Box:
    """A machine whose disk is in a folder."""

    root: Path

    @property
    def data(self) -> bytes:
        """With what the data partition begins."""
        with (self.root / "dev/vda6").open("rb") as opened:
            return opened.read(9)

    @property
    def labels(self) -> list[str]:
        """Of the partitions, in their order."""
        done = subprocess.run(
            ["sfdisk", "--dump", str(self.root / "dev/vda")],
            capture_output=True,
            text=True,
            check=True,
            env={"PATH": _path()},
        )
        return re.findall(r'name="(.*?)"', done.stdout)

    @property
    def key(self) -> Path:
        """That opens the data, on the ESP."""
        return self.root / "run/edge-disk/esp-mount/edge/data.key"

    def steps(self) -> int:
        """How many there were."""
        return int((self.root / "steps").read_text())

    def called(self, name: str) -> bool:
        """Whether a program was."""
        return f"\n{name} " in f"\n{(self.root / 'called').read_text()}"

    def breaks(self, name: str) -> None:
        """A program fails from now on."""
        (self.root / f"broken-{name}").touch()

    def mends(self, name: str) -> None:
        """It no longer does."""
        (self.root / f"broken-{name}").unlink()

    def run(self, *words: str, cut: int = 0) -> int:
        """Run one of the image's programs; the power fails at that step."""
        (self.root / "steps").write_text("0\n")
        (self.root / "cut").write_text(f"{cut}\n")
        done = subprocess.run(
            [str(self.root / "programs" / words[0]), *words[1:]],
            capture_output=True,
            env={"PATH": f"{self.root}/programs:{_path()}"},
            check=False,
        )
        (self.root / "said").write_bytes(done.stdout + done.stderr)
        return done.returncode

    @property
    def said(self) -> str:
        """What the last program said, and what it called."""
        return (self.root / "said").read_text() + (self.root / "called").read_text()

    def wipe(self) -> None:
        """As the machine's side does it."""
        (self.root / "steps").write_text("0\n")
        (self.root / "cut").write_text("0\n")
        places = Places.under(self.root)
        places.reset.parent.mkdir(parents=True, exist_ok=True)
        places.reset.unlink(missing_ok=True)
        places.reset.symlink_to(self.root / "programs/factory-reset")
        wipe(places, Tools(f"{self.root}/programs:{_path()}"))

    def starts_as_new(self) -> None:
        """It starts, and nothing of before is there."""
        assert self.run("disk", "open") == 0, self.said
        assert self.data == b"LUKS new\n"
        assert self.labels.count("edge-data") == 1
        assert "edge-erased" not in self.labels
        assert len(self.key.read_bytes()) == 64
        assert self.key.read_bytes() != KEY


def _path() -> str:
    return f"{os.environ['PATH']}:/usr/sbin:/sbin"


@pytest.fixture
def box(tmp_path):
    return box_in(tmp_path / "machine")


def box_in(root: Path) -> Box:
    """One that is in use."""
    for folder in ("dev", "programs", "efi", "run/edge-disk/esp-mount/edge"):
        (root / folder).mkdir(parents=True)
    (root / "efi").rmdir()
    for name in ("efi", "run/edge-disk/reset-esp-mount"):
        (root / name).symlink_to(root / "run/edge-disk/esp-mount")
    disk = root / "dev/vda"
    with disk.open("wb") as opened:
        opened.truncate(16 * 1024 * 1024)
    done = ["sfdisk", "--quiet", str(disk)]
    subprocess.run(done, input=TABLE.encode(), check=True, env={"PATH": _path()})
    blocks = root / "sys/class/block"
    (blocks / "vda").mkdir(parents=True)
    for number in range(1, 7):
        (root / f"dev/vda{number}").write_bytes(OLD.ljust(4096, b".") if number == 6 else b"")
        kernel = blocks / f"vda/vda{number}"
        kernel.mkdir()
        (blocks / f"vda{number}").symlink_to(kernel)
        (kernel / "partition").write_text(f"{number}\n")
        (kernel / "start").write_text(f"{number * 2048}\n")
    part = {"vda6": "data", "vda1": "esp", "vda": "whole"}
    for name, link in part.items():
        (root / "run/edge-disk" / link).symlink_to(root / "dev" / name)
    text = _PLAYED.format(root=root, real=_path(), data=DATA_TYPE)
    for name in _NAMES:
        put(root / "programs" / name, text)
    for name in ("disk", "data-partition", "factory-reset"):
        put_program(root, name)
    Box(root).key.write_bytes(KEY)
    return Box(root)


def put_program(root: Path, name: str) -> None:
    """One of the image's programs with its parts, whose files are in the folder."""
    program = IMAGE / "libexec" / name
    put(root / "programs" / name, _moved(program.read_text(), root))
    for part in program.with_name(f"{name}.d").glob("*"):
        (root / "programs" / part.parent.name).mkdir(exist_ok=True)
        put(root / "programs" / part.parent.name / part.name, _moved(part.read_text(), root))


def _moved(text: str, root: Path) -> str:
    text = re.sub(r"(?<=[\s\"=])/(sys|dev|efi|run)\b", rf"{root}/\1", text)
    text = text.replace(f"{root}/dev/null", "/dev/null").replace(f"{root}/dev/zero", "/dev/zero")
    text = text.replace(f"{root}/dev/urandom", "/dev/urandom")
    for folder in ("/usr/lib/systemd/", "/opt/edge/.venv/bin/"):
        text = text.replace(folder, f"{root}/programs/")
    # A block device is a file here.
    return re.sub(r"/usr/lib/edge/(?!repart)", f"{root}/programs/", text).replace("[ -b ", "[ -e ")


def put(path: Path, text: str) -> None:
    path.write_text(text)
    path.chmod(0o755)


def test_a_box_that_is_in_use_starts_as_it_was(box):
    (box.root / "dev/vda6").write_bytes(NEW.ljust(4096, b"."))
    before = (box.root / "dev/vda6").read_bytes()
    assert box.run("disk", "open") == 0, box.said
    assert (box.root / "dev/vda6").read_bytes() == before
    assert box.labels[-1] == "edge-data"
    assert box.key.read_bytes() == KEY


def ids(box: Box) -> tuple[str, str]:
    """UUIDs of the disk, and of its ESP."""
    words = (("--disk-id",), ("--part-uuid", "1"))
    done = [
        subprocess.run(
            ["sfdisk", option, str(box.root / "dev/vda"), *rest],
            capture_output=True,
            text=True,
            check=True,
            env={"PATH": _path()},
        )
        for option, *rest in words
    ]
    disk, esp = (each.stdout.strip().lower() for each in done)
    return disk, esp


BUILT_DISK = re.search(
    r"^built_disk=(.*)$", (IMAGE / "libexec/disk.d/partitions").read_text(), re.MULTILINE
)[1]


def is_written_from_the_image(box: Box) -> str:
    """Its data opens, it and its ESP have the UUIDs of the build; that of the ESP."""
    (box.root / "dev/vda6").write_bytes(NEW.ljust(4096, b"."))
    built = read(IMAGE / "mkosi.repart/00-esp.conf")["Partition"]["UUID"]
    disk = str(box.root / "dev/vda")
    for words in (("--part-uuid", disk, "1", built), ("--disk-id", disk, BUILT_DISK)):
        subprocess.run(["sfdisk", "--quiet", *words], check=True, env={"PATH": _path()})
    return built


def test_a_disk_that_the_image_was_written_to_gets_uuids_of_its_own(box):
    """Else the next start, and the firmware, took a stick with the installer for it."""
    built, before = is_written_from_the_image(box), ids(box)[0]
    assert box.run("disk", "open") == 0, box.said
    disk, esp = ids(box)
    assert disk != before
    assert esp != built
    assert f"boot-entry --renamed {built} {esp}" in box.said
    assert box.data == NEW
    assert box.labels[-1] == "edge-data"
    assert box.run("disk", "open") == 0  # and it keeps them
    assert ids(box) == (disk, esp)


def test_whatever_step_of_that_the_power_fails_at_the_next_start_goes_on(tmp_path):
    whole = box_in(tmp_path / "whole")
    is_written_from_the_image(whole)
    assert whole.run("disk", "open") == 0, whole.said
    for cut in steps_of(whole, "sfdisk", "boot-entry"):
        box = box_in(tmp_path / str(cut))
        built = is_written_from_the_image(box)
        assert box.run("disk", "open", cut=cut) in KILLED
        was_done = ids(box)[0] != BUILT_DISK
        (box.root / "called").write_text("")
        assert box.run("disk", "open") == 0, box.said
        disk, esp = ids(box)
        assert disk != BUILT_DISK
        assert built != esp
        # The firmware hears of it in any case.
        assert was_done or f"boot-entry --renamed {built} {esp}\n" in box.said
        assert box.data == NEW


def test_a_firmware_that_takes_no_entry_does_not_end_the_start(box):
    built = is_written_from_the_image(box)
    box.breaks("boot-entry")
    assert box.run("disk", "open") == 0, box.said
    assert "the firmware keeps what it knew this disk by" in box.said
    assert ids(box)[1] != built


def test_after_a_reset_it_starts_as_new(box):
    assert box.run("factory-reset") == 0
    assert box.called("systemctl")
    with (box.root / "dev/vda6").open("rb") as opened:
        assert not any(opened.read())
    assert "edge-data" not in box.labels
    assert not box.key.exists()
    restarted(box)
    box.starts_as_new()
    before = box.key.read_bytes()
    assert box.run("disk", "open") == 0  # and it stays so
    assert (box.data, box.key.read_bytes()) == (b"LUKS new\n", before)


def with_copy(box: Box) -> Path:
    """A second disk is in, which the data moved away from; its partition."""
    asked = ["sfdisk", "--part-uuid", str(box.root / "dev/vda"), "6"]
    done = subprocess.run(asked, capture_output=True, text=True, check=True, env={"PATH": _path()})
    disk, part = box.root / "dev/vdb", box.root / "dev/vdb1"
    with disk.open("wb") as opened:
        opened.truncate(16 * 1024 * 1024)
    table = f"label: gpt\ntype={DATA_TYPE}, name=edge-data-old-{done.stdout[:8].lower()}\n"
    made = ["sfdisk", "--quiet", str(disk)]
    subprocess.run(made, input=table.encode(), check=True, env={"PATH": _path()})
    kernel = box.root / "sys/class/block/vdb/vdb1"
    kernel.mkdir(parents=True)
    (kernel / "partition").write_text("1\n")
    kernel.parent.with_name("vdb1").symlink_to(kernel)
    part.write_bytes(OLD.ljust(4096, b"."))
    return part


def table_of_copy(box: Box) -> str:
    asked = ["sfdisk", "--dump", str(box.root / "dev/vdb")]
    done = subprocess.run(asked, capture_output=True, text=True, check=True, env={"PATH": _path()})
    return done.stdout


def test_a_reset_destroys_the_copy_that_the_data_moved_away_from(box):
    copy = with_copy(box)
    assert box.run("factory-reset") == 0, box.said
    assert OLD not in copy.read_bytes()
    assert "edge-data" not in table_of_copy(box)
    restarted(box)
    box.starts_as_new()
    assert "has the data of a box" not in box.said


def test_a_copy_that_cannot_be_written_keeps_nobody_from_a_reset_and_is_named(box):
    """Its disk is worn out, or locked."""
    copy = with_copy(box)
    copy.unlink()
    copy.mkdir()
    assert box.run("factory-reset") == 0, box.said
    assert "the copy of the data on /dev/vdb1 can't be destroyed" in box.said.replace(
        str(box.root), ""
    )
    assert box.called("systemctl")
    assert not box.key.exists()
    restarted(box)
    box.starts_as_new()
    said = "after a factory reset take it out, and destroy it"
    assert "/dev/vdb1 has the data of a box" in box.said.replace(str(box.root), "")
    assert said in box.said.replace(str(box.root), "")
    assert "edge-data-old-" in table_of_copy(box)
    assert box.run("disk", "open") == 0  # and goes on
    assert "has the data of a box" not in (box.root / "said").read_text()


def restarted(box: Box) -> None:
    """The kernel knows what the table says."""
    if "edge-data" not in box.labels and "edge-erased" not in box.labels:
        shutil.rmtree(box.root / "sys/class/block/vda/vda6", ignore_errors=True)
        for name in ("sys/class/block/vda6", "dev/vda6"):
            (box.root / name).unlink(missing_ok=True)


def steps_of(box: Box, *names: str) -> list[int]:
    """The steps of the last run that were such programs."""
    called = (box.root / "called").read_text().splitlines()[-box.steps() :]
    words = [line.split() for line in called]
    # What only reads a table (an option, a disk, and a partition's number) changes nothing.
    return [
        at
        for at, each in enumerate(words, 1)
        if each[0] in names and not (each[0] == "sfdisk" and len(each) <= 4)
    ]


def test_whatever_step_of_a_reset_the_power_fails_at_it_starts_as_new(tmp_path):
    whole = box_in(tmp_path / "whole")
    whole.run("factory-reset")
    for cut in steps_of(whole, "cryptsetup", "dd", "rm", "sfdisk", "systemctl")[1:]:
        box = box_in(tmp_path / str(cut))
        assert box.run("factory-reset", cut=cut) in KILLED
        restarted(box)
        box.starts_as_new()


def test_whatever_step_the_next_start_is_cut_short_at_the_one_after_it_is_of_a_new_box(tmp_path):
    whole = box_in(tmp_path / "whole")
    whole.run("factory-reset")
    [at] = steps_of(whole, "cryptsetup")

    def begun(name: str) -> Box:
        box = box_in(tmp_path / name)
        assert box.run("factory-reset", cut=at) in KILLED
        return box

    model = begun("model")
    assert model.run("disk", "open") == 0
    for cut in steps_of(model, "sfdisk", "cryptsetup", "dd", "partx", "systemd-repart"):
        box = begun(str(cut))
        assert box.run("disk", "open", cut=cut) in KILLED
        restarted(box)
        box.starts_as_new()


@pytest.mark.parametrize("broken", ["sfdisk", "dd"])
def test_if_the_program_fails_the_data_is_gone_all_the_same(box, broken):
    box.breaks(broken)
    box.wipe()
    assert box.data == b"edge-eras"
    assert OLD not in (box.root / "dev/vda6").read_bytes()
    assert box.called("systemctl")
    box.mends(broken)
    restarted(box)
    box.starts_as_new()
