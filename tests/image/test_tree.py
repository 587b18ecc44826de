"""The image's tree, as it is written: what can be said of it without building it."""

from __future__ import annotations

import configparser
import hmac
import os
import re
import shutil
import subprocess
import sys
import tomllib
import uuid
from pathlib import Path
from types import ModuleType

import pytest

import edge

ROOT = Path(edge.__file__).parent.parent
IMAGE = ROOT / "image"
EXTRA = IMAGE / "mkosi.extra"
UNITS = EXTRA / "usr/lib/systemd/system"
PROFILES = sorted(path.name for path in (IMAGE / "mkosi.profiles").iterdir())


def program(path: Path) -> ModuleType:
    """A program of ours whose file has no suffix, as a module."""
    module = ModuleType(path.name.replace("-", "_"))
    module.__file__ = str(path)
    sys.modules[module.__name__] = module  # dataclasses look there
    # Not by an import, which would leave compiled files in the image's tree.
    exec(compile(path.read_text(), path, "exec"), vars(module))
    return module


def read(path: Path) -> configparser.ConfigParser:
    """A file as systemd and mkosi write them; of what is said several times, the last."""
    parser = configparser.ConfigParser(strict=False, allow_no_value=True, interpolation=None)
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    parser.read_string(path.read_text())
    return parser


def packages() -> set[str]:
    """All that is named in any profile."""
    files = [IMAGE / "mkosi.conf", *IMAGE.glob("mkosi.profiles/*/mkosi.conf")]
    return {name for path in files for name in read(path)["Content"]["Packages"].split()}


def test_nothing_names_where_packages_come_from():
    for path in IMAGE.rglob("*"):
        if path.is_file() and "__pycache__" not in path.parts and path.name != "README.md":
            assert not re.search(r"deb\.debian\.org|https?://[^\s/]*mirror", path.read_text()), path
    assert not (IMAGE / "mkosi.sandbox").exists()


def test_there_is_neither_a_compiler_nor_a_way_to_log_in():
    forbidden = re.compile(
        r"gcc|g\+\+|clang|make$|build-essential|-dev$|openssh|dropbear|telnet|pip"
    )
    assert not [name for name in packages() if forbidden.search(name)]
    masked = {
        path.name
        for path in (EXTRA / "etc/systemd/system").iterdir()
        if path.is_symlink() and str(path.readlink()) == "/dev/null"
    }
    gettys = {"getty@.service", "console-getty.service"}
    assert gettys | {"autovt@.service", "debug-shell.service", "ctrl-alt-del.target"} <= masked
    assert "RootPassword" not in (IMAGE / "mkosi.conf").read_text()


def test_what_is_not_enabled_by_name_is_off():
    presets = EXTRA / "usr/lib/systemd/system-preset"
    assert (presets / "90-default.preset").read_text() == "disable *\n"
    words = (presets / "10-image.preset").read_text().split()
    enabled = {name for name in words if "." in name and name.startswith(("edge", "var", "efi"))}
    for name in enabled & {path.name for path in UNITS.iterdir()}:
        assert "Install" in read(UNITS / name), f"{name} is enabled, and says nowhere for what"


def test_the_slots_are_of_one_size_when_built_and_when_made():
    def sizes(path: Path) -> tuple[str, str, str]:
        part = read(path)["Partition"]
        return part["Type"], part["SizeMinBytes"], part["SizeMaxBytes"]

    built = [sizes(path) for path in sorted((IMAGE / "mkosi.repart").iterdir())]
    folder = EXTRA / "usr/lib/edge/repart.d"
    made = [sizes(path) for path in sorted(folder.iterdir()) if path.name < "30"]
    assert built == made[:3]
    assert made[1:3] == made[3:5]
    assert all(least == most for _, least, most in made)
    empty = [read(path)["Partition"]["Label"] for path in sorted(folder.glob("2*"))]
    assert empty == ["_empty", "_empty"]


def test_the_data_is_encrypted_whoever_keeps_its_key():
    for folder, kept in (("repart.d", "key-file"), ("repart-tpm2.d", "tpm2")):
        part = read(EXTRA / "usr/lib/edge" / folder / "30-data.conf")["Partition"]
        assert (part["Encrypt"], part["Label"], part["Format"]) == (kept, "edge-data", "ext4")
    for other in ("repart-tpm2.d", "repart-install.d"):
        for path in (EXTRA / "usr/lib/edge" / other).iterdir():
            assert path.exists(), f"{path} leads nowhere"
    assert not (EXTRA / "usr/lib/edge/repart-install.d/30-data.conf").exists()


def test_what_a_disk_is_given_other_uuids_for_is_what_is_built():
    program = (IMAGE / "libexec/disk.d/partitions").read_text()
    built = read(IMAGE / "mkosi.repart/00-esp.conf")["Partition"]["UUID"]
    assert f"built_esp={built}\n" in program
    # As repart makes the disk's of a seed (systemd's src/partition/repart.c, derive_uuid).
    seed = uuid.UUID(read(IMAGE / "mkosi.conf")["Output"]["Seed"])
    made = hmac.digest(seed.bytes, b"disk-uuid", "sha256")[:16]
    assert f"built_disk={uuid.UUID(bytes=made, version=4)}\n" in program


