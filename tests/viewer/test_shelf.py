"""What can be served is known before anybody asks."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from edge import config
from edge.pages.resources import FOLDER, resources
from edge.viewer import shelf
from edge.viewer.package import CONTENTS, FILES, PLACE, install
from edge.viewer.shelf import MEDIA_TYPES, folder_of, open_shelf
from tests.viewer.packages import APP, contents, packed

OWN = Path(shelf.__file__).parent / "files"
TEMPLATES = FOLDER / "templates" / "viewer"


@pytest.fixture
def folder(tmp_path):
    path, integrity = packed(tmp_path, contents())
    install(path, tmp_path / "viewer", integrity)
    return tmp_path / "viewer"


def test_every_file_of_the_viewer_is_there_under_its_version(folder):
    found = open_shelf(folder)
    assert not found.values["fault"]
    listed = json.loads((folder / CONTENTS).read_text())["files"]
    assert {f"{PLACE}/{name}" for name in (*listed, "LICENSE", "NOTICES.txt")} == set(found.made)
    assert all(path.is_file() for path in found.made.values())
    assert found.values["app"] == f"/viewer/{PLACE}/{APP}"
    assert found.values["installed"]


def test_without_the_viewer_there_are_our_files_and_the_reason(tmp_path):
    found = open_shelf(tmp_path / "none")
    assert not found.made
    assert "there is no viewer" in found.values["fault"]
    assert not found.values["installed"]
    assert found.own


@pytest.mark.parametrize("harm", ["list", "size", "lost", "place", "out"])
def test_a_folder_that_is_not_what_it_should_be_is_none(folder, harm):
    path = folder / CONTENTS
    listed = json.loads(path.read_text())
    if harm == "list":
        path.write_text("{")
    elif harm == "size":
        (folder / FILES / APP).write_bytes(b"short")
    elif harm == "lost":
        (folder / FILES / APP).unlink()
    elif harm == "place":
        path.write_text(json.dumps({**listed, "place": "1.0.1"}))
    else:
        path.write_text(json.dumps({**listed, "files": {"../contents.json": path.stat().st_size}}))
    found = open_shelf(folder)
    assert not found.made
    assert str(folder) in found.values["fault"]


def test_pages_name_files_that_are_there_by_what_is_in_them(tmp_path):
    found = open_shelf(tmp_path)
    made = resources()
    for path in TEMPLATES.glob("*.html"):
        values = {**found.values, "has_pages": True, "emergency_until": None}
        page = made.render(f"viewer/{path.name}", made.words["ar"], values)
        addresses = re.findall(r'(?:src|href)="/viewer/own/([^"]+)"', page)
        assert addresses, path.name
        for address in addresses:
            assert re.fullmatch(r"[a-z]+\.[0-9a-f]{16}\.(css|js)", address), path.name
            assert address in found.own


def test_no_page_holds_a_script_a_style_or_another_host():
    """Their policy would not run it; so nobody shall write one."""
    for path in TEMPLATES.glob("*.html"):
        text = path.read_text("utf-8")
        assert not re.search(r"<script(?![^>]* src=)|<style|\son[a-z]+=|\sstyle=", text), path.name
        assert not re.search(r"https?:", text), path.name
    for path in OWN.glob("*.js"):
        assert not re.search(r"https?:|innerHTML|eval\(", path.read_text("utf-8")), path.name


def test_what_we_wrote_is_small():
    """Before the viewer itself, a phone on a bad line loads all of it."""
    assert sum(path.stat().st_size for path in (*TEMPLATES.iterdir(), *OWN.iterdir())) < 60_000


def test_every_file_has_a_type(folder):
    for name in open_shelf(folder).made:
        if not name.endswith("LICENSE"):
            assert Path(name).suffix in MEDIA_TYPES, name


def test_the_folder_is_the_one_that_is_configured(tmp_path):
    assert folder_of(config.Page(viewer=tmp_path)) == tmp_path
    assert folder_of(config.Page()).parts[-3:] == ("share", "edge", "viewer")
