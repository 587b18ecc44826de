"""``edge user``: codes on standard output, all else beside it."""

from __future__ import annotations

import asyncio
import json
import logging
import re

import pytest

from edge.__main__ import main
from edge.access.emergencies import Emergencies
from edge.access.roles import Role
from edge.access.sessions import Proved, Visitor
from edge.app import Appliance
from edge.commands.words import moment
from edge.loading import load
from edge.opening import Cache
from tests.access.people import GOOD

CODE = re.compile(r"[0-9A-HJKMNP-TV-Z]{4}(-[0-9A-HJKMNP-TV-Z]{4}){3}\n")


@pytest.fixture
def configuration(tmp_path):
    path = tmp_path / "edge.toml"
    path.write_text(
        f'[appliance]\ndata_dir = "{tmp_path / "box"}"\n[dimse]\nlisten = "127.0.0.1:0"\n'
        '[http]\nlisten = "127.0.0.1:0"\ntls = "off"\n'
    )

    loaded = load(path, {})

    async def once():
        async with Appliance(loaded):
            pass

    asyncio.run(once())
    return path


@pytest.fixture
def edge(configuration, capsys):
    def run(*words, status=0):
        assert main(["user", *words, "--config", str(configuration)]) == status
        said = capsys.readouterr()
        return said.out, said.err

    return run


def inside(configuration, act):
    loaded = load(configuration, {})

    async def do():
        async with Cache(loaded) as cache:
            return await act(cache)

    return asyncio.run(do())


def test_the_first_code_makes_the_first_admin_and_is_printed_alone(edge, configuration):
    out, err = edge("first-code")
    assert CODE.fullmatch(out)
    assert out.strip() not in err
    inside(configuration, lambda cache: cache.users.redeem(out, GOOD, name="anna"))
    out, err = edge("first-code", status=1)
    assert out == ""
    assert "there is an admin already" in err
    assert "edge user reset NAME" in err


def test_codes_say_where_they_are_redeemed(edge):
    where = "edge: it is redeemed at http://127.0.0.1:0/welcome\n"
    assert edge("first-code")[1].endswith(where)
    assert edge("add", "bert", "--role", "viewer")[1].endswith(where)
    assert edge("reset", "bert")[1].endswith(where)


def test_somebody_is_invited_and_listed(edge, configuration):
    assert "first-code" in edge("list")[1]
    out, err = edge("add", "bert", "--role", "technologist", "--display-name", "Bert, CT")
    assert CODE.fullmatch(out)
    assert "for bert, once" in err
    inside(configuration, lambda cache: cache.users.redeem(out, GOOD))
    [user] = json.loads(edge("list", "--json")[0])
    assert (user["name"], user["role"], user["state"]) == ("bert", "technologist", "active")
    assert "Bert, CT" in edge("list")[0]
    _, err = edge("add", "bert", "--role", "viewer", status=1)
    assert "there is a user bert" in err


def test_somebody_is_reset_disabled_enabled_promoted_and_removed(edge, configuration):
    edge("add", "bert", "--role", "viewer")
    assert CODE.fullmatch(edge("reset", "bert", "--forget-factors")[0])
    assert "may not log in any more" in edge("disable", "bert")[1]
    assert "edge user reset bert" in edge("enable", "bert")[1]
    assert "is physician now" in edge("role", "bert", "physician")[1]
    assert "is removed" in edge("remove", "bert")[1]
    assert "is no user" in edge("remove", "bert", status=1)[1]
    assert "there is no user bert" in edge("disable", "bert", status=1)[1]


def test_an_act_is_told_once_and_who_was_reset_is_listed_as_such(edge, configuration, caplog):
    caplog.set_level(logging.INFO)
    out, _ = edge("add", "bert", "--role", "viewer")
    inside(configuration, lambda cache: cache.users.redeem(out, GOOD))
    caplog.clear()
    edge("reset", "bert")
    assert re.search(r"^bert +viewer +reset ", edge("list")[0], re.MULTILINE)
    assert edge("logout", "bert")[1] == "edge: bert was not logged in\n"
    edge("disable", "bert")
    assert [one for one in caplog.records if one.name.startswith("edge.access")] == []


