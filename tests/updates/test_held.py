"""The folder of updates as root has it: nothing leads it elsewhere."""

from __future__ import annotations

import os
import stat
import threading
from pathlib import Path

import pytest

from edge.errors import UpdateRefused
from edge.updates.held import LOCK, alone, held
from edge.updates.history import Deed
from edge.updates.journal import Order

SERVICE = 987
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")


@pytest.fixture
def data(folder):
    return folder.path.parent


@pytest.fixture
def elsewhere(tmp_path):
    """A folder of root's."""
    made = tmp_path / "elsewhere"
    made.mkdir()
    (made / "order.json").write_text("{}")
    return made


def test_it_is_the_folder(data, folder):
    folder.write_order(Order(act="return", version="1.1"))
    with held(data) as found:
        assert found.order() == folder.order()
        found.note(Deed.BAD, "1.1")
        found.write_begun("1.1", 2)
        assert found.begun("1.1") == 2
        found.write_begun("1.1", 0)
        found.drop_order()
    assert (folder.order(), folder.begun("1.1")) == (None, 0)
    assert [entry.deed for entry in folder.history()] == [Deed.BAD]


@as_root
def test_it_is_made_for_whoever_owns_the_data(data):
    os.chown(data, SERVICE, SERVICE)
    with held(data) as found:
        found.note(Deed.WRITTEN, "1.1")
    for path in (data / "update", data / "update/history.jsonl"):
        assert path.stat().st_uid == SERVICE
    assert stat.S_IMODE((data / "update").stat().st_mode) == 0o700


def test_a_link_in_its_place_is_not_followed(data, elsewhere):
    (data / "update").symlink_to(elsewhere)
    with pytest.raises(UpdateRefused, match="can't be used"), held(data):
        pass
    assert [path.name for path in elsewhere.iterdir()] == ["order.json"]


@as_root
def test_a_folder_of_somebody_else_is_not_taken(data, elsewhere):
    os.chown(data, SERVICE, SERVICE)
    elsewhere.rename(data / "update")
    with pytest.raises(UpdateRefused, match="does not belong"), held(data):
        pass


def test_what_gets_its_name_meanwhile_is_left_alone(data, elsewhere):
    with held(data) as found:
        (data / "update").rename(data / "moved")
        (data / "update").symlink_to(elsewhere)
        found.note(Deed.WRITTEN, "1.1")
        found.drop_order()
    assert [path.name for path in elsewhere.iterdir()] == ["order.json"]
    assert (data / "moved/history.jsonl").exists()


def test_links_in_it_are_not_followed(data, elsewhere):
    secret = elsewhere / "secret"
    secret.write_text('{"version": "1.1", "times": 3}')
    with held(data) as found:
        (found.path / "begun").symlink_to(secret)
        assert found.begun("1.1") == 0
        found.write_begun("1.1", 1)
        assert found.begun("1.1") == 1
    assert "3" in secret.read_text()


# One root at a time -------------------------------------------------------------------------------


def test_one_root_writes_at_a_time(tmp_path):
    lock = tmp_path / "lock"
    with alone(lock, 0.0):
        assert stat.S_IMODE(lock.stat().st_mode) == 0o600
        refused = pytest.raises(UpdateRefused, match="another update is being written")
        with refused, alone(lock, 0.0):
            pytest.fail("two of them write")
    with alone(lock, 0.0):
        pass


def test_who_waits_comes_after_the_other_one(tmp_path):
    lock, done = tmp_path / "lock", []

    def second():
        with alone(lock, 30.0):
            done.append("second")

    with alone(lock, 0.0):
        waiting = threading.Thread(target=second)
        waiting.start()
        waiting.join(0.3)
        done.append("first")
    waiting.join(30.0)
    assert done == ["first", "second"]


def test_a_root_that_was_killed_holds_up_nobody(tmp_path):
    lock = tmp_path / "lock"
    child = os.fork()
    if not child:
        alone(lock, 0.0).__enter__()
        os._exit(0)
    os.waitpid(child, 0)
    with alone(lock, 0.0):
        pass


def test_no_link_leads_the_lock_elsewhere(tmp_path, elsewhere):
    (tmp_path / "lock").symlink_to(elsewhere / "order.json")
    with pytest.raises(UpdateRefused, match="symbolic links"), alone(tmp_path / "lock", 0.0):
        pass


def test_the_lock_is_where_root_alone_writes(tmp_path):
    assert LOCK.parent.parent == Path("/run")
    lock = tmp_path / "update" / "lock"
    with alone(lock, 0.0):
        assert stat.S_IMODE(lock.parent.stat().st_mode) == 0o700
