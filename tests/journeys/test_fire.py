"""After the fire: a new box, the recovery key on paper, and the archive's address. Nothing else."""

from __future__ import annotations

import asyncio
import json
import shutil
import time
from dataclasses import dataclass

import pytest

from tests import samples
from tests.fakes import orthanc
from tests.fakes.edge import EdgeServer
from tests.fakes.orthanc import Orthanc
from tests.journeys.modality import dcmsend
from tests.journeys.service import Installation
from tests.journeys.viewer import Viewer, as_sent

KEPT, DELETED = 501, 502
COUNT = 3


@dataclass
class Far:
    """An archive, as an installation names it."""

    dicomweb: str
    auth: tuple[str, str]
    needs_password: bool


@pytest.fixture(params=["orthanc", "edge"])
async def far(request, tmp_path):
    if request.param == "orthanc":
        if why := orthanc.missing():
            pytest.skip(why)
        # It asks nobody who he is: the url alone will do.
        server = Orthanc(tmp_path / "orthanc", {"AuthenticationEnabled": False})
        await server.started()
        yield Far(server.dicomweb, server.auth, needs_password=False)
        await server.stopped()
    else:
        other = EdgeServer(tmp_path / "archive")
        await other.start()
        yield Far(other.dicomweb, ("edge", other.token), needs_password=True)
        await other.stop()


@pytest.fixture
async def installation(tmp_path, far):
    made = Installation(tmp_path / "site", far)
    made.configure()
    yield made
    made.kill()


async def state(installation):
    ran = await installation.run("status", "--json")
    assert ran.status == 0, ran
    return json.loads(ran.out)


async def until(installation, condition):
    async with asyncio.timeout(120):
        # Each look is a process, and takes its time.
        while not condition(found := await state(installation)):
            pass
    return found


def sign_in(far, folder):
    """How to tell ``edge restore`` who we are."""
    if not far.needs_password:
        return []
    path = folder / "signing-in.toml"
    user, password = far.auth
    path.write_text(
        f'[[cloud.archive]]\nname = "a"\nurl = "{far.dicomweb}"\n'
        f'auth = {{ kind = "basic", user = "{user}", password = "{password}" }}\n'
    )
    return ["--auth", str(path)]


def viewer(installation, token):
    base = f"http://127.0.0.1:{installation.http_port}/dicom-web"
    return Viewer(base, headers={"Authorization": f"Bearer {token}"})


def study(seed):
    return f"/studies/{samples.sample_uid(seed, 'study')}"


async def studies(client):
    return {one["0020000D"]["Value"][0] for one in await client.search("/studies")}


def burn(installation):
    """Box, root key and configuration are gone."""
    shutil.rmtree(installation.data)
    installation.data.mkdir()
    installation.key.unlink()
    configuration = installation.configuration.read_text()
    installation.configuration.unlink()
    return configuration