def test_the_last_admin_stays(edge, configuration):
    out, _ = edge("first-code")
    inside(configuration, lambda cache: cache.users.redeem(out, GOOD, name="anna"))
    for words in (["disable", "anna"], ["remove", "anna"], ["role", "anna", "viewer"]):
        assert "last active admin" in edge(*words, status=1)[1]


def test_who_is_logged_in_is_listed_and_logged_out(edge, configuration):
    out, _ = edge("add", "bert", "--role", "viewer")

    async def log_in(cache):
        await cache.users.redeem(out, GOOD)
        visitor = Visitor("10.0.0.7", "a browser")
        return await cache.sessions.open("bert", Role.VIEWER, Proved.PASSWORD, visitor)

    secret, session = inside(configuration, log_in)
    assert "10.0.0.7" in edge("sessions")[0]
    assert "10.0.0.7" in edge("sessions", "Bert")[0]
    assert "nobody is logged in" in edge("sessions", "anna")[1]
    [one] = json.loads(edge("sessions", "--json")[0])
    assert one["session_id"] == session.session_id
    assert secret not in str(one)
    assert "at 1 place, and is no more" in edge("logout", "bert")[1]
    assert json.loads(edge("sessions", "--json")[0]) == []


def test_roles_that_there_are_not_are_answered_with_those_that_there_are(capsys):
    with pytest.raises(SystemExit) as ended:
        main(["user", "add", "bert", "--role", "king"])
    assert ended.value.code == 2
    assert "physician" in capsys.readouterr().err


def test_somebody_is_narrowed_listed_and_let_go(edge, configuration):
    edge("add", "bert", "--role", "physician")
    narrowing = "--studies-from", "CT1", "--studies-from", "CT2", "--for", "dicomweb"
    _, said = edge("narrow", "bert", *narrowing)
    assert said == "edge: bert is narrowed: for dicomweb; sees studies from CT1, CT2\n"
    out, _ = edge("list")
    assert out.splitlines()[2].strip() == "for dicomweb; sees studies from CT1, CT2"
    [known] = json.loads(edge("list", "--json")[0])
    assert known["narrowed"]["studies_from"] == ["CT1", "CT2"]
    _, said = edge("narrow", "bert", "--not")
    assert said == "edge: bert is not narrowed\n"
    assert len(edge("list")[0].splitlines()) == 2


def test_nobody_is_narrowed_to_what_their_role_may_not(edge, configuration):
    edge("add", "bert", "--role", "physician")
    _, said = edge("narrow", "bert", "--may", "delete", status=1)
    assert "physician may do nothing of that" in said
    assert edge("narrow", "bert", "--may", "read")[1] == "edge: bert is narrowed: may only read\n"


@pytest.mark.parametrize("words", [(), ("--not", "--studies-from", "CT1"), ("--from", "nowhere")])
def test_what_is_no_narrowing_changes_nothing(edge, configuration, words):
    edge("add", "bert", "--role", "physician")
    _, said = edge("narrow", "bert", *words, status=2)
    assert said.startswith("edge: ")


def test_emergencies_say_whether_they_are_open_and_who_looked_first(edge, configuration):
    open_, over = "0123456789ab", "ba9876543210"

    async def begun(cache):
        def insert(db):
            for name, ended, why in ((open_, 0, ""), (over, 1.7e9 + 60, "ended by hand")):
                db.execute(
                    "INSERT INTO emergencies (emergency_id, session_id, name, issuer, role,"
                    " address, proved, reason, began, until, ended, why_ended) VALUES (?, ?,"
                    " 'bert', '', 'physician', '', '', 'she bleeds', 1.7e9, 1.7e9 + 3600, ?, ?)",
                    (name, name, ended, why),
                )

        await cache.database.write(insert)
        await Emergencies(cache.database).looked(over, "anna")

    inside(configuration, begun)
    out, _ = edge("emergencies")
    assert f", still open, until {moment(1.7e9 + 3600)}  NOT LOOKED AT" in out
    assert f", until {moment(1.7e9 + 60)}, ended by hand  looked at by anna" in out
    assert edge("looked", over)[1].endswith("of bert was looked at by anna before\n")
