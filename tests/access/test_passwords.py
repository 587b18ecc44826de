"""Passwords: which may be, what is kept, and what it costs."""

import asyncio

import pytest

from edge.access.passwords import Cost, Passwords, fault_of
from edge.errors import TooManyAttempts
from tests.access.people import CHEAP, GOOD


async def test_only_an_argon2id_hash_is_kept():
    kept = await Passwords().hash(GOOD)
    assert kept.startswith("$argon2id$v=19$m=47104,t=2,p=1$")
    assert GOOD not in kept
    assert kept != await Passwords().hash(GOOD)


async def test_a_password_fits_its_hash_and_no_other():
    passwords = Passwords(CHEAP)
    kept = await passwords.hash(GOOD)
    assert await passwords.fits(GOOD, kept)
    for wrong in ("", GOOD + " ", GOOD.upper(), GOOD[:-1], "x" * 1000, "\ud800"):
        assert not await passwords.fits(wrong, kept)


async def test_who_has_no_password_has_none_that_fits():
    assert not await Passwords(CHEAP).fits("", "")
    assert not await Passwords(CHEAP).fits(GOOD, "")


async def test_an_accent_fits_however_the_keyboard_sends_it():
    passwords = Passwords(CHEAP)
    kept = await passwords.hash("fünf stille Lampen")
    assert await passwords.fits("fu\u0308nf stille Lampen", kept)


async def test_a_hash_of_another_cost_is_compared_and_outdated():
    before, now = Passwords(CHEAP), Passwords(Cost(memory_kib=128, iterations=1))
    kept = await before.hash(GOOD)
    assert not before.is_outdated(kept)
    assert now.is_outdated(kept)
    assert await now.fits(GOOD, kept)
    assert not now.is_outdated(await now.hash(GOOD))


async def test_two_at_a_time_and_a_crowd_is_told_to_come_again(monkeypatch):
    running, most = 0, 0
    go_on = asyncio.Event()

    async def in_a_thread(call, *arguments):
        nonlocal running, most
        running += 1
        most = max(most, running)
        await go_on.wait()
        running -= 1
        return call(*arguments)

    monkeypatch.setattr("edge.access.passwords.asyncio.to_thread", in_a_thread)
    passwords = Passwords(CHEAP)
    crowd = [asyncio.ensure_future(passwords.hash(GOOD)) for _ in range(64)]
    await asyncio.sleep(0)
    with pytest.raises(TooManyAttempts):
        await passwords.fits(GOOD, "")
    go_on.set()
    assert len(set(await asyncio.gather(*crowd))) == 64
    assert most == 2
    assert await passwords.fits(GOOD, await passwords.hash(GOOD))


@pytest.mark.parametrize(
    "password",
    [
        GOOD,
        "correct horse battery",
        "zehn kleine Zebras",
        "Kf7!qPz2mL",
        "пять тихих ламп",
        "x7" + "ab cd ef gh ij" * 17,
    ],
)
def test_a_good_password_may_be(password):
    assert fault_of(password, "anna", "edge", "Dr. Anna Bauer") == ""


@pytest.mark.parametrize(
    ("password", "fault"),
    [
        ("", "less than 10"),
        ("short", "less than 10"),
        ("x" * 257, "more than 256"),
        ("aaaaaaaaaaaa", "pattern"),
        ("1234567890", "pattern"),
        ("0987654321", "pattern"),
        ("qwertyuiop", "pattern"),
        ("abcdefghij", "pattern"),
        ("121212121212", "pattern"),
        ("password123", "guessed first"),
        ("P@ssw0rd123", "guessed first"),
        ("Password2024!", "guessed first"),
        ("passwordpassword", "guessed first"),
        ("Willkommen1", "guessed first"),
        ("admin123456", "guessed first"),
        ("anna.bauer1", "name"),
        ("AnnaBauer2024", "name"),
        ("annaannaanna", "pattern"),
        ("anna-password", "guessed first"),
        ("edge-box-1!", "name"),
    ],
)
def test_what_is_guessed_first_may_not_be(password, fault):
    assert fault in fault_of(password, "edge-box", "anna", "Dr. Anna Bauer")


def test_no_kinds_of_characters_are_asked_for():
    assert fault_of("nothing but small letters") == ""
