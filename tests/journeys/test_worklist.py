"""The worklist of a whole box: from upstream to scanner, with the line up and down."""

from __future__ import annotations

import asyncio
from datetime import datetime

from edge import others
from tests.ports import free_port
from tests.worklists import day, find, item, save, wlmscpfs

SCANNER = others.Peer("CT1", may=("worklist",))
STEP = "ScheduledProcedureStepSequence[0]"
TODAYS = ["StudyInstanceUID", f"{STEP}.ScheduledStationAETitle=CT1", f"{STEP}.Modality=CT",
          f"{STEP}.ScheduledProcedureStepStartDate={day()}"]  # fmt: skip


def upstream(port, **fields):
    fields = {"ae_title": "WORKLIST", "host": "127.0.0.1", "interval_seconds": 0.3} | fields
    return others.WorklistSource("ris", "dicom", port=port, **fields)


def sections(*sources):
    return {
        "dimse": {"unknown_peers": "reject", "peer": (SCANNER,)},
        "worklist": {"source": sources},
    }


async def seen(box, folder):
    return {one.StudyInstanceUID[-1] for one in await find(box.dimse_port, folder, TODAYS)}


async def until_listed(box, wanted):
    async def listed() -> bool:
        page = await box.appliance.cache.worklist.page(limit=100, offset=0)
        return {one.step_id for one in page.items} == wanted

    await box.until(listed, f"{wanted} are on the worklist")


async def test_scanners_get_their_worklist_while_the_upstream_is_away_and_the_box_restarts(
    open_box, tmp_path
):
    port, folder, out = free_port(), tmp_path / "WORKLIST", tmp_path / "out"
    folder.mkdir()
    save(item(1), folder / "1.wl")
    save(item(2, when=day(1)), folder / "2.wl")
    async with wlmscpfs(tmp_path, port), open_box(**sections(upstream(port))) as box:
        await until_listed(box, {"SPS1", "SPS2"})
        assert await seen(box, out) == {"1"}
        expected = await box.rows("SELECT patient_id, source FROM expected ORDER BY 1")
        assert expected == [("P1", "[worklist] ris"), ("P2", "[worklist] ris")]
    async with open_box(**sections(upstream(port))) as box:
        # Nobody answers there now.
        assert await seen(box, out) == {"1"}

        async def told() -> bool:
            return "Worklist ris can't be renewed" in (await box.appliance.status()).sentence

        await box.until(told, "the status says that the upstream is away")
        (state, *_) = (await box.appliance.status()).worklist
        assert state.steps == 2
        assert state.failing_since > state.succeeded
        save(item(3), folder / "3.wl")
        (folder / "1.wl").unlink()
        async with wlmscpfs(tmp_path, port):
            await until_listed(box, {"SPS2", "SPS3"})
            assert await seen(box, out) == {"3"}

            async def renewed() -> bool:
                return not await told()

            await box.until(renewed, "the status says nothing of it any more")
            assert "ris" not in (await box.appliance.status()).sentence


async def test_folder_and_form_and_upstream_are_one_list(open_box, tmp_path):
    port, folder, files = free_port(), tmp_path / "WORKLIST", tmp_path / "wl"
    folder.mkdir()
    files.mkdir()
    save(item(1), folder / "1.wl")
    save(item(2), files / "2.wl")
    save(item(1, name="ANOTHER^NAME"), files / "1.wl")
    local = others.WorklistSource("folder", "folder", path=files, interval_seconds=5.0)
    async with (
        wlmscpfs(tmp_path, port),
        open_box(**sections(upstream(port), local)) as box,
        await box.client("technologist") as technologist,
    ):
        form = {
            "patient_name": "ROE^RICHARD",
            "patient_id": "P9",
            "modality": "CT",
            "station_ae_title": "CT1",
            "study_uid": "1.2.9",
            "date": f"{datetime.strptime(day(), '%Y%m%d'):%Y-%m-%d}",  # noqa: DTZ007
        }
        url = f"http://127.0.0.1:{box.appliance.http_port}/api/v1/worklist"
        answer = await technologist.http.post(url, json=form)
        assert answer.status_code == 200, answer.text
        (added,) = answer.json()
        await until_listed(box, {"SPS1", "SPS2", added["step_id"]})
        assert await seen(box, tmp_path / "out") == {"1", "2", "9"}
        page = (await technologist.http.get(url)).json()
        names = {one["step_id"]: one["patient_name"] for one in page["items"]}
        assert names["SPS1"] == "DOE^JANE"
        sources = (await technologist.http.get(f"{url}/sources")).json()
        assert [(one["name"], one["steps"]) for one in sources] == [
            ("ris", 1),
            ("folder", 2),
            ("api", 1),
        ]
        await asyncio.to_thread((folder / "1.wl").unlink)

        async def local_one() -> bool:
            page = await box.appliance.cache.worklist.page(limit=10, offset=0)
            return "ANOTHER^NAME" in {one.patient_name for one in page.items}

        await box.until(local_one, "the folder's own item counts now")
