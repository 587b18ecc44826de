"""OHIF's package becomes what is served, or nothing does."""

from __future__ import annotations

import gzip
import json
import tarfile

import pytest

from edge.errors import ViewerUnusable
from edge.viewer import package
from edge.viewer.package import CONTENTS, FILES, PLACE, install, main
from tests.viewer.packages import APP, NOTICE, WASM, contents, packed


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "share" / "viewer"


def made(tmp_path, folder, files=None, *more):
    path, integrity = packed(tmp_path, files or contents(), *more)
    install(path, folder, integrity)
    return folder / FILES


def test_what_is_needed_is_kept_and_the_rest_is_left_out(tmp_path, folder):
    files = made(tmp_path, folder)
    listed = json.loads((folder / CONTENTS).read_text())
    assert listed["place"] == PLACE
    assert listed["app"] == APP
    kept = set(listed["files"])
    assert kept >= {APP, WASM, "app.bundle.css", "assets/favicon.ico", "assets/images/CT-Bone.png"}
    there = {str(path.relative_to(files)) for path in files.rglob("*") if path.is_file()}
    assert {name.removesuffix(".gz") for name in there} == kept
    for name, size in listed["files"].items():
        assert (files / name).stat().st_size == size
    assert not any(b"elsewhere" in path.read_bytes() for path in folder.rglob("*.js"))


def test_paths_lead_below_viewer_to_a_place_that_names_the_version(tmp_path, folder):
    files = made(tmp_path, folder)
    for script in files.glob("[1-6a]*.js"):
        assert b'__webpack_require__.p = "/";' not in script.read_bytes()
        assert f'__webpack_require__.p = "/viewer/{PLACE}/";'.encode() in script.read_bytes()
    assert f"url(/viewer/{PLACE}/".encode() in (files / "app.bundle.css").read_bytes()


def test_code_that_is_made_while_it_runs_is_made_no_more(tmp_path, folder):
    files = made(tmp_path, folder)
    for name in (APP, f"7.bundle.{7:020x}.js"):
        script = (files / name).read_bytes()
        assert (
            0 < script.index(b"if (self.edgeViews) { return self.") < script.index(b"new Function")
        )


def test_only_the_mode_that_is_offered_is_there(tmp_path, folder):
    app = (made(tmp_path, folder) / APP).read_bytes()
    assert b"mode-longitudinal" in app
    assert b"mode-segmentation" not in app


def test_text_and_webassembly_are_packed_once_and_the_same_every_time(tmp_path, folder):
    files = made(tmp_path, folder)
    for name in (APP, WASM, "app.bundle.css"):
        packed_once = (files / f"{name}.gz").read_bytes()
        assert gzip.decompress(packed_once) == (files / name).read_bytes()
    assert not (files / "assets" / "favicon.ico.gz").exists()
    made(tmp_path, folder)
    assert (files / f"{WASM}.gz").read_bytes() == gzip.compress(b"\0asm\1\0\0\0", 9, mtime=0)


def test_licences_stay(tmp_path, folder):
    made(tmp_path, folder)
    assert (folder / "LICENSE").read_bytes() == b"The MIT License"
    notices = (folder / "NOTICES.txt").read_bytes()
    assert NOTICE in notices
    assert b"no notice" not in notices


def test_another_file_is_refused_and_what_was_there_stays(tmp_path, folder):
    made(tmp_path, folder)
    path, integrity = packed(tmp_path, {**contents(), "package/more": b"more"})
    with pytest.raises(ViewerUnusable, match="is not @ohif/app") as caught:
        install(
            path, folder, integrity.replace(integrity[10], "A" if integrity[10] != "A" else "B")
        )
    assert "digest" in caught.value.hint
    assert (folder / CONTENTS).exists()
    assert [path.name for path in folder.parent.iterdir()] == [folder.name]


@pytest.mark.parametrize(
    "changed",
    [
        {"package/LICENSE": None},
        {f"package/dist/{APP}": None},
        {f"package/dist/1.bundle.{1:020x}.js": b"says nothing of its root"},
        {f"package/dist/7.bundle.{7:020x}.js": b"has no views"},
        {"package/dist/app.bundle.00000000000000000000.js": b"a second one"},
    ],
    ids=["no licence", "no app", "a root less", "no views", "two apps"],
)
def test_a_package_of_another_form_makes_nothing(tmp_path, folder, changed):
    files = {**contents(), **changed}
    with pytest.raises(ViewerUnusable, match="another form"):
        made(tmp_path, folder, {name: data for name, data in files.items() if data is not None})
    assert list(folder.parent.iterdir()) == []


def test_no_name_in_an_archive_leads_out_of_the_folder(tmp_path, folder):
    link = tarfile.TarInfo("package/dist/app.bundle.css")
    link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
    files = contents()
    del files["package/dist/app.bundle.css"]
    evil = {
        "package/dist/../../../evil.js": b"x",
        "/evil.js": b"x",
        "package/dist/assets/../1.css": b"",
    }
    made(tmp_path, folder, {**files, **evil}, link)
    assert not any(path.is_symlink() for path in folder.rglob("*"))
    assert not list(tmp_path.rglob("evil*"))
    assert "app.bundle.css" not in json.loads((folder / CONTENTS).read_text())["files"]


def test_what_a_crash_left_is_cleared(tmp_path, folder):
    left = folder.parent / f".{folder.name}.half"
    left.mkdir(parents=True)
    (left / "file").write_bytes(b"half")
    made(tmp_path, folder)
    assert [path.name for path in folder.parent.iterdir()] == [folder.name]


def test_the_command_says_what_is_wrong(tmp_path, folder, capsys):
    (tmp_path / "other.tgz").write_bytes(b"other")
    assert main([str(tmp_path / "other.tgz"), str(folder)]) == 1
    assert package.INTEGRITY in capsys.readouterr().err
    assert main([str(tmp_path / "missing.tgz"), str(folder)]) == 1
    assert main([]) == 2
