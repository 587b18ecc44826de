"""A file is known again by its numbers and its content, and forgotten once it is gone."""

import asyncio
import dataclasses

import pytest

from edge.dropfolder.memory import Memory
from edge.dropfolder.tree import Changed, DropTree


@pytest.fixture
def tree(drop):
    return DropTree(drop)


@pytest.fixture
def memory(tree, leftovers):
    return Memory(tree, leftovers)


async def scan(tree):
    return await asyncio.to_thread(tree.scan)


async def listed(drop, tree, **contents):
    for name, data in contents.items():
        (drop / name).write_bytes(data)
    return sorted((await scan(tree)).files, key=lambda entry: entry.parts)


async def test_another_run_knows_what_this_one_kept(drop, tree, memory, leftovers):
    one, two, three = await listed(drop, tree, a=b"1", b=b"22", c=b"333")
    await memory.keep([one], is_whole=True)
    await memory.keep([two], is_whole=False)
    later = Memory(tree, leftovers)
    assert await later.recall(one) is None
    await later.load()
    known = [await later.recall(entry) for entry in (one, two, three)]
    assert [each and each.is_whole for each in known] == [True, False, None]


async def test_another_number_of_its_device_does_not_make_it_a_new_file(drop, tree, leftovers):
    (entry,) = await listed(drop, tree, a=b"1")
    before = Memory(tree, leftovers)
    await before.keep([entry], is_whole=True)
    (noted,) = await leftovers.all()
    await leftovers.keep([dataclasses.replace(noted, device=noted.device + 1)])
    memory = Memory(tree, leftovers)
    await memory.load()
    assert await memory.recall(entry)
    await memory.forget_absent(await scan(tree))
    assert len(await leftovers.all()) == 1


async def test_equal_numbers_do_not_make_it_the_same_file(drop, tree, memory, leftovers):
    (entry,) = await listed(drop, tree, a=b"1")
    await memory.keep([entry], is_whole=True)
    (noted,) = await leftovers.all()
    await leftovers.keep([dataclasses.replace(noted, digest=bytes(32))])
    later = Memory(tree, leftovers)
    await later.load()
    assert await later.recall(entry) is None
    await later.keep([entry], is_whole=True)
    assert await leftovers.all() == [noted]


async def test_a_file_that_is_gone_is_forgotten(drop, tree, memory, leftovers):
    one, two = await listed(drop, tree, a=b"1", b=b"2")
    await memory.keep([one, two], is_whole=True)
    (drop / "a").unlink()
    await memory.forget_absent(await scan(tree))
    assert await memory.recall(one) is None
    assert await memory.recall(two)
    assert [each.inode for each in await leftovers.all()] == [two.inode]


async def test_a_disk_that_is_out_takes_no_memory_with_it(drop, tree, memory, leftovers):
    (entry,) = await listed(drop, tree, a=b"1")
    await memory.keep([entry], is_whole=True)
    empty = dataclasses.replace(await scan(tree), files=())
    device, inode = empty.root
    await memory.forget_absent(dataclasses.replace(empty, root=(device + 1, inode)))
    await memory.forget_absent(dataclasses.replace(empty, unreadable=1))
    assert len(await leftovers.all()) == 1
    await memory.forget_absent(empty)
    assert await leftovers.all() == []


async def test_a_file_that_changed_is_not_kept_and_hinders_no_other(drop, tree, memory, leftovers):
    one, two = await listed(drop, tree, a=b"1", b=b"2")
    (drop / "a").write_bytes(b"another")
    await memory.keep([one, two], is_whole=True)
    assert [each.inode for each in await leftovers.all()] == [two.inode]
    later = Memory(tree, leftovers)
    await later.load()
    (drop / "b").write_bytes(b"another")
    with pytest.raises(Changed):
        await later.recall(two)