def test_the_esp_has_sectors_as_disks_have():
    said = read(IMAGE / "mkosi.conf")["Build"]["Environment"]
    assert said == "SYSTEMD_REPART_MKFS_OPTIONS_VFAT=-S512"


def test_a_version_has_room_in_every_name():
    longest = "9" * 23
    for path in (IMAGE / "mkosi.repart").iterdir():
        label = read(path)["Partition"]["Label"].replace("%A", longest)
        assert len(label) <= 36, f"{path.name}: a GPT label has room for 36 characters"
    assert read(IMAGE / "mkosi.conf")["Content"]["UnifiedKernelImageFormat"] == "edge_%v"


def test_the_data_is_mounted_so_that_nothing_in_it_is_executed():
    options = read(UNITS / "var.mount")["Mount"]["Options"].split(",")
    assert {"nodev", "nosuid", "noexec"} <= set(options)


def test_the_image_fixes_no_setting_that_people_shall_set():
    # What /etc/edge/edge.toml says can't be set by a stick, the page or the screen.
    assert tomllib.loads((EXTRA / "etc/edge/edge.toml").read_text()) == {}


def test_ports_of_the_service_are_open_and_no_others():
    rules = (EXTRA / "usr/lib/edge/firewall.nft").read_text()
    opened = re.findall(r"^\s*tcp dport (.*) accept", rules, re.MULTILINE)
    assert opened == ["{ 8443, 11112, 2762 }"]
    assert "policy drop" in rules.partition("chain input")[2].partition("}")[0]


@pytest.mark.skipif(not shutil.which("nft"), reason="needs nftables")
def test_the_firewall_is_understood():
    rules = EXTRA / "usr/lib/edge/firewall.nft"
    done = subprocess.run(
        ["unshare", "--net", "--map-root-user", "nft", "-c", "-f", str(rules)],
        capture_output=True,
        text=True,
        check=False,
    )
    if "Operation not" in done.stderr:
        pytest.skip("there is no network namespace to be had")
    assert not done.returncode, done.stderr


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="needs systemd-analyze")
def test_units_are_understood(tmp_path):
    units = [path for path in sorted(UNITS.iterdir()) if path.is_file()]
    folder = tmp_path / "units"
    folder.mkdir()
    for path in units:
        shutil.copy(path, folder)
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", *map(str, sorted(folder.iterdir()))],
        capture_output=True,
        text=True,
        check=False,
    )
    # Programs and units of the image are not on this machine.
    known = re.compile(
        r"is not executable|not found|No such file|Unit .* not loaded|could not be found"
    )
    said = [line for line in done.stderr.splitlines() if not known.search(line)]
    assert not [line for line in said if any(path.name in line for path in units)], said


def test_wheels_of_the_lock_are_had_by_hash_for_the_images_python():
    wheels = program(ROOT / "scripts/wheels")
    for machine in wheels.MACHINES.values():
        text = wheels.locked(machine)
        names = re.findall(r"^([a-z0-9-]+)==", text, re.MULTILINE)
        assert len(names) == len(set(names)), "one version of each"
        assert {"aiohttp", "numpy", "pydicom", "sqlcipher3"} <= set(names)
        assert not {"setuptools", "pytest"} & set(names)
        assert all("--hash=sha256:" in entry for entry in re.split(r"\n(?=\S)", text.strip()))
        assert "://" not in text


def test_the_data_is_waited_for_once_it_is_made_however_long_that_takes():
    """systemd waits for a disk for some minutes, and a slow one was not even formatted by then."""
    making = read(UNITS / "edge-disk.service")["Service"]
    assert making["TimeoutStartSec"] == "infinity"
    (waiting,) = (UNITS / r"dev-mapper-edge\x2ddata.device.d").glob("*.conf")
    assert read(waiting)["Unit"]["After"] == "edge-disk.service"


def test_a_root_that_cannot_be_read_ends_the_start_at_once():
    """Else each of the three tries of a broken update waits for its device for five minutes."""
    units = IMAGE / "mkosi.images/initrd/mkosi.extra/usr/lib/systemd/system"
    setup = read(units / "systemd-veritysetup@root.service.d/10-edge.conf")["Unit"]
    looks = read(units / setup["Wants"])
    assert looks["Unit"]["After"] == "systemd-veritysetup@root.service"
    for unit in (setup, looks["Unit"]):
        assert unit["OnFailure"] == "emergency.target"
    assert "if=/dev/mapper/root" in looks["Service"]["ExecStart"]
    over = read(units / "emergency.service.d/10-edge.conf")["Service"]
    assert "reboot" in over["ExecStopPost"]


TELL = IMAGE / "libexec/tell"


