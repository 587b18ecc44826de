"""Priors, reports and pinned studies are here before anybody asks for them."""

from __future__ import annotations

from datetime import date, timedelta

from tests.journeys.modality import dcmsend, dcmtk
from tests.patients import made, study_uid

TODAY = date.today()  # noqa: DTZ011 - the box goes by the clock on the wall, too
LAST_YEAR = TODAY - timedelta(days=365)


def put(cloud, *args, **kwargs):
    parts = made(*args, **kwargs)
    for part in parts:
        cloud.store(part.data)
    return parts


def write(folder, *args, **kwargs):
    folder.mkdir(exist_ok=True)
    paths = []
    for number, part in enumerate(made(*args, **kwargs)):
        paths.append(folder / f"{args[0]}-{number}.dcm")
        paths[-1].write_bytes(part.data)
    return paths


async def until_here(box, name, count):
    async def here() -> bool:
        rows = await box.rows(
            "SELECT count(*) FROM instances i JOIN studies s ON s.id = i.study_id"
            " WHERE s.study_uid = ? AND i.availability = 'ONLINE'",
            study_uid(name),
        )
        return rows[0][0] == count

    await box.until(here, f"{count} instances of {name} are here")


async def until_swept(box):
    async def swept() -> bool:
        return bool(await box.rows("SELECT 1 FROM archives WHERE online = 1"))

    await box.until(swept, "the archive is reached")


async def test_a_new_ct_arrives_and_its_priors_come_by_themselves(cloud, open_box, tmp_path):
    rules = ("CT: 2 within 3 years of CT,MR same body part",)
    async with open_box(cloud, sync={"prefetch": rules, "sweep_minutes": 60}) as box:
        await until_swept(box)
        # After the sweep: only asking about the patient can find these now.
        chest = {"body_part": "CHEST"}
        put(cloud, "ct", "P1", day=LAST_YEAR, **chest)
        put(cloud, "mr", "P1", modality="MR", day=LAST_YEAR - timedelta(days=9), **chest)
        put(cloud, "us", "P1", modality="US", day=LAST_YEAR, **chest)
        put(cloud, "old", "P1", day=LAST_YEAR - timedelta(days=2000), **chest)
        put(cloud, "another's", "P2", day=LAST_YEAR, **chest)
        put(cloud, "us", "P1", modality="SR", day=LAST_YEAR, series=2, slices=1)

        (path, *_) = write(tmp_path / "new", "new", "P1", day=TODAY, slices=1, **chest)
        ran = await dcmtk("storescu", box.dimse_port, path)
        assert ran.has_succeeded, ran.output

        await until_here(box, "ct", 2)
        await until_here(box, "mr", 2)
        await until_here(box, "us", 1)  # its report
        rows = await box.rows(
            "SELECT DISTINCT s.study_uid FROM instances i JOIN studies s ON s.id = i.study_id"
            " WHERE i.availability = 'ONLINE'"
        )
        assert {uid for (uid,) in rows} == {study_uid(name) for name in ("new", "ct", "mr", "us")}
        await cloud.stopped()
        found = await box.viewer.instances(f"/studies/{study_uid('ct')}")
        assert len(found) == 2
        await cloud.started()


async def test_a_report_that_comes_later_is_fetched(cloud, open_box, tmp_path):
    sync = {"prefetch": (), "sweep_minutes": 0.02}
    async with open_box(cloud, sync=sync) as box:
        paths = write(tmp_path / "new", "study", "P1", day=TODAY)
        assert await dcmsend(box.dimse_port, *paths) == {"Success": 2}
        await box.until_verified(2)
        put(cloud, "study", "P1", modality="SR", day=TODAY, series=7, slices=1)
        await until_here(box, "study", 3)
        status = (await box.appliance.cache.status()).as_json()
        assert status["prefetch"]["studies"] == 0


async def test_a_program_announces_a_patient_and_his_priors_are_here_before_him(cloud, open_box):
    put(cloud, "prior", "P1", day=LAST_YEAR)
    put(cloud, "another's", "P2", day=LAST_YEAR)
    sync = {"prefetch": ("any: 3 within 5 years",), "prefetch_hours": ()}
    async with open_box(cloud, sync=sync) as box, await box.client("service") as ris:
        api = f"http://127.0.0.1:{box.appliance.http_port}/api/v1"
        answer = await ris.http.post(f"{api}/expected", json=[{"patient_id": "P1"}])
        assert answer.json() == {"changed": 1}
        (item,) = (await ris.http.get(f"{api}/expected")).json()["items"]
        assert item["date"] == f"{date.today() + timedelta(days=1):%Y%m%d}"  # noqa: DTZ011
        await until_here(box, "prior", 2)
        await until_here(box, "another's", 0)
        assert (await ris.http.delete(f"{api}/expected")).json() == {"changed": 1}


async def test_a_pinned_study_is_fetched_and_stays_through_eviction(cloud, open_box, tmp_path):
    put(cloud, "teaching", "P1", day=LAST_YEAR, size=100_000)
    async with open_box(cloud, cache={"max_bytes": 2_000_000}) as box:
        await until_swept(box)
        viewer = await box.client("physician")
        api = f"http://127.0.0.1:{box.appliance.http_port}/api/v1"
        async with viewer:
            pin = {"kind": "study", "value": study_uid("teaching")}
            assert (await viewer.http.post(f"{api}/pins", json=pin)).json() == {"changed": 1}
            await until_here(box, "teaching", 2)
            sent = 0
            for number in range(7):
                name = f"crowd {number}"
                paths = write(tmp_path / "crowd", name, name, day=TODAY, slices=4, size=100_000)
                assert await dcmsend(box.dimse_port, *paths) == {"Success": 4}
                sent += 4
                await box.until_verified(sent + 2)

            async def relieved() -> bool:
                return (await box.summary()).sealed_bytes <= 0.95 * 2_000_000

            await box.until(relieved, "eviction makes room")
            rows = await box.rows("SELECT count(*) FROM instances WHERE availability = 'NEARLINE'")
            assert rows[0][0] > 8
            await until_here(box, "teaching", 2)
            (listed,) = (await viewer.http.get(f"{api}/pins")).json()
            assert (listed["instances"], listed["here"]) == (2, 2)
            assert (await viewer.http.delete(f"{api}/pins", params=pin)).json() == {"changed": 1}
