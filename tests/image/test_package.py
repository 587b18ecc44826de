"""The service on somebody's own Debian 13: by the package, by pip, by apt and dpkg as they are.

Left out by ``scripts/test``: two packages are built, and Debian's packages are fetched;
``scripts/test-image --package`` runs it. The tests stand in the order in which the life of an
installation goes on.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from edge import __version__
from tests.image.debian import APT, REPOSITORY, Debian, debian, hindrance
from tests.samples import ct_series, write_series

pytestmark = [
    pytest.mark.skipif(
        "EDGE_TEST_PACKAGE" not in os.environ, reason="scripts/test-image --package runs it"
    ),
    pytest.mark.skipif(bool(hindrance()), reason=hindrance()),
]
SLICES = 12
VERSIONS = (f"{__version__}.1", f"{__version__}.2")
SETTINGS = """
[[dimse.peer]]
ae_title = "CT1"
host = "127.0.0.1"
"""
URL = "https://127.0.0.1:8443"
EDGE = "runuser -u edge -- edge"


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the machines are handed: the packages, and a study."""
    folder = tmp_path_factory.mktemp("here")
    folder.parent.chmod(0o755)
    folder.chmod(0o755)
    for version in VERSIONS:
        words = ["scripts/build-deb", "--quick", "--no-viewer", "--version", version]
        subprocess.run(words, cwd=REPOSITORY, check=True)
        made = f"edge-cache_{version}_amd64.deb"
        shutil.copy(REPOSITORY / "build/deb" / made, folder)
    write_series(folder / "ct", SLICES, seed=901)
    lay_wheels(folder / "wheels")
    return folder


