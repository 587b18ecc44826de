"""What comes out of one file or medium, and what is said of the rest."""

import asyncio
import io
import zipfile

import pytest

from edge.dropfolder.media import units
from edge.dropfolder.memory import Memory
from edge.dropfolder.reception import Reception
from edge.dropfolder.tree import Changed, DropTree
from edge.dropfolder.zipped import ZipLimits
from edge.errors import StorageFull
from tests import samples

CT = samples.packaged_file("CT_small.dcm").read_bytes()
MR = samples.packaged_file("MR_small.dcm").read_bytes()
DICOMDIR = (samples.dicomdir_media() / "DICOMDIR").read_bytes()


def zipped(contents):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in contents.items():
            archive.writestr(name, data)
    return buffer.getvalue()


@pytest.fixture
def receive(drop, admission, leftovers):
    """Receives the only unit that the given files make."""

    async def run(contents, limits=None):
        for name, data in contents.items():
            path = drop / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
        tree = DropTree(drop)
        (unit,) = units((await asyncio.to_thread(tree.scan)).files)
        return await Reception(
            tree, admission, Memory(tree, leftovers), limits or ZipLimits()
        ).receive(unit)

    return run


async def test_nothing_is_moved_or_deleted(receive, drop):
    await receive({"a": CT})
    assert (drop / "a").exists()


async def test_a_data_set_without_file_meta_is_bad(receive):
    verdict = await receive({"a": samples.packaged_file("no_meta.dcm").read_bytes()})
    assert "PS3.10 7.1" in verdict.bad[("a",)]


async def test_litter_is_neither_admitted_nor_bad(receive):
    verdict = await receive({"Thumbs.db": b"x"})
    assert (verdict.admitted, verdict.bad) == (0, {})


async def test_a_dicomdir_alone_is_neither_admitted_nor_bad(receive):
    verdict = await receive({"DICOMDIR": DICOMDIR})
    assert (verdict.admitted, verdict.bad) == (0, {})


async def test_what_is_good_in_an_archive_is_admitted_and_the_rest_named(receive, admission):
    verdict = await receive(
        {
            "a.zip": zipped(
                {
                    "1/ct": CT,
                    "2/mr": MR,
                    "cut": CT[:20000],
                    "letter\n.txt": b"text",
                    "inner.zip": zipped({"x": CT}),
                    "__MACOSX/._ct": b"x",
                    "empty": b"",
                }
            )
        }
    )
    assert verdict.admitted == len(admission.stored) == 2
    reason = verdict.bad[("a.zip",)]
    assert reason.startswith("of this archive, 2 files were admitted; these were not:\n")
    lines = reason.splitlines()[1:]
    assert [line.split(":")[0].strip() for line in lines] == [
        "cut",
        "letter?.txt",
        "inner.zip",
        "empty",
    ]


async def test_a_zipped_medium_may_carry_a_viewer(receive, admission):
    verdict = await receive(
        {"a.zip": zipped({"cd/DICOMDIR": DICOMDIR, "cd/IM1": CT, "cd/viewer.exe": b"MZ"})}
    )
    assert (verdict.admitted, verdict.bad) == (1, {})


async def test_a_reason_does_not_name_a_thousand_files(receive):
    verdict = await receive({"a.zip": zipped({f"{number}": b"x" for number in range(1000)})})
    reason = verdict.bad[("a.zip",)]
    assert len(reason.splitlines()) == 102
    assert reason.endswith("and 900 more")


async def test_a_bomb_is_bad(receive, admission):
    verdict = await receive({"a.zip": zipped({"a": bytes(10**6)})}, ZipLimits(free_bytes=1000))
    assert "would become 1000000" in verdict.bad[("a.zip",)]
    assert admission.calls == 0


async def test_a_damaged_member_does_not_hide_the_others(receive, admission):
    data = bytearray(zipped({"a": CT, "b": MR}))
    data[5000] ^= 0xFF
    verdict = await receive({"a.zip": bytes(data)})
    assert list(admission.stored.values()) == [MR]
    assert "1 file was admitted" in verdict.bad[("a.zip",)]


async def test_an_archive_on_a_medium_gives_its_instances(receive, admission):
    verdict = await receive(
        {"cd/DICOMDIR": DICOMDIR, "cd/extra.zip": zipped({"a": CT, "help.html": b"<"})}
    )
    assert (verdict.admitted, verdict.bad) == (1, {})


async def test_a_file_that_changes_under_our_hands_says_nothing(drop, admission, leftovers):
    tree = DropTree(drop)
    (drop / "a").write_bytes(CT)
    (unit,) = units((await asyncio.to_thread(tree.scan)).files)
    (drop / "a").write_bytes(MR)
    with pytest.raises(Changed):
        await Reception(tree, admission, Memory(tree, leftovers), ZipLimits()).receive(unit)


async def test_a_full_cache_is_no_ones_fault(receive, admission):
    admission.is_full = True
    with pytest.raises(StorageFull):
        await receive({"a": CT})
