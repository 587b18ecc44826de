"""Devices ask the box to vouch for what they sent: over a restart, and Orthanc is one of them."""

from __future__ import annotations

import asyncio

import httpx
import pytest

from edge import others
from edge.cache import commitments
from tests import samples
from tests.fakes.modality import Modality, modality
from tests.fakes.orthanc import Orthanc
from tests.journeys.box import PATIENCE
from tests.journeys.modality import dcmsend
from tests.journeys.viewer import as_sent

RIGHTS = ("store", "commit")


def study(folder, slices, seed):
    paths = samples.write_series(folder, slices, rows=32, columns=32, seed=seed)
    return paths, sorted(as_sent(paths))


def peers(*known):
    """``[dimse]`` with these peers; strangers, as DCMTK is one here, may only store."""
    return {
        "peer": tuple(
            others.Peer(one.ae_title, "127.0.0.1", getattr(one, "port", 0), may=RIGHTS)
            for one in known
        ),
        "commit_grace_seconds": 1.0,
    }


async def test_a_commitment_outlives_a_restart_and_comes_when_the_cloud_has_it_all(
    cloud, open_box, tmp_path
):
    paths, uids = study(tmp_path / "study", 12, seed=71)
    await cloud.stopped()
    async with modality() as peer:
        async with open_box(cloud, dimse=peers(peer)) as box:
            assert await dcmsend(box.dimse_port, *paths) == {"Success": 12}
            asked = await asyncio.to_thread(peer.ask, box.dimse_port, uids, "1.2.9")
            assert asked == 0
        await cloud.started()
        async with open_box(cloud, dimse=peers(peer)) as box:
            (heard,) = await peer.hears(1)
            assert (heard.event, sorted(heard.committed)) == (1, uids)
            assert heard.retrieve_ae == "EDGE"
            assert await box.custody() == {"VERIFIED": 12}

            async def written_down():
                told = (await box.appliance.status()).commitments
                return told.waiting == told.unreported == 0

            await box.until(written_down, "the box knows that it was heard")
        # Told once: another start does not tell it again.
        async with open_box(cloud, dimse=peers(peer)) as box:
            await asyncio.sleep(1.0)
    assert len(peer.heard) == 1


async def test_a_device_that_is_off_hears_it_after_the_box_was_restarted(
    open_box, tmp_path, monkeypatch
):
    monkeypatch.setattr(commitments, "FIRST_PAUSE", 600.0)
    paths, uids = study(tmp_path / "study", 3, seed=72)
    peer = Modality()
    async with open_box(dimse=peers(peer)) as box:
        assert await dcmsend(box.dimse_port, *paths) == {"Success": 3}
        assert await asyncio.to_thread(peer.ask, box.dimse_port, uids, "1.2.9") == 0

        async def tried():
            return (await box.appliance.status()).commitments.reason

        await box.until(tried, "the report is tried")
        assert (await box.appliance.status()).commitments.unreported == 1
    await asyncio.to_thread(peer.switch_on)
    try:
        async with open_box(dimse=peers(peer)) as box:
            # Somebody switched it on and does not want to wait.
            token = await box.token("technologist")
            async with httpx.AsyncClient(
                base_url=f"http://127.0.0.1:{box.appliance.http_port}/api/v1",
                headers={"Authorization": f"Bearer {token}"},
                timeout=60,
            ) as client:
                (listed,) = (await client.get("/commitments")).json()["items"]
                assert (listed["transaction_uid"], listed["tries"]) == ("1.2.9", 1)
                wish = {"decision": "retry", "transaction_uids": ["1.2.9"]}
                done = await client.post("/commitments", json=wish)
                assert done.json() == {"done": 1}
            await peer.hears(1)
    finally:
        await asyncio.to_thread(peer.switch_off)
    assert sorted(peer.heard[0].committed) == uids


async def test_safe_on_the_edge_is_the_choice_of_a_peer(cloud, open_box, tmp_path):
    paths, uids = study(tmp_path / "study", 3, seed=73)
    await cloud.stopped()
    async with modality() as early, modality(ae_title="CT2") as careful:
        settings = peers(early, careful)
        at_edge = others.Peer("CT1", "127.0.0.1", early.port, may=RIGHTS, commit_after="edge")
        settings["peer"] = (at_edge, *settings["peer"][1:])
        async with open_box(cloud, dimse=settings) as box:
            assert await dcmsend(box.dimse_port, *paths) == {"Success": 3}
            for peer in (early, careful):
                assert await asyncio.to_thread(peer.ask, box.dimse_port, uids, "1.2.9") == 0
            await early.hears(1)
            await asyncio.sleep(1.0)
            assert careful.heard == []
            await cloud.started()
            await careful.hears(1)
    assert early.heard[0].event == careful.heard[0].event == 1


@pytest.fixture
async def device(tmp_path):
    """Another Orthanc, as a device that asks."""
    with_reports = {"DicomCheckCalledAet": False, "StorageCommitmentReportsSize": 100}
    server = Orthanc(tmp_path / "device", with_reports, ae_title="DEVICE")
    await server.started()
    yield server
    await server.stopped()


async def test_orthanc_stores_asks_and_hears_which_are_safe(device, open_box, tmp_path):
    paths, uids = study(tmp_path / "study", 4, seed=74)
    for path in paths:
        await asyncio.to_thread(device.store, path.read_bytes())
    known = others.Peer("DEVICE", "127.0.0.1", device.dicom_port, may=RIGHTS)
    async with open_box(dimse={"peer": (known,), "commit_grace_seconds": 1.0}) as box:

        def call(method, path, **options):
            return device.request(method, path, **options).json()

        def introduce():
            where = {"AET": "EDGE", "Host": "127.0.0.1", "Port": box.dimse_port}
            device.request("PUT", "/modalities/box", json={**where, "AllowStorageCommitment": True})
            return call("GET", "/instances")

        known_there = await asyncio.to_thread(introduce)
        stored = {"Resources": known_there, "StorageCommitment": True, "Synchronous": True}
        sent = await asyncio.to_thread(call, "POST", "/modalities/box/store", json=stored)
        missing = {
            "DicomInstances": [
                ["1.2.840.10008.5.1.4.1.1.2", uids[0]],
                ["1.2.840.10008.5.1.4.1.1.2", "1.2.3"],
            ]
        }
        asked = await asyncio.to_thread(
            call, "POST", "/modalities/box/storage-commitment", json=missing
        )

        async def answer(number):
            async with asyncio.timeout(PATIENCE):
                while True:
                    said = await asyncio.to_thread(call, "GET", f"/storage-commitment/{number}")
                    if said["Status"] != "Pending":
                        return said
                    await asyncio.sleep(0.1)

        whole = await answer(sent["StorageCommitmentTransactionUID"])
        assert whole["Status"] == "Success"
        assert sorted(it["SOPInstanceUID"] for it in whole["Success"]) == uids
        part = await answer(asked["ID"])
        assert part["Status"] == "Failure"
        assert [it["SOPInstanceUID"] for it in part["Success"]] == uids[:1]
        (failed,) = part["Failures"]
        assert failed["SOPInstanceUID"] == "1.2.3"
        assert "NoSuchObjectInstance" in failed["Description"].replace(" ", "") or (
            failed["FailureReason"] == 0x0112
        )
