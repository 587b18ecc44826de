"""``edge peer``, in processes of its own, beside a box that runs."""

from __future__ import annotations

import asyncio
import json

import pytest

from edge import config, others
from edge.app import Appliance
from tests import program
from tests.dimse import dcmtk
from tests.dimse.raw import until
from tests.samples import ct_series


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "box"


@pytest.fixture
def loaded(folder):
    return config.Config(
        appliance=config.Appliance(data_dir=folder),
        dimse=config.Dimse(
            listen="127.0.0.1:0",
            unknown_peers="learn",
            peer=(others.Peer("KNOWN", "127.0.0.1", name="CT, ground floor"),),
        ),
        http=config.Http(listen="127.0.0.1:0", tls="off"),
    )


@pytest.fixture
def peer(tmp_path, folder):
    """Runs the command; its exit status, what it printed, and what it complained of."""
    path = tmp_path / "edge.toml"
    path.write_text(
        f'[appliance]\ndata_dir = "{folder}"\n[dimse]\nunknown_peers = "learn"\n'
        '[[dimse.peer]]\nae_title = "KNOWN"\nhost = "127.0.0.1"\nname = "CT, ground floor"\n'
    )

    async def run(*words):
        ran = await asyncio.to_thread(program.run, "peer", *words, "--config", path)
        return ran.returncode, ran.stdout, ran.stderr

    return run


async def test_a_stranger_is_learned_approved_and_stores_without_a_restart(tmp_path, loaded, peer):
    (sample,) = ct_series(1, rows=16, columns=16)
    image = tmp_path / "image.dcm"
    image.write_bytes(sample.data)
    async with Appliance(loaded) as box:

        async def store():
            return (await dcmtk.run("storescu", box.dimse_port, "-aet", "NEW", image)).status

        assert await store() != 0
        await box.cache.peers.strangers.write()
        status, listed, _ = await peer("list")
        assert status == 0
        assert "KNOWN (CT, ground floor)  127.0.0.1, port 104  may store  (configuration)" in listed
        assert "stranger NEW at 127.0.0.1  called EDGE for storage, once" in listed
        status, said, _ = await peer("approve", "NEW")
        assert (status, said) == (0, "NEW may store, from 127.0.0.1\n")
        await until(lambda: len(box.cache.peers.in_force) == 2)
        assert await store() == 0
        assert (await box.status()).summary.instances == 1
        document = json.loads((await peer("list", "--json"))[1])
        assert [one["ae_title"] for one in document["peers"]] == ["KNOWN", "NEW"]
        assert document["strangers"] == []
        status, said, _ = await peer("forget", "NEW")
        assert (status, said) == (0, "NEW: may call no more\n")
        await until(lambda: len(box.cache.peers.in_force) == 1)
        assert await store() != 0
    async with Appliance(loaded) as box:
        assert [one.ae_title for one in box.cache.peers.strangers.all()] == ["NEW"]


async def test_what_can_not_be_done_is_said_with_its_status(loaded, peer):
    async with Appliance(loaded):
        pass
    status, _, complaint = await peer("approve", "NEVER")
    assert status == 1
    assert "nobody called as NEVER" in complaint
    assert "--host" in complaint
    status, _, complaint = await peer("approve", "KNOWN")
    assert status == 1
    assert "the configuration names KNOWN" in complaint
    assert (await peer("approve", "NEW", "--may", "everything"))[0] == 2
    assert (await peer("forget", "NEVER"))[0] == 1


async def test_a_stranger_that_is_forgotten_may_be_a_peer_that_stays(loaded, peer):
    async with Appliance(loaded) as box:
        await dcmtk.run("echoscu", box.dimse_port, "-aet", "KNOWN", called="PACS")
        await dcmtk.run("echoscu", box.dimse_port, "-aet", "NEW")
        await box.cache.peers.strangers.write()
        status, said, _ = await peer("forget", "KNOWN")
        assert status == 0
        assert said == (
            "KNOWN: taken off the list of strangers; the configuration still lets KNOWN in\n"
        )
        status, said, _ = await peer("forget", "NEW")
        assert (status, said) == (0, "NEW: taken off the list of strangers\n")
        status, _, complaint = await peer("forget", "KNOWN")
        assert status == 1
        assert "KNOWN is a peer of the configuration" in complaint


async def test_a_peer_of_which_nobody_says_where_it_is_is_called_nowhere(loaded, peer):
    async with Appliance(loaded):
        pass
    await peer("approve", "NOHOST", "--host", "")
    status, said, _ = await peer("echo", "NOHOST")
    assert status == 1
    assert said.splitlines()[0] == "NOHOST: it is not said where it is"


async def test_the_way_back_is_tried_with_its_status(loaded, peer, free_port):
    async with Appliance(loaded) as box:
        there = ("--host", "127.0.0.1", "--port", box.dimse_port, "--name", "ourselves")
        assert (await peer("approve", "EDGE", *there, "--may", "store,query"))[0] == 0
        # Our own title calls us: it is its own peer.
        await until(lambda: len(box.cache.peers.in_force) == 2)
        status, said, _ = await peer("echo", "ourselves")
        assert (status, "it answers C-ECHO" in said) == (0, True), said
        gone = ("--host", "127.0.0.1", "--port", free_port())
        assert (await peer("approve", "GONE", *gone))[0] == 0
        status, said, _ = await peer("echo", "GONE")
        assert status == 1
        assert "nothing listens on that port" in said
        document = json.loads((await peer("echo", "GONE", "--json"))[1])
        assert document["works"] is False
        status, said, _ = await peer("echo", "nobody")
        assert (status, said.splitlines()[0]) == (1, "nobody: no peer is called so")