async def test_a_new_box_serves_again(installation, far, tmp_path):
    await installation.start()
    made = await installation.run("token", "create", "--role", "admin")
    token = made.out.strip()
    first = await installation.run("status")
    assert "there is no recovery key: after a fire nothing of this box" in first.out
    kept = samples.write_series(tmp_path / "kept", COUNT, rows=16, columns=16, seed=KEPT)
    gone = samples.write_series(tmp_path / "gone", COUNT, rows=16, columns=16, seed=DELETED)
    assert await dcmsend(installation.dimse_port, *kept, *gone) == {"Success": 2 * COUNT}
    await until(installation, lambda it: it["custody"] == {"VERIFIED": 2 * COUNT})

    key = await installation.run("key", "recovery")
    assert key.status == 0
    paper = tmp_path / "paper"
    paper.write_text(key.out.lower())
    again = await installation.run("key", "recovery")
    assert (again.status, again.out) == (1, "")
    async with viewer(installation, token) as client:
        assert (await client.http.delete(study(DELETED))).status_code == 204
    deleted = time.time()

    def is_safe(it):
        return any(one["made"] > deleted for one in it["backups"]["last"])

    await until(installation, is_safe)
    plain = await installation.run("status")
    assert "backup: archive cloud: " in plain.out
    assert "there is no recovery key" not in plain.out
    await installation.stop()

    configuration = burn(installation)
    began = time.monotonic()
    where = ["--from-archive", far.dicomweb, "--key-file", str(paper), *sign_in(far, tmp_path)]
    restored = await installation.run("restore", *where)
    assert restored.status == 0, restored
    assert "deleted images  3" in restored.out
    assert installation.configuration.read_text() == configuration
    await installation.start()
    async with viewer(installation, token) as client:
        await until(installation, lambda it: it["studies"] == 1)
        # The backups in the archive are no patient's study, and what was deleted stays so.
        assert await studies(client) == {samples.sample_uid(KEPT, "study")}
        row = (await client.search("/studies"))[0]
        assert row["00080056"]["Value"] == ["NEARLINE"]
        assert await client.instances(study(KEPT)) == as_sent(kept)
        assert time.monotonic() - began < 60
        assert (await client.http.get(f"{study(DELETED)}/metadata")).status_code == 410
    found = await state(installation)
    assert (found["studies"], found["lost"], found["studies_only_here"]) == (1, 0, 0)
    # What comes in now goes up, and the box goes on making backups for the same paper.
    more = samples.write_series(tmp_path / "more", 1, rows=16, columns=16, seed=503)
    assert await dcmsend(installation.dimse_port, *more) == {"Success": 1}
    await until(installation, lambda it: it["custody"].get("VERIFIED") == COUNT + 1)
    await until(installation, lambda it: it["backups"]["last"])
    assert (await installation.run("key", "recovery")).status == 1

    # A second time, into what is there now: refused, and nothing is touched.
    refused = await installation.run("restore", *where)
    assert refused.status == 2
    assert "is not empty; nothing was changed" in refused.err


async def test_a_file_on_a_stick_will_do_and_names_what_was_only_here(tmp_path):
    installation = Installation(tmp_path / "site")
    try:
        await installation.start()
        token = (await installation.run("token", "create", "--role", "viewer")).out.strip()
        paths = samples.write_series(tmp_path / "ct", COUNT, rows=16, columns=16, seed=KEPT)
        assert await dcmsend(installation.dimse_port, *paths) == {"Success": COUNT}
        stick, paper = tmp_path / "stick", tmp_path / "paper"
        early = await installation.run("backup", "--to", str(stick))
        assert early.status == 1
        assert "there is no recovery key" in early.err
        paper.write_text((await installation.run("key", "recovery")).out)
        made = await installation.run("backup", "--to", str(stick))
        assert made.status == 0, made
        assert f"backup: file {stick}: " in (await installation.run("status")).out
        await installation.stop()
        burn(installation)

        whole = stick.read_bytes()
        options = ("restore", "--from", str(stick), "--key-file", str(paper))
        groups = paper.read_text().split()
        typo = ("3" if groups[4][0] == "2" else "2") + groups[4][1:]
        paper.write_text(" ".join([*groups[:4], typo, *groups[5:]]))
        assert "group 5 of the recovery key is not right" in (await installation.run(*options)).err
        paper.write_text(" ".join(groups))
        for broken in (whole[:-5], whole[:90], b""):
            stick.write_bytes(broken)
            ran = await installation.run(*options)
            assert (ran.status, ran.out) == (1, ""), ran
            assert "damaged" in ran.err
        assert not installation.configuration.exists()
        assert list(installation.data.iterdir()) == []
        stick.write_bytes(whole)
        ran = await installation.run(*options)
        assert ran.status == 0, ran
        assert "perhaps lost    3 images" in ran.out

        await installation.start()
        plain = await installation.run("status")
        assert plain.out.startswith("3 images were lost and must be sent again.")
        async with viewer(installation, token) as client:
            assert await studies(client) == {samples.sample_uid(KEPT, "study")}
        assert await dcmsend(installation.dimse_port, *paths) == {"Success": COUNT}
        async with viewer(installation, token) as client:
            assert await client.instances(study(KEPT)) == as_sent(paths)
        assert (await state(installation))["lost"] == 0
    finally:
        installation.kill()
