"""The folder on a medium that anybody may have written."""

from __future__ import annotations

import asyncio
import contextlib
import os
import resource
from pathlib import Path

import pytest
import trustme

from edge.cache.disk import DiskUnusable
from edge.errors import ConfigError, StorageFull
from edge.provision.authority import not_named
from edge.provision.file import read_setup
from edge.provision.medium import Token, answer, find, read_folder
from edge.provision.text import without_token

TOKEN = "7K2M-Q0XE-41TR-ZB9D"
TEXT = f"[setup]\r\ntoken = '{TOKEN}'\r\n"


@pytest.fixture
def stick(tmp_path):
    folder = tmp_path / "stick/EDGE-SETUP"
    folder.mkdir(parents=True)
    (folder / "edge.toml").write_bytes(b"\xef\xbb\xbf" + TEXT.encode())
    return tmp_path / "stick"


def test_a_stick_of_something_else_sets_nothing_up(tmp_path):
    assert find(tmp_path) is None
    (tmp_path / "EDGE-SETUP").mkdir()
    assert find(tmp_path) is None


def test_a_file_of_an_editor_is_read_with_what_lies_beside(stick):
    (stick / "EDGE-SETUP/ca.pem").write_bytes(b"certificate")
    found = find(stick)
    assert found.text == f"[setup]\ntoken = '{TOKEN}'\n"
    assert found.beside == {"ca.pem": b"certificate"}
    assert read_folder(stick / "EDGE-SETUP") == found


def test_folders_that_a_computer_left_there_hide_no_file(stick):
    for number in range(40):
        (stick / f"EDGE-SETUP/.Trash-{number}").mkdir()
    (stick / "EDGE-SETUP/zz.pem").write_bytes(b"certificate")
    assert find(stick).beside == {"zz.pem": b"certificate"}


def test_the_answer_lies_beside(stick):
    answer(stick, "It was taken.\n")
    folder = stick / "EDGE-SETUP"
    assert sorted(path.name for path in folder.iterdir()) == ["edge.toml", "result.txt"]
    assert (folder / "result.txt").read_bytes() == b"It was taken.\r\n"
    answer(stick, "Nothing was changed.\n")
    assert (folder / "result.txt").read_bytes() == b"Nothing was changed.\r\n"


def test_an_authority_of_any_name_is_told_and_the_answer_can_be_written(stick):
    """Before, it was to be named by a line that is refused, or nothing was answered at all."""
    pem = trustme.CA().cert_pem.bytes()
    for name in (b"our ca.pem", b"ca\xff\n.pem"):
        place = Path(os.fsdecode(os.fsencode(stick / "EDGE-SETUP") + b"/" + name))
        place.write_bytes(pem)
        said = not_named("", find(stick).beside)
        assert "call it ca.pem" in said
        answer(stick, f"{said}\n{place.name}\n")
        assert b"call it ca.pem" in (stick / "EDGE-SETUP/result.txt").read_bytes()
        place.unlink()


@pytest.mark.parametrize("form", ["utf-8", "utf-8-sig", "utf-16"])
def test_the_token_is_struck_out_where_it_stands(stick, form):
    file = stick / "EDGE-SETUP/edge.toml"
    text = f"# {TOKEN}, from the manager\r\n{TEXT}"
    file.write_bytes(before := text.encode(form))
    read = find(stick).text
    token = Token(stick, TOKEN)
    asyncio.run(token.put_back())
    assert file.read_bytes() == before
    asyncio.run(token.strike_out())
    assert len(file.read_bytes()) == len(before)
    struck = find(stick).text
    assert TOKEN not in struck
    assert "token = ''  " in struck
    assert struck == without_token(read, TOKEN)
    assert read_setup(struck, "x").digest == read_setup(read, "x").digest, "it is known again"
    asyncio.run(token.put_back())
    assert file.read_bytes() == before


@contextlib.contextmanager
def full(most):
    """No file grows beyond so many bytes."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (most, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_on_a_full_stick_the_token_is_struck_out_and_no_answer_is_half_there(stick):
    folder = stick / "EDGE-SETUP"
    (folder / "result.txt").write_text("of another time")
    with full((folder / "edge.toml").stat().st_size):
        asyncio.run(Token(stick, TOKEN).strike_out())
        with pytest.raises(StorageFull):
            answer(stick, "This box was set up.\n" * 100)
    assert TOKEN not in (folder / "edge.toml").read_text()
    assert [path.name for path in folder.iterdir()] == ["edge.toml"]


def test_a_token_on_a_stick_that_is_gone_is_not_struck_out(stick, tmp_path):
    token = Token(stick, TOKEN)
    stick.rename(tmp_path / "pulled")
    with pytest.raises(DiskUnusable):
        asyncio.run(token.strike_out())
    (tmp_path / "pulled").rename(stick)
    asyncio.run(token.put_back())
    assert TOKEN in find(stick).text


def test_no_link_is_followed(stick, tmp_path):
    secret = tmp_path / "secret"
    secret.write_text("root's")
    folder = stick / "EDGE-SETUP"
    (folder / "ca.pem").symlink_to(secret)
    (folder / "result.txt").symlink_to(secret)
    assert find(stick).beside == {}
    answer(stick, "It was taken.\n")
    assert secret.read_text() == "root's"
    assert not (folder / "result.txt").is_symlink()
    (folder / "edge.toml").unlink()
    (folder / "edge.toml").symlink_to(secret)
    assert find(stick) is None
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "EDGE-SETUP").symlink_to(folder)
    assert find(elsewhere) is None


def test_what_is_no_text_or_too_long_is_refused(stick):
    file = stick / "EDGE-SETUP/edge.toml"
    file.write_bytes(b"\xff[\x00")
    with pytest.raises(ConfigError, match="UTF-8"):
        find(stick)
    file.write_bytes(b"#" * (64 * 1024 + 1))
    with pytest.raises(ConfigError, match="longer"):
        find(stick)


def test_a_stick_that_is_gone_is_said_so(tmp_path):
    with pytest.raises(DiskUnusable):
        find(tmp_path / "gone")
    with pytest.raises(DiskUnusable):
        answer(tmp_path / "gone", "x")