@pytest.mark.parametrize(
    ("consoles", "words", "said"),
    [
        ("tty0 ttyS0", ["begins"], {"tty0", "ttyS0"}),
        ("tty0 ttyS0", ["--screen", "begins"], {"tty0"}),
        ("tty0 ttyS0 ttyAMA0", ["--screen", "begins"], {"tty0", "ttyS0"}),
        ("tty0", ["--screen", "begins"], set()),
        ("tty0", ["begins"], {"tty0"}),
        ("", ["begins"], {"console"}),
        ("gone/tty0 ttyS0", ["begins"], {"ttyS0"}),
    ],
)
def test_who_stands_before_the_machine_is_told(tmp_path, consoles, words, said):
    (tmp_path / "active").write_text(f"{consoles}\n" if consoles else "")
    devices = tmp_path / "dev"
    devices.mkdir()
    subprocess.run(
        [TELL, *words],
        env=os.environ | {"EDGE_CONSOLES": str(tmp_path / "active"), "EDGE_DEVICES": str(devices)},
        check=True,
    )
    assert {path.name for path in devices.iterdir()} == said
    assert all(path.read_text().strip() == "begins" for path in devices.iterdir())


def test_the_screen_is_told_from_the_first_moment_to_the_page():
    initrd = IMAGE / "mkosi.images/initrd"
    assert (
        "ExtraTrees=../../libexec/tell:/usr/lib/edge/tell"
        in (initrd / "mkosi.conf").read_text().splitlines()
    )
    system = initrd / "mkosi.extra/usr/lib/systemd/system"
    first = system / "sysinit.target.wants/edge-begin.service"
    assert first.resolve() == system / "edge-begin.service"
    assert read(first)["Unit"]["DefaultDependencies"] == "no"
    last = read(UNITS / "edge-starting.service")
    assert last["Unit"]["Before"] == "edge.service"
    for said in (read(first), last):
        assert said["Service"]["ExecStart"].startswith("/usr/lib/edge/tell ")
        assert "minutes" not in said["Service"]["ExecStart"], "it is said at every start"
    for folder in (system, UNITS):
        for path in folder.glob("*.service.d/10-edge.conf"):
            assert "/dev/console" not in path.read_text(), f"{path}: that is the serial line"
    assert '"$tell" --screen' in (IMAGE / "libexec/disk").read_text()
    # Only where there is no data yet.
    assert (
        '[ -e "$run/data" ] || say "this is the first start: '
        in (IMAGE / "libexec/disk.d/making").read_text()
    )


def test_the_screen_is_told_that_the_machine_ends_once_its_page_is_gone():
    ends = read(UNITS / "edge-ends.service")
    assert ends["Unit"]["Before"] == "edge-console@tty1.service"
    assert "leave the power on" in ends["Service"]["ExecStop"].lower()
    assert ends["Service"]["RemainAfterExit"] == "yes"
    presets = (EXTRA / "usr/lib/systemd/system-preset/10-image.preset").read_text()
    assert "enable edge-ends.service" in presets.splitlines()


def test_what_a_file_shall_open_the_tpm_does_not():
    """``cryptsetup open`` asks a slot's token first: no test of a key was one beside a TPM."""
    for path in (IMAGE / "libexec/disk.d").iterdir():
        for line in path.read_text().splitlines():
            if "cryptsetup open" in line:
                assert "--disable-external-tokens" in line, f"{path}: {line}"


def test_an_ups_is_commanded_only_where_one_ends_the_machine(tmp_path):
    removed = read(IMAGE / "mkosi.conf")["Content"]["RemoveFiles"].split()
    assert "/usr/lib/systemd/system-shutdown/nutshutdown" in removed
    own = (EXTRA / "usr/lib/systemd/system-shutdown/edge-ups").read_text()
    calls = tmp_path / "calls"
    program = tmp_path / "program"
    program.write_text(f'#!/bin/sh\necho "$@" "$NUT_CONFPATH" >>{calls}\n')
    program.chmod(0o755)
    own = own.replace("/run/edge-nut/killpower", f"{tmp_path}/killpower")
    own = re.sub(r"/usr/sbin/ups\w+", str(program), own)
    subprocess.run(["sh", "-c", own], check=True)
    assert not calls.exists()
    (tmp_path / "killpower").touch()
    subprocess.run(["sh", "-c", own], check=True)
    assert calls.read_text().splitlines() == ["-K /run/edge-nut", "shutdown /run/edge-nut"]


def test_the_start_greets_by_the_name_of_the_product(tmp_path):
    release = tmp_path / "usr/lib/os-release"
    release.parent.mkdir(parents=True)
    release.write_text('PRETTY_NAME="Debian GNU/Linux 13 (trixie)"\nNAME="Debian GNU/Linux"\n')
    for script in (IMAGE / "mkosi.images/initrd/mkosi.finalize", IMAGE / "mkosi.finalize"):
        [line] = re.findall(r"^sed .*PRETTY_NAME.*$", script.read_text(), re.MULTILINE)
        where = {"BUILDROOT": str(tmp_path), "root": str(tmp_path), "IMAGE_VERSION": "1.2"}
        subprocess.run(["bash", "-euc", line], env=os.environ | where, check=True)
        assert release.read_text().startswith('PRETTY_NAME="Edge')
    assert release.read_text().startswith('PRETTY_NAME="Edge 1.2"\n')