def lay_wheels(folder: Path) -> None:
    """All that pip needs there: those of the lock, and this project's own."""
    shutil.copytree(REPOSITORY / "build/image/wheels-amd64/wheels", folder)
    lock = (REPOSITORY / "requirements.lock").read_text()
    builds = re.search(r"^setuptools==\S+", lock, re.MULTILINE)
    assert builds
    pip = (sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet")
    subprocess.run([*pip, "download", "--no-deps", "--dest", str(folder), builds[0]], check=True)
    own = ("--no-deps", "--no-build-isolation", "--wheel-dir", str(folder), str(REPOSITORY))
    subprocess.run([*pip, "wheel", *own], check=True)
    (folder / "requirements.lock").write_text(lock)


@pytest.fixture(scope="module")
def owned(tmp_path_factory: pytest.TempPathFactory, here: Path) -> Iterator[Debian]:
    """Somebody's machine, for as long as these tests go on."""
    with debian(tmp_path_factory.mktemp("owned"), here) as machine:
        machine.shell(f"{APT} update")
        yield machine


def install(machine: Debian, version: str) -> str:
    return machine.shell(f"{APT} install /mnt/here/edge-cache_{version}_amd64.deb")


def until_ready(machine: Debian) -> None:
    words = ("curl", "-sk", "-o", "/dev/null", "-w", "%{http_code}", f"{URL}/readyz")
    machine.until(lambda: machine.beside(*words, check=False) == "200")


def study() -> str:
    return next(ct_series(1, rows=8, columns=8, seed=901)).ref.study_uid


def send(machine: Debian, here: Path) -> None:
    words = ("--scan-directories", "127.0.0.1", "11112", str(here / "ct"))
    machine.beside("dcmsend", "--aetitle", "CT1", "--call", "EDGE", *words)


def kept(machine: Debian, here: Path) -> int:
    """How many images of the study it gives to a viewer whom it knows."""
    token = machine.shell(f"{EDGE} token create --role viewer --name Test").strip()
    listed = machine.beside(
        *("curl", "-skf", "-H", f"Authorization: Bearer {token}"),
        f"{URL}/dicom-web/studies/{study()}/instances",
    )
    found = json.loads(listed)
    for item in found:
        series, sop = (item[tag]["Value"][0] for tag in ("0020000E", "00080018"))
        got = here / "got"
        machine.beside(
            *("curl", "-skf", "-o", str(got), "-H", f"Authorization: Bearer {token}"),
            *("-H", 'Accept: multipart/related; type="application/dicom"; transfer-syntax=*'),
            f"{URL}/dicom-web/studies/{study()}/series/{series}/instances/{sop}",
        )
        assert sop.encode() in got.read_bytes()
    return len(found)


def state(machine: Debian, *units: str) -> str:
    return machine.shell(f"systemctl is-enabled {' '.join(units)}", check=False)


def documented(name: str, after: str) -> str:
    """The first block for a shell that stands in a page of the manual behind some words."""
    text = (REPOSITORY / "manual" / name).read_text()
    found = re.search(r"```sh\n(.*?)```", text[text.index(after) :], re.DOTALL)
    assert found, after
    return found[1]


def test_installed_it_has_a_user_and_a_folder_and_runs_nothing(owned):
    said = install(owned, VERSIONS[0])
    assert "systemctl enable --now edge" in said
    assert owned.shell("dpkg --verify edge-cache") == ""
    looks = "stat -c '%U %G %a' /var/lib/edge /etc/edge /etc/edge/edge.toml"
    assert owned.shell(looks).splitlines() == ["edge edge 700", "root edge 750", "root edge 640"]
    assert owned.shell("getent passwd edge").strip().endswith(":/var/lib/edge:/usr/sbin/nologin")
    found = owned.shell("cd /usr/lib/systemd/system && ls -d edge*").split()
    assert "edge.service" in found
    assert "edge-update-take.path" not in found, "there are no slots"
    can = [name for name in found if "@" not in name]
    assert set(state(owned, *can).split()) <= {"disabled", "static"}
    owned.shell(f"systemctl preset {' '.join(can)}")
    assert set(state(owned, *can).split()) <= {"disabled", "static"}
    assert owned.shell("systemctl list-units --plain --no-legend 'edge*'") == ""
    assert owned.shell("find /opt/edge -name '*.pyc' | head -n 1"), "it would compile at each start"


def test_it_runs_behind_the_same_walls_and_does_what_it_is_for(owned, here):
    path = owned.root / "etc/edge/edge.toml"
    path.write_text(path.read_text() + SETTINGS)
    owned.shell("systemctl enable --now edge")
    until_ready(owned)
    properties = (
        "ActiveState,User,WatchdogUSec,ProtectSystem,NoNewPrivileges,MemoryDenyWriteExecute"
    )
    shown = owned.shell(f"systemctl show edge -p {properties}").split()
    assert {"ActiveState=active", "User=edge", "WatchdogUSec=3min", "ProtectSystem=strict"} <= {
        *shown
    }
    assert "NoNewPrivileges=yes" in shown
    assert "MemoryDenyWriteExecute=yes" in shown
    status = json.loads(owned.shell(f"{EDGE} status --json"))
    assert status, "it says how it is"
    send(owned, here)
    assert kept(owned, here) == SLICES
    print(owned.shell(f"{EDGE} selftest"))


def test_the_machine_under_it_is_asked_only_where_the_owner_wants_it(owned):
    assert not (owned.root / "run/edge-machine").exists()
    owned.shell(f"{APT} install smartmontools")
    block = documented("machine.md", "with the Debian package")
    owned.shell("\n".join(line for line in block.splitlines() if not line.startswith("apt-get")))
    until_ready(owned)
    assert owned.shell("systemctl is-active edge-machine.path edge-machine-start").split() == [
        "active",
        "active",
    ]
    # What is wished is carried out: root's half answers that nothing is tried that could be kept.
    assert "went back" in owned.shell(f"{EDGE} machine keep 2>&1 || true")
    owned.shell("systemctl start edge-health.service")
    assert owned.shell("ls /run/edge-machine/health.json")


def test_an_upgrade_keeps_settings_data_and_what_ran(owned, here):
    before = owned.shell("systemctl show edge -p MainPID --value").strip()
    settings = (owned.root / "etc/edge/edge.toml").read_bytes()
    install(owned, VERSIONS[1])
    until_ready(owned)
    assert owned.shell("systemctl show edge -p MainPID --value").strip() not in (before, "0")
    assert owned.shell("dpkg-query -W -f '${Version}' edge-cache") == VERSIONS[1]
    assert (owned.root / "etc/edge/edge.toml").read_bytes() == settings
    assert owned.shell("stat -c '%U %G %a' /etc/edge/edge.toml").strip() == "root edge 640"
    assert kept(owned, here) == SLICES
    # One that its owner stopped is not started by an upgrade.
    owned.shell("systemctl stop edge")
    owned.shell(f"{APT} install --reinstall /mnt/here/edge-cache_{VERSIONS[1]}_amd64.deb")
    assert owned.shell("systemctl is-active edge", check=False).strip() == "inactive"
    owned.shell("systemctl start edge")
    until_ready(owned)
    assert kept(owned, here) == SLICES


def test_removed_it_ends_and_leaves_the_data_and_installed_again_it_has_it(owned, here):
    had = digests(owned.root / "var/lib/edge/objects")
    assert len(had) >= SLICES
    owned.shell(f"{APT} remove edge-cache")
    assert owned.shell("pgrep -u edge || true") == ""
    assert not (owned.root / "opt/edge").exists()
    assert owned.shell("find /etc/systemd/system -name 'edge*' -path '*.wants/*'") == ""
    assert "CT1" in (owned.root / "etc/edge/edge.toml").read_text()
    assert digests(owned.root / "var/lib/edge/objects") == had
    install(owned, VERSIONS[1])
    assert owned.shell("systemctl is-active edge", check=False).strip() == "inactive"
    owned.shell("systemctl enable --now edge")
    until_ready(owned)
    assert kept(owned, here) == SLICES


def test_purged_it_takes_neither_images_nor_a_key_along(owned):
    had = digests(owned.root / "var/lib/edge/objects")
    owned.shell("install -m 640 -g edge /dev/null /etc/edge/root.key")
    said = owned.shell(f"{APT} purge edge-cache")
    assert "rm -r /var/lib/edge deletes them" in said
    assert digests(owned.root / "var/lib/edge/objects") == had
    assert sorted(path.name for path in (owned.root / "etc/edge").iterdir()) == ["root.key"]
    assert owned.shell("stat -c %U /var/lib/edge /var/lib/edge/root.key").split() == ["edge"] * 2
    linked = "find /etc -lname '/opt/edge/*' -o -lname '/usr/lib/systemd/system/edge*'"
    assert owned.shell(linked) == ""
    assert owned.shell("dpkg-query -W edge-cache", check=False) == ""


def test_purged_where_nothing_came_in_it_leaves_nothing(tmp_path, here):
    with debian(tmp_path, here) as machine:
        machine.shell(f"{APT} update")
        install(machine, VERSIONS[0])
        machine.shell(f"{APT} purge edge-cache")
        left = "ls -d /var/lib/edge* /etc/edge /opt/edge /usr/share/edge 2>/dev/null"
        assert machine.shell(left, check=False) == ""


def test_by_pip_it_has_the_same_units(tmp_path, here):
    """As manual/install.md says it, with this folder as it is."""
    with debian(tmp_path, here) as machine:
        machine.shell(f"{APT} update")
        machine.shell(f"{APT} install python3-venv libstdc++6")
        # No index: whatever is not in the lock is not to be had.
        offline = "export PIP_NO_INDEX=1 PIP_FIND_LINKS=/mnt/here/wheels; cd /mnt/here/wheels\n"
        machine.shell(offline + documented("install.md", "With pip"))
        machine.shell(documented("install.md", "It runs as a user of its own"))
        path = machine.root / "etc/edge/edge.toml"
        path.write_text(SETTINGS)
        machine.shell(documented("install.md", "Start it first"))
        until_ready(machine)
        found = machine.shell("systemctl show edge -p FragmentPath -p WatchdogUSec --value").split()
        assert {*found} == {"/etc/systemd/system/edge.service", "3min"}
        send(machine, here)
        assert kept(machine, here) == SLICES


def digests(folder: Path) -> dict[str, str]:
    """Of all files in a folder."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    return {str(path): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}
