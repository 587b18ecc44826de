"""Several archives: one that everything goes to, one that stands in for it, one for copies."""

from __future__ import annotations

from edge import others
from tests import samples
from tests.journeys.modality import dcmsend
from tests.journeys.viewer import as_sent

SLICES = 4


def write_study(folder, *, seed):
    paths = samples.write_series(folder / str(seed), SLICES, rows=256, columns=256, seed=seed)
    return samples.sample_uid(seed, "study"), paths


async def archive_of(box, name, role):
    """Another box, as an archive of the one that is tried."""
    return others.Archive(
        name,
        f"http://127.0.0.1:{box.appliance.http_port}/dicom-web",
        role=role,
        auth=others.Auth("bearer", token=await box.token("service")),
    )


def primary_of(cloud):
    user, password = cloud.auth
    return others.Archive(
        "cloud", cloud.dicomweb, auth=others.Auth("basic", user=user, password=password)
    )


async def until_it_has(box, count):
    async def there() -> bool:
        return (await box.summary()).instances_online == count

    await box.until(there, f"the other box has {count} instances")


async def until_proven(box, archive):
    async def proven() -> bool:
        return not await box.rows(
            "SELECT 1 FROM instances i LEFT JOIN copies c"
            " ON c.instance_id = i.id AND c.archive = ? WHERE c.custody IS NOT 'VERIFIED'",
            archive,
        )

    await box.until(proven, f"{archive} is proven to have everything")


async def test_an_archive_for_copies_gets_what_is_made_here(cloud, open_box, tmp_path):
    first, paths = write_study(tmp_path, seed=71)
    async with open_box(cloud) as box:  # made before there was an archive for copies
        assert await dcmsend(box.dimse_port, *paths) == {"Success": SLICES}
        await box.until_verified(SLICES)
    async with open_box(folder="copies") as copies:
        archives = (await archive_of(copies, "copies", "copy"), primary_of(cloud))
        async with open_box(archives) as box:
            second, more = write_study(tmp_path, seed=72)
            assert await dcmsend(box.dimse_port, *more) == {"Success": SLICES}
            await box.until_verified(2 * SLICES)
            await until_proven(box, "copies")
            status = await box.appliance.cache.status()
            assert {one.name: (one.role, one.unproven) for one in status.archives} == {
                "cloud": ("primary", 0),
                "copies": ("copy", 0),
            }
        for study, sent in ((first, paths), (second, more)):
            assert await copies.viewer.instances(f"/studies/{study}") == as_sent(sent)


async def test_another_archive_stands_in_while_the_primary_one_is_away(cloud, open_box, tmp_path):
    limit = 1_500_000
    async with open_box(folder="other") as other:
        archives = (primary_of(cloud), await archive_of(other, "other", "failover"))
        studies = {}
        async with open_box(
            archives,
            cache={"max_bytes": limit},
            sync={"failover_minutes": 0.02},
        ) as box:
            uid, paths = write_study(tmp_path, seed=80)
            studies[uid] = as_sent(paths)
            assert await dcmsend(box.dimse_port, *paths) == {"Success": SLICES}
            await box.until_verified(SLICES)
            assert (await other.summary()).instances == 0

            cloud.stop()
            # More than fits: what the other has makes room, and intake goes on.
            for seed in range(81, 85):
                uid, paths = write_study(tmp_path, seed=seed)
                studies[uid] = as_sent(paths)
                assert await dcmsend(box.dimse_port, *paths) == {"Success": SLICES}
                await until_it_has(other, (seed - 80) * SLICES)

            async def relieved() -> bool:
                return (await box.summary()).sealed_bytes <= limit

            await box.until(relieved, "eviction makes room")
            custody = await box.custody()
            assert custody["EDGE_ONLY"] + custody["SENT"] == 4 * SLICES
            assert await box.rows("SELECT 1 FROM instances WHERE availability = 'NEARLINE'")
            assert await box.viewer.instances(f"/studies/{uid}") == studies[uid]

            cloud.start()
            await box.until_verified(len(studies) * SLICES, seconds=120)
        listed = cloud.request("GET", "/instances").json()
        assert len(listed) == len(studies) * SLICES
