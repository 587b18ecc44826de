"""The container, built and run by podman as image/Containerfile says it.

Left out by ``scripts/test``: ``scripts/test-image --package`` runs it. The base image is made of
Debian's packages, for want of a registry: the same system under the same name.
"""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterator

import pytest

from edge import __version__
from tests.image.debian import APT, BASE, REPOSITORY, Debian, debian, hindrance
from tests.samples import write_series

pytestmark = [
    pytest.mark.skipif(
        "EDGE_TEST_PACKAGE" not in os.environ, reason="scripts/test-image --package runs it"
    ),
    pytest.mark.skipif(bool(hindrance()), reason=hindrance()),
]
SLICES = 12
VERSION = f"{__version__}.1"
CONTAINERFILE = REPOSITORY / "image/Containerfile"
SETTINGS = """
[[dimse.peer]]
ae_title = "CT1"
host = "10.88.0.1"
"""
# Podman keeps its own files on no overlay, and what surrounds this machine may have less to give
# than a container asks for by itself.
CONTAINED = """
mkdir -p /mnt/here/storage /var/lib/containers /etc/containers
mount --bind /mnt/here/storage /var/lib/containers
limits=$(ulimit -Hn) processes=$(ulimit -Hu)
cat >/etc/containers/containers.conf <<END
[containers]
default_ulimits = ["nofile=$limits:$limits", "nproc=$processes:$processes"]
END
grep -qw pids /sys/fs/cgroup/cgroup.controllers ||
    echo 'pids_limit = 0' >>/etc/containers/containers.conf
podman import /mnt/here/base.tar docker.io/library/debian:trixie-slim
"""


def documented(program: str) -> str:
    """The command of the Containerfile's first lines that begins so."""
    lines = (line.removeprefix("#") for line in CONTAINERFILE.read_text().splitlines())
    text = "\n".join(lines).replace("\\\n", " ")
    found = re.search(rf"^ *(podman {program} .*)$", text, re.MULTILINE)
    assert found, program
    return found[1]


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Debian]:
    """One with podman, and with the image."""
    here = tmp_path_factory.mktemp("here")
    words = ["scripts/build-deb", "--quick", "--no-viewer", "--version", VERSION]
    subprocess.run(words, cwd=REPOSITORY, check=True)
    subprocess.run(["tar", "-C", str(BASE), "-cf", str(here / "base.tar"), "."], check=True)
    write_series(here / "ct", SLICES, seed=902)
    (here / "edge.toml").write_text(SETTINGS)
    os.chown(here / "edge.toml", 950, 950)
    (here / "edge.toml").chmod(0o640)
    with debian(tmp_path_factory.mktemp("contains"), here) as made:
        made.shell(f"{APT} update; {APT} install podman crun netavark aardvark-dns nftables")
        made.shell(CONTAINED)
        build = documented("build").replace(" build ", f" build --build-arg PACKAGE=*_{VERSION}_* ")
        # It reaches Debian's packages as this shell does.
        made.shell(f"cd /mnt/repository; {build} --network host")
        yield made
        made.shell("podman rm -f -a; umount /var/lib/containers", check=False)
        subprocess.run(["rm", "-rf", str(here / "storage")], check=True)


def ready(machine: Debian) -> bool:
    words = (
        "curl",
        "-sk",
        "-o",
        "/dev/null",
        "-w",
        "%{http_code}",
        "https://127.0.0.1:8443/readyz",
    )
    return machine.beside(*words, check=False) == "200"


def test_it_runs_with_no_rights_on_a_root_that_it_cannot_write(machine):
    machine.inside(f"cd /mnt/here; {documented('run')}")
    machine.until(lambda: ready(machine))
    assert machine.inside("podman exec edge id -u").strip() == "950"
    tried = machine.inside("podman exec edge touch /opt/edge/x && echo written", check=False)
    assert tried == ""
    assert (
        machine.inside("podman exec edge grep -E '^Cap(Prm|Eff)' /proc/1/status").split()[1::2]
        == ["0" * 16] * 2
    )
    log = machine.inside("podman logs edge 2>&1")
    assert "lacks" not in log, "its own cages are whole"
    assert "CONFIG" not in log


def test_it_says_that_it_is_healthy(machine):
    machine.inside("podman healthcheck run edge")
    said = machine.inside("podman inspect edge --format '{{.State.Health.Status}}'")
    assert said.strip() == "healthy"
    assert "does what it is for" in machine.inside("podman exec edge edge selftest")


def test_what_came_in_outlives_the_container(machine):
    here = next(iter(machine.root.glob("mnt/here")))
    words = ("--scan-directories", "127.0.0.1", "11112", str(here / "ct"))
    machine.beside("dcmsend", "--aetitle", "CT1", "--call", "EDGE", *words)
    assert kept(machine) == "1 study exists only here"
    machine.inside("podman stop edge")
    assert "stopped" in machine.inside("podman logs --tail 3 edge 2>&1"), "it ended in good order"
    machine.inside("podman rm edge")
    machine.inside(f"cd /mnt/here; {documented('run')}")
    machine.until(lambda: ready(machine))
    assert kept(machine) == "1 study exists only here"


def kept(machine: Debian) -> str:
    """What the first line of its status says of the study."""
    return machine.inside(documented("exec")).partition(";")[0]


def test_one_that_ended_is_not_healthy(machine):
    machine.inside("podman kill --signal KILL edge")
    machine.until(lambda: "false" in machine.inside("podman inspect edge -f '{{.State.Running}}'"))
    assert machine.inside("podman healthcheck run edge && echo healthy", check=False) == ""
