"""Inside a real worker, taken over by whoever made the image; and inside the store's process."""

from __future__ import annotations

import errno
import json
import logging
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from edge import child
from edge.config import Pixels
from edge.errors import UndecodablePixels
from edge.pixels import process, syntaxes
from edge.pixels.description import ImageDescription
from tests.cage.attempts import FAIL, FATAL, THREAD
from tests.pixels.pool import running
from tests.store.conftest import keys, store  # noqa: F401 - fixtures

GREY = ImageDescription(syntaxes.EXPLICIT_LITTLE, 8, 8, 1, "MONOCHROME2", 16, 12, 11, False)
PLAIN = bytes(128)

pytestmark = pytest.mark.usefixtures("started_as_in_a_box")


@pytest.fixture
def takes_over(monkeypatch):
    """Have workers run another module; the rest stays as it is."""

    def take_over(module):
        def spawn(_words, *arguments, **options):
            return child.spawn(("-m", module), *arguments, **options)

        monkeypatch.setattr(process, "spawn", spawn)

    return take_over


def of_process(pid, name):
    return Path(f"/proc/{pid}/{name}").read_text()


def entries(pid, name):
    return {it.name for it in Path(f"/proc/{pid}/{name}").iterdir()}


async def tried(pool, name):
    """What came of it, as the service hears."""
    with pytest.raises(UndecodablePixels) as raised:
        await pool.decode(GREY, name.encode().ljust(len(PLAIN), b"\0"))
    return str(raised.value)


async def whole(pool):
    await tried(pool, "read /etc/passwd")
    if "seccomp" in pool.lacks:
        pytest.skip(f"the kernel does not cage: {pool.lacks}")


@pytest.mark.parametrize("name", FAIL)
async def test_in_a_worker_it_fails_to(name, takes_over):
    takes_over("tests.cage.hostile")
    async with running() as pool:
        await whole(pool)
        assert await tried(pool, name) == f"{name}: {errno.EPERM}"


@pytest.mark.parametrize("name", [*FATAL, *THREAD])
async def test_in_a_worker_it_ends_the_process_to(name, takes_over, caplog):
    takes_over("tests.cage.hostile")
    async with running() as pool:
        await whole(pool)
        assert await tried(pool, name) == "the pixels made their decoder try what it may not"
        assert "keep that image for an inquiry" in caplog.text
        # Nobody else's frame is the worse for it.
        assert await tried(pool, "list a folder") == f"list a folder: {errno.EPERM}"


async def test_a_worker_of_this_machine_is_caged_whole(caplog):
    async with running() as pool:
        await pool.decode(GREY, PLAIN)
        (worker,) = pool._running
        status = of_process(worker._process.pid, "status")
        if os.geteuid() == 0:
            assert entries(worker._process.pid, "fd") == {"0", "1", "2"}
        else:  # the service's user can't look into it
            with pytest.raises(PermissionError):
                entries(worker._process.pid, "fd")
        if pool.lacks:
            pytest.skip(f"the kernel does not cage: {pool.lacks}")
    assert "\nSeccomp:\t2\n" in status
    assert "\nNoNewPrivs:\t1\n" in status
    assert "lacks" not in caplog.text


async def test_a_kernel_that_refuses_is_told_of_once_and_the_rest_holds(takes_over, caplog):
    takes_over("tests.cage.weak")
    async with running(Pixels(workers=1)) as pool:
        assert (await pool.decode(GREY, PLAIN)).data == PLAIN
        assert pool.lacks == (
            "Landlock: Function not implemented; seccomp: Function not implemented"
        )
        # No free descriptor, and no program or thread.
        assert await tried(pool, "read /etc/passwd") == f"read /etc/passwd: {errno.EMFILE}"
        assert await tried(pool, "write a device") == f"write a device: {errno.EMFILE}"
        (worker,) = pool._running
        await worker.kill()
        assert (await pool.decode(GREY, PLAIN)).data == PLAIN
    told = [it for it in caplog.records if "lacks" in it.message]
    assert [it.levelno for it in told] == [logging.WARNING]


@pytest.fixture
def folders(tmp_path):
    places = tmp_path / "incoming", tmp_path / "objects"
    for place in places:
        place.mkdir()
    (tmp_path / "root.key").write_bytes(b"secret")
    return places


def caged(folders, what, name):
    """The exit status of a process in the store's cage, and what it said."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.cage.caged", *map(str, folders), what, str(name)],
        stdout=subprocess.PIPE,
        check=False,
    )
    said = json.loads(done.stdout or b'{"lacks": [], "outcome": "ended"}')
    if any("seccomp" in it for it in said["lacks"]):
        pytest.skip(f"the kernel does not cage: {said['lacks']}")
    return done.returncode, said["outcome"], said["lacks"]


def test_the_store_makes_renames_and_reads_in_its_folders_by_threads(folders):
    assert caged(folders, "keep", "ab")[:2] == (0, "sealed")


def test_the_store_has_no_other_file(folders, tmp_path):
    for path in ("/etc/passwd", tmp_path / "root.key", tmp_path, "/proc/self/environ"):
        status, outcome, lacks = caged(folders, "open", path)
        if lacks:
            pytest.skip(f"the kernel has no Landlock: {lacks}")
        assert (status, outcome) == (0, errno.EACCES), path


@pytest.mark.parametrize("name", FATAL)
def test_in_the_store_it_ends_the_process_to(name, folders):
    assert caged(folders, "attempt", name)[0] == -signal.SIGSYS


@pytest.mark.parametrize(
    "name", [name for name in FAIL if "read" not in name and "write" not in name]
)
def test_in_the_store_it_fails_to(name, folders):
    status, outcome, _ = caged(folders, "attempt", name)
    assert status == 0
    assert outcome in (errno.EPERM, errno.EACCES)


async def test_the_store_of_this_machine_is_caged_whole(store, caplog):  # noqa: F811
    pid = (await store._keeper.process())._process.pid
    if store.lacks:
        pytest.skip(f"the kernel does not cage: {store.lacks}")
    threads = entries(pid, "task")
    assert len(threads) > 4
    for thread in threads:
        assert "\nSeccomp:\t2\n" in of_process(pid, f"task/{thread}/status")
    assert "lacks" not in caplog.text
