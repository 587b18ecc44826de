"""Lists that are cut by their archive, and change while they are read."""

import pytest

from edge.cloud.paging import all_rows

KEY = "00080018"


class Changing:
    """A list that is given in pages; *between* changes it before each page but the first."""

    def __init__(self, names, cap, between=lambda names, page: None):
        self.names = list(names)
        self.cap = cap
        self.between = between
        self.asked = []

    async def read(self, offset):
        if self.asked:
            self.between(self.names, len(self.asked))
        self.asked.append(offset)
        return [row(name) for name in self.names[offset:][: self.cap]]


def row(name):
    return {KEY: {"vr": "UI", "Value": [name]}}


def numbers(rows):
    return [it[KEY]["Value"][0] for it in rows]


def names(count):
    return [f"1.2.{number}" for number in range(count)]


@pytest.mark.parametrize("cap", [100, 200, 1000, 10**6])
@pytest.mark.parametrize("count", [0, 1, 99, 100, 101, 199, 200, 201, 999, 1000, 1001, 2500])
async def test_every_row_is_given_once(cap, count):
    archive = Changing(names(count), cap)
    assert numbers(await all_rows(archive.read, KEY)) == names(count)


async def test_a_short_list_is_one_request():
    archive = Changing(names(99), 200)
    await all_rows(archive.read, KEY)
    assert archive.asked == [0]


@pytest.mark.parametrize("cap", [100, 200, 1000])
async def test_what_is_deleted_in_front_hides_nothing(cap):
    def delete(them, page):
        if page == 1:
            del them[5]

    archive = Changing(names(2 * cap + 50), cap, delete)
    assert set(numbers(await all_rows(archive.read, KEY))) == set(names(2 * cap + 50))


async def test_as_many_that_come_as_go_hide_nothing():
    def exchange(them, page):
        if page == 2:
            del them[:3]
            them.extend(["1.3.1", "1.3.2", "1.3.3"])

    archive = Changing(names(450), 100, exchange)
    found = set(numbers(await all_rows(archive.read, KEY)))
    assert set(names(450)) <= found | set(names(3))
    assert {"1.3.1", "1.3.2", "1.3.3"} <= found


async def test_what_comes_in_front_repeats_nothing():
    def insert(them, page):
        if page == 1:
            them.insert(0, "1.3.1")

    archive = Changing(names(250), 100, insert)
    found = numbers(await all_rows(archive.read, KEY))
    assert sorted(found) == sorted([*names(250), "1.3.1"])


async def test_a_whole_page_that_comes_in_front_hides_nothing():
    def insert(them, page):
        if page == 1:
            them[:0] = [f"1.3.{number}" for number in range(120)]

    archive = Changing(names(450), 100, insert)
    assert set(names(450)) <= set(numbers(await all_rows(archive.read, KEY)))


async def test_a_list_that_is_never_the_same_ends():
    archive = Changing(names(450), 100, lambda them, page: them.reverse())
    await all_rows(archive.read, KEY)
    assert len(archive.asked) < 30


async def test_an_archive_that_ignores_offsets_is_asked_twice():
    archive = Changing(names(450), 100)

    async def read(offset):
        return await archive.read(0)

    assert numbers(await all_rows(read, KEY)) == names(100)
    assert len(archive.asked) == 2


async def test_rows_without_a_uid_are_left_out():
    async def read(offset):
        return [row("1.2"), {}, {KEY: {"vr": "UI"}}]

    assert numbers(await all_rows(read, KEY)) == ["1.2"]
