"""A small disk: what the cloud is verified to have makes room, and nothing else ever does."""

from __future__ import annotations

from tests import samples
from tests.journeys.modality import dcmsend, send
from tests.journeys.viewer import as_sent

SLICES = 4
"""Of 128 KiB each."""
OUT_OF_RESOURCES = 0xA700


def write_study(folder, *, seed):
    paths = samples.write_series(folder / str(seed), SLICES, rows=256, columns=256, seed=seed)
    return samples.sample_uid(seed, "study"), paths


async def availability(box):
    return {
        uid: (here, custody)
        for uid, here, custody in await box.rows(
            "SELECT sop_uid, availability, custody FROM instances"
        )
    }


async def until_below(box, marks):
    async def relieved() -> bool:
        return (await box.summary()).sealed_bytes <= marks

    await box.until(relieved, "eviction makes room")


async def test_verified_studies_make_room_and_reopen_from_the_cloud(cloud, open_box, tmp_path):
    limit = 2_000_000
    studies = {}
    async with open_box(cloud, cache={"max_bytes": limit}) as box:
        for number in range(1, 8):
            uid, paths = write_study(tmp_path, seed=50 + number)
            studies[uid] = as_sent(paths)
            assert await dcmsend(box.dimse_port, *paths) == {"Success": len(paths)}
            await box.until_verified(number * SLICES)
        await until_below(box, limit)

        there = await availability(box)
        assert {custody for _, custody in there.values()} == {"VERIFIED"}
        evicted = {uid for uid, (here, _) in there.items() if here == "NEARLINE"}
        assert len(evicted) >= 3 * SLICES
        # The longest unused went first: what came last is here.
        assert evicted.isdisjoint(studies[uid])

        async def only_the_rest() -> bool:
            here = [one for one, _ in (await availability(box)).values() if one == "ONLINE"]
            return len(box.files()) == len(here) <= 7 * SLICES - len(evicted)

        # Its row says so before an object is deleted.
        await box.until(only_the_rest, "of what was evicted no file is left")

        for uid, expected in studies.items():
            assert await box.viewer.instances(f"/studies/{uid}") == expected
        await until_below(box, limit)


async def test_what_the_cloud_lost_meanwhile_stays_and_is_given_to_it_again(
    cloud, open_box, tmp_path
):
    studies = dict(write_study(tmp_path, seed=70 + number) for number in range(1, 6))
    async with open_box(cloud, cache={"max_bytes": 2_000_000}) as box:
        lost, *others = studies.values()
        assert await dcmsend(box.dimse_port, *lost) == {"Success": SLICES}
        await box.until_verified(SLICES)

        async def looked_into() -> bool:
            return bool(await box.rows("SELECT 1 FROM studies WHERE fingerprint <> ''"))

        # As for priors of its patient: later, that would miss them before eviction does.
        await box.until(looked_into, "the study is known as the cloud lists it")
        for instance in cloud.request("GET", "/instances").json()[1:]:
            cloud.request("DELETE", f"/instances/{instance}")
        for number, paths in enumerate(others, 2):
            assert await dcmsend(box.dimse_port, *paths) == {"Success": SLICES}
            await box.until_verified(number * SLICES)
        await until_below(box, 2_000_000)

        async def given_again() -> bool:
            return set(as_sent(lost)) <= set(cloud.sop_uids())

        await box.until(given_again, "the cloud has again what it lost")
        await box.until_verified(5 * SLICES)
        for uid, paths in studies.items():
            assert await box.viewer.instances(f"/studies/{uid}") == as_sent(paths)


async def test_what_no_cloud_has_stays_and_intake_is_refused_until_the_cloud_is_back(
    cloud, open_box, tmp_path
):
    limit = 2_000_000
    first_uid, first = write_study(tmp_path, seed=61)
    async with open_box(cloud, cache={"max_bytes": limit}) as box:
        assert await dcmsend(box.dimse_port, *first) == {"Success": len(first)}
        await box.until_verified(SLICES)
        await cloud.stopped()

        kept, refused = {}, []
        for seed in range(62, 68):
            uid, paths = write_study(tmp_path, seed=seed)
            statuses = [(await send(box.dimse_port, [path]), path) for path in paths]
            kept[uid] = as_sent([path for status, path in statuses if status == {0: 1}])
            refused += [(status, path) for status, path in statuses if status != {0: 1}]
        assert refused
        assert all(status == {OUT_OF_RESOURCES: 1} for status, _ in refused)

        # The verified study has made room; all that was answered for is here.
        there = await availability(box)
        assert {here for here, custody in there.values() if custody != "VERIFIED"} == {"ONLINE"}
        assert "NEARLINE" in {here for here, custody in there.values() if custody == "VERIFIED"}
        for uid, expected in kept.items():
            if expected:
                assert await box.viewer.instances(f"/studies/{uid}") == expected

        await cloud.started()
        await box.until_verified(len(there))
        await until_below(box, limit)
        assert await send(box.dimse_port, [path for _, path in refused]) == {0: len(refused)}
        assert await box.viewer.instances(f"/studies/{first_uid}") == as_sent(first)
