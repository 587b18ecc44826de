"""What a start shows who stands before a box at which nobody can log in yet."""

from __future__ import annotations

import asyncio
import os
import re

import pytest

from edge.access.roles import Role
from edge.app import Appliance
from edge.commands.welcome import redeemed_at, welcome
from edge.config import Appliance as Named
from edge.config import Config, Http
from edge.index.connection import DatabaseBroken
from edge.loading import load
from edge.opening import Cache
from tests.access.people import GOOD


@pytest.fixture
def configuration(tmp_path):
    path = tmp_path / "edge.toml"
    path.write_text(
        f'[appliance]\ndata_dir = "{tmp_path / "box"}"\n[dimse]\nlisten = "127.0.0.1:0"\n'
        '[http]\nlisten = "127.0.0.1:0"\ntls = "off"\n'
    )
    return path


def inside(configuration, act):
    loaded = load(configuration, {})

    async def do():
        async with Cache(loaded) as cache:
            return await act(cache)

    return asyncio.run(do())


@pytest.mark.parametrize(
    ("http", "where"),
    [
        (Http(), "https://edge-1:8443/welcome"),
        (Http(names=("pacs.example",), listen="0.0.0.0:443"), "https://pacs.example:443/welcome"),
        (Http(listen="[fd00::1]:8443"), "https://[fd00::1]:8443/welcome"),
        (Http(listen="127.0.0.1:80", tls="off"), "http://127.0.0.1:80/welcome"),
    ],
    ids=["by its name", "by another name", "by an address", "without TLS"],
)
def test_a_code_is_redeemed_where_browsers_find_the_box(http, where):
    assert redeemed_at(Config(appliance=Named(name="edge-1"), http=http)) == where


@pytest.fixture
def terminal():
    """A terminal, and what is written to it."""
    ours, theirs = os.openpty()
    yield ours, os.ttyname(theirs)
    os.close(ours)
    os.close(theirs)


def welcomed(configuration, console=""):
    """What a start says to who stands before the box."""
    before = configuration.read_text().partition("[access]")[0]
    configuration.write_text(before + f'[access]\nconsole = "{console}"\n')
    loaded = load(configuration, {})

    async def start():
        async with Appliance(loaded) as box:
            await welcome(box.cache.users, loaded)

    asyncio.run(start())


def test_the_first_code_is_shown_on_the_console_and_nowhere_else(
    configuration, terminal, caplog, capfd
):
    ours, name = terminal
    caplog.set_level("INFO")
    welcomed(configuration, name)
    shown = os.read(ours, 4096).decode()
    [code] = re.findall(r"[0-9A-Z]{4}(?:-[0-9A-Z]{4}){3}", shown)
    assert code not in caplog.text
    said = capfd.readouterr()
    assert code not in said.out + said.err
    user = inside(configuration, lambda cache: cache.users.redeem(code, GOOD, name="anna"))
    assert user.role is Role.ADMIN


def test_without_a_terminal_the_log_says_what_to_do_and_no_code_is_made(configuration, caplog):
    caplog.set_level("INFO")
    welcomed(configuration)
    assert "edge user first-code" in caplog.text
    assert inside(configuration, lambda cache: cache.database.read("SELECT * FROM codes")) == []


def test_a_console_that_is_a_file_is_left_alone(configuration, tmp_path, caplog):
    file = tmp_path / "file"
    file.write_text("precious")
    welcomed(configuration, file)
    assert file.read_text() == "precious"
    assert "is no terminal" in caplog.text


def test_once_there_is_somebody_nothing_is_shown(configuration, terminal, caplog):
    caplog.set_level("INFO")
    welcomed(configuration)
    inside(configuration, lambda cache: cache.users.add("bert", Role.VIEWER))
    caplog.clear()
    welcomed(configuration, terminal[1])
    assert "first-code" not in caplog.text
    assert inside(configuration, lambda cache: cache.users.list())[0].name == "bert"
    assert len(inside(configuration, lambda c: c.database.read("SELECT * FROM codes"))) == 1


def test_an_index_that_is_damaged_meanwhile_stops_no_start(configuration, caplog, monkeypatch):
    loaded = load(configuration, {})

    async def damaged(*_):
        raise DatabaseBroken("index.db is damaged")

    async def start():
        async with Appliance(loaded) as box:
            monkeypatch.setattr(box.cache.users, "is_empty", damaged)
            await welcome(box.cache.users, loaded)

    asyncio.run(start())
    assert "whether anybody can log in is not known: index.db is damaged" in caplog.text
