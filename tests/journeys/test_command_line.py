"""The ``edge`` command, in processes of its own: what it prints, and with which status it ends.

Exit status: 0 it was done; 1 it was not, and why stands on standard error; 2 the command or the
configuration is wrong. Nobody is ever shown a traceback.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import signal
import socket

import httpx
import pytest

from tests import samples
from tests.journeys.box import running, settings
from tests.journeys.modality import dcmsend, dcmtk, send
from tests.journeys.service import Installation
from tests.journeys.viewer import Viewer, as_sent


@pytest.fixture
async def installation(tmp_path):
    made = Installation(tmp_path)
    yield made
    made.kill()


def assert_refused(ran, status: int, *words: str) -> None:
    """It ended with this status, and said why in one or two lines."""
    assert ran.status == status, ran
    assert ran.out == ""
    assert "Traceback" not in ran.err
    last = [line for line in ran.err.splitlines() if " INFO " not in line]
    assert 1 <= len(last) <= 2, ran.err
    assert last[0].startswith("edge: "), ran.err
    for word in words:
        assert word in ran.err


async def test_a_technician_starts_it_makes_a_token_and_reads_the_state(
    cloud, installation, tmp_path
):
    installation.cloud = cloud
    installation.configure()
    await installation.start()
    made, before = await asyncio.gather(
        installation.run("token", "create", "--role", "admin"),
        installation.run("status", "--json"),
    )
    assert made.status == before.status == 0
    # The token alone, so that TOKEN=$(edge token create --role admin) is all that one needs.
    assert re.fullmatch(r"\S{20,}\n", made.out)
    assert re.fullmatch(r"edge: its ID is (\S+): edge token revoke \1; it ends on .*\n", made.err)
    state = json.loads(before.out)
    assert state["studies"] == state["instances"] == state["studies_only_here"] == 0

    paths = samples.write_series(tmp_path / "ct", 3, rows=16, columns=16, seed=91)
    assert await dcmsend(installation.dimse_port, *paths) == {"Success": 3}
    base = f"http://127.0.0.1:{installation.http_port}"
    bearer = {"Authorization": f"Bearer {made.out.strip()}"}
    async with Viewer(f"{base}/dicom-web", headers=bearer) as viewer:
        study = f"/studies/{samples.sample_uid(91, 'study')}"
        assert await viewer.instances(study) == as_sent(paths)
    async with httpx.AsyncClient(base_url=base, trust_env=False, timeout=60) as anybody:
        assert (await anybody.get("/healthz")).status_code == 200
        assert (await anybody.get("/readyz")).status_code == 200
        assert (await anybody.get("/dicom-web/studies")).status_code == 401
    async with asyncio.timeout(120):
        while state["custody"] != {"VERIFIED": 3}:
            state = json.loads((await installation.run("status", "--json")).out)
    assert state["studies"] == 1
    assert state["studies_only_here"] == 0
    assert state["archives"][0]["online"] == 1

    listed, plain = await asyncio.gather(
        installation.run("token", "list", "--json"), installation.run("status")
    )
    [token] = json.loads(listed.out)
    assert token["role"] == "admin"
    assert made.out.strip() not in listed.out
    assert plain.out.startswith("Everything is safe in the cloud.\n")

    revoked = await installation.run("token", "revoke", token["token_id"])
    assert revoked.status == 0
    async with Viewer(f"{base}/dicom-web", headers=bearer) as viewer:
        assert (await viewer.get("/studies", "*/*")).status_code == 401
    again = await installation.run("token", "revoke", token["token_id"])
    assert_refused(again, 1, token["token_id"])
    assert (await installation.stop()).status == 0


@pytest.mark.alone
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=["SIGTERM", "SIGINT"])
async def test_it_ends_cleanly_within_seconds_whatever_is_under_way(number, installation, tmp_path):
    await installation.start()
    paths = samples.write_series(tmp_path / "ct", 2, rows=16, columns=16, seed=92)
    assert await send(installation.dimse_port, paths) == {0: 2}
    # A modality that is associated and silent, and a viewer that keeps its connection.
    silent = [
        await asyncio.open_connection("127.0.0.1", port)
        for port in (installation.dimse_port, installation.http_port)
    ]
    ended = await installation.stop(number)
    assert ended.status == 0, ended.err
    assert ended.seconds < 8
    assert "Traceback" not in ended.err
    assert ended.err.rstrip().endswith("stopped")
    for _, writer in silent:
        writer.close()

    await installation.start()
    ran = await installation.run("status", "--json")
    assert json.loads(ran.out)["instances_online"] == 2


async def test_a_second_service_on_the_same_data_is_refused(installation):
    await installation.start()
    ran = await installation.run("serve")
    assert_refused(ran, 2, f"another edge is running on {installation.data}")
    assert (await dcmtk("echoscu", installation.dimse_port)).has_succeeded


@pytest.mark.parametrize("door", ["dimse_port", "http_port"])
async def test_a_port_that_is_taken_is_named(door, installation):
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        installation.configure(**{door: port})
        ran = await installation.run("serve")
    assert ran.status in (1, 2), ran
    assert "Traceback" not in ran.err
    assert f"{port}" in ran.err


async def test_a_wrong_configuration_is_named_by_file_line_and_key(installation, tmp_path):
    path = tmp_path / "wrong.toml"
    path.write_text("[dimse]\nport = 104\n")
    ran = await installation.run("status", "--config", str(path))
    assert_refused(ran, 2, f"{path}:2: dimse.port is not a known key", "listen")


async def test_a_command_that_is_none_ends_with_2(installation):
    async def check(*words: str) -> None:
        ran = await installation.run(*words)
        assert ran.status == 2
        assert ran.out == ""
        assert ran.err.startswith("usage: edge")

    await asyncio.gather(check("nonsense"), check("token", "create", "--role", "king"))


async def test_status_disturbs_no_running_service(installation, tmp_path):
    await installation.start()
    paths = samples.write_series(tmp_path / "ct", 100, rows=16, columns=16, seed=93)
    ran = [
        asyncio.create_task(installation.run("status", "--json")),
        asyncio.create_task(installation.run("token", "create", "--role", "viewer")),
    ]
    assert await dcmsend(installation.dimse_port, *paths) == {"Success": 100}
    assert [one.status for one in await asyncio.gather(*ran)] == [0, 0]
    assert json.loads((await installation.run("status", "--json")).out)["instances"] == 100
    assert not list(installation.data.glob("*.broken*"))


async def test_a_full_disk_is_not_taken_for_a_damaged_index(installation, tmp_path):
    paths = samples.write_series(tmp_path / "ct", 2, rows=16, columns=16, seed=94)
    async with running(settings(installation.data, keys={"path": installation.key})) as box:
        assert await dcmsend(box.dimse_port, *paths) == {"Success": 2}
    before = (installation.data / "index.db").read_bytes()

    for words in (["status"], ["serve"]):
        ran = await installation.run(*words, disk_is_full=True)
        assert_refused(ran, 1, "index.db can't be opened")
    assert (installation.data / "index.db").read_bytes() == before
    assert not list(installation.data.glob("*.broken*"))
    assert json.loads((await installation.run("status", "--json")).out)["instances_online"] == 2


async def test_an_index_that_is_damaged_in_use_is_rebuilt_while_nobody_looks(
    installation, tmp_path
):
    paths = samples.write_series(tmp_path / "ct", 2, rows=16, columns=16, seed=95)
    await installation.start()
    assert await dcmsend(installation.dimse_port, *paths) == {"Success": 2}
    await installation.stop()
    await installation.start()
    index = installation.data / "index.db"
    content = bytearray(index.read_bytes())
    for page in range(4096, len(content), 4096):
        content[page + 100] ^= 1
    index.write_bytes(content)
    async with httpx.AsyncClient(timeout=60) as client:
        with contextlib.suppress(httpx.TransportError):  # a part met it first: it begins anew
            await client.get(
                f"http://127.0.0.1:{installation.http_port}/dicom-web/studies",
                headers={"Authorization": "Bearer unknown"},
            )
    async with asyncio.timeout(60):
        while "adopted 2 objects" not in installation.log.read_text():  # noqa: ASYNC110 - a file
            await asyncio.sleep(0.1)
        ran = await installation.run("status", "--json")
        while ran.status != 0:
            ran = await installation.run("status", "--json")
    state = json.loads(ran.out)
    assert (state["instances_online"], state["lost"]) == (2, 0)
    assert (await installation.stop()).status == 0


async def test_the_demonstration_shows_both_sides_equal(installation):
    ran = await installation.run("demo", "--offline")
    assert ran.status == 0, ran.err
    assert "Traceback" not in ran.err
    assert "1 study exists only here; the line is down, intake goes on." in ran.out
    assert ran.out.rstrip().endswith(
        "40 instances on the edge, 40 in the cloud: the same bytes on both sides."
    )
    assert not any(installation.temporary.iterdir())
