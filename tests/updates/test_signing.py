"""What makes updates, where images are built."""

from __future__ import annotations

import json
import re
import stat
import subprocess
from pathlib import Path

import pytest

import edge
from edge.updates.bundle import open_bundle
from edge.updates.signature import read_keys
from edge.updates.signing import main


@pytest.fixture
def made(tmp_path):
    """Parts of an image, and a key."""
    for name in ("root", "verity", "uki"):
        (tmp_path / name).write_bytes(name.encode() * 10_000)
    (tmp_path / "notes").write_text("Quicker.")
    (tmp_path / "notas").write_text("Más rápido.")
    keys = tmp_path / "keys"  # made by the first
    assert main(["key", str(keys), "present"]) == 0
    assert main(["key", str(keys), "next"]) == 0
    return tmp_path


def make(made, version="1.1", *more):
    words = ["make", "--version", version, "--minimum", "1.0", "--machine", "x86-64"]
    words += ["--root-hash", "0123456789ABCDEF" * 4]
    for name in ("root", "verity", "uki", "notes"):
        words += [f"--{name}", str(made / name)]
    words += ["--key", str(made / "keys" / "present.key"), "--into", str(made / "shop"), *more]
    return main(words)


def test_a_bundle_and_the_list_of_its_folder_are_made(made, capsys):
    notes = str(made / "notas")
    assert make(made, "1.1", "--pack", "--security", "--notes-es", notes) == 0
    assert make(made, "1.2") == 0
    listed = json.loads((made / "shop" / "index.json").read_text())["updates"]
    assert [one["version"] for one in listed] == ["1.1", "1.2"]
    path = made / "shop" / listed[0]["file"]
    with open_bundle(path, read_keys(made / "keys")) as bundle:
        assert bundle.manifest.notes == {"en": "Quicker.", "es": "Más rápido."}
        assert bundle.manifest.security
        assert b"".join(bundle.content(bundle.manifest.part("uki"))) == b"uki" * 10_000
    assert sorted(one.name for one in (made / "shop").iterdir()) == [
        "1.1-x86-64.edgeupdate",
        "1.2-x86-64.edgeupdate",
        "index.json",
    ]
    capsys.readouterr()
    assert main(["show", str(path), "--keys", str(made / "keys")]) == 0
    assert "every part is as it was made" in capsys.readouterr().out


def test_a_key_is_its_owners_alone_and_never_replaced(made, capsys):
    mode = stat.S_IMODE((made / "keys" / "present.key").stat().st_mode)
    assert mode == 0o600
    before = (made / "keys" / "present.key").read_bytes()
    assert main(["key", str(made / "keys"), "present"]) == 1
    assert "never replaced" in capsys.readouterr().err
    assert (made / "keys" / "present.key").read_bytes() == before


@pytest.mark.parametrize(("version", "why"), [("1.1+3", "not a version"), ("v1", "not a version")])
def test_what_no_box_would_take_is_not_made(made, capsys, version, why):
    assert make(made, version) == 1
    assert why in capsys.readouterr().err
    assert not list((made / "shop").glob("*")) if (made / "shop").exists() else True


def test_the_same_parts_and_day_make_the_same_bundle(made, monkeypatch):
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1700000000")
    make(made)
    first = (made / "shop" / "1.1-x86-64.edgeupdate").read_bytes()
    make(made)
    assert (made / "shop" / "1.1-x86-64.edgeupdate").read_bytes() == first


LIST = "bash 5.2-1 amd64\nlibc6 2.41-12 amd64\nopenssl 3.5.1-1 amd64\n"


@pytest.fixture
def released(made):
    """A release in the folder, with the list of its packages."""
    (made / "packages").write_text(LIST)
    assert make(made, "1.0.5", "--packages", str(made / "packages")) == 0
    assert (made / "shop" / "1.0.5-x86-64.packages.txt").read_text() == LIST
    return made


def number_of_next(made, capsys, base="1.0.5", *more, machine="x86-64"):
    """The version of the next rebuild; what is wrong if there is none."""
    capsys.readouterr()
    words = ["next", "--version", base, "--machine", machine, "--into", str(made / "shop")]
    failed = main([*words, *more])
    said = capsys.readouterr()
    return said.err if failed else said.out.strip()


def rebuild(made, version, *more):
    words = ["make", "--version", version, "--machine", "x86-64", "--root-hash", "1f" * 32]
    for name in ("root", "verity", "uki", "packages"):
        words += [f"--{name}", str(made / name)]
    words += ["--key", str(made / "keys" / "present.key"), "--into", str(made / "shop"), *more]
    return main([*words, "--rebuild"])


def test_a_rebuild_with_other_packages_is_newer_and_says_what_changed(released, capsys):
    assert number_of_next(released, capsys) == "1.0.5.1"
    (released / "packages").write_text(
        LIST.replace("3.5.1-1", "3.5.1-1+deb13u1").replace("bash 5.2-1 amd64\n", "")
        + "zlib1g 1.3-1 amd64\n"
    )
    assert rebuild(released, "1.0.5.1") == 0
    shop = released / "shop"
    with open_bundle(shop / "1.0.5.1-x86-64.edgeupdate", read_keys(released / "keys")) as bundle:
        bundle.manifest.check_for("x86-64", "1.0.5")
        assert bundle.manifest.security
        assert bundle.manifest.minimum_version == "1.0", "as the release has it"
        notes = bundle.manifest.notes
    assert set(notes) == {"en", "es", "fr", "ar"}
    for text in notes.values():  # a point release of Debian is rebuilt as well
        assert not re.search("secur|segur|sécur|أمن", text.partition("\n")[0])
    assert notes["en"].splitlines() == [
        "Changed packages of Debian since version 1.0.5:",
        "bash 5.2-1 → -",
        "openssl 3.5.1-1 → 3.5.1-1+deb13u1",
        "zlib1g - → 1.3-1",
    ]
    listed = json.loads((shop / "index.json").read_text())["updates"]
    assert [one["version"] for one in listed] == ["1.0.5", "1.0.5.1"]
    assert number_of_next(released, capsys) == "1.0.5.2"
    assert rebuild(released, "1.0.5.1") == 1, "that one is there"
    assert "not newer" in capsys.readouterr().err


def test_of_a_rebuild_with_the_same_packages_nothing_is_made(released, capsys):
    before = sorted(path.name for path in (released / "shop").iterdir())
    assert rebuild(released, "1.0.5.1") == 3
    assert sorted(path.name for path in (released / "shop").iterdir()) == before
    assert number_of_next(released, capsys) == "1.0.5.1"


def test_what_was_not_released_is_not_rebuilt(released, capsys):
    assert "this commit is 1.0.6" in number_of_next(released, capsys, "1.0.6")
    assert "this commit is 1.0" in number_of_next(released, capsys, "1.0.50")
    assert "no release for arm64" in number_of_next(released, capsys, machine="arm64")
    (released / "shop" / "1.0.5-x86-64.packages.txt").unlink()
    assert rebuild(released, "1.0.5.1") == 1
    assert "is not there" in capsys.readouterr().err


def test_a_release_whose_version_was_named_is_rebuilt_by_its_commit(made, capsys):
    (made / "packages").write_text(LIST)
    of = ["--commit", "1f2e3d4c5b6a"]
    packages = ["--packages", str(made / "packages")]
    assert make(made, "1.1", *packages, *of) == 0
    own = "0.0.202611300900"  # what the build of the commit calls itself
    assert number_of_next(made, capsys, own, *of) == "1.1.1"
    (made / "packages").write_text(LIST.replace("5.2-1", "5.2-2"))
    assert rebuild(made, "1.1.1", *of) == 0
    assert number_of_next(made, capsys, own, *of) == "1.1.2"
    assert number_of_next(made, capsys, "1.1", "--named", *of) == "1.1.2"
    assert "is 1.1, and not 1.1.1" in number_of_next(made, capsys, "1.1.1", "--named", *of)
    said = number_of_next(made, capsys, own, "--commit", "aaaaaaaaaaaa")
    assert "1.1.1, is of commit 1f2e3d4c5b6a, and this is aaaaaaaaaaaa" in said
    assert make(made, "1.2", *packages, "--commit", "1f2e3d4c5b6a+") == 0
    assert "not as it was committed" in number_of_next(made, capsys, own, *of)


def test_a_release_that_is_made_anew_is_not_of_the_commit_of_before(released, capsys):
    of = ["--commit", "1f2e3d4c5b6a"]
    packages = ["--packages", str(released / "packages")]
    assert make(released, "1.1", *packages, *of) == 0
    assert make(released, "1.1", *packages) == 0
    assert "name its version" in number_of_next(released, capsys, "0.0.202611300900", *of)


def test_a_release_from_before_commits_were_kept_is_rebuilt_by_its_version(released, capsys):
    of = ["--commit", "1f2e3d4c5b6a"]
    assert number_of_next(released, capsys, "1.0.5", "--named", *of) == "1.0.5.1"
    assert "name its version" in number_of_next(released, capsys, "0.0.202611300900", *of)
    (released / "packages").write_text(LIST.replace("5.2-1", "5.2-2"))
    assert rebuild(released, "1.0.5.1", *of) == 0
    assert number_of_next(released, capsys, "0.0.202611300900", *of) == "1.0.5.2"


def test_notes_of_a_great_many_packages_are_still_notes(released):
    (released / "packages").write_text("".join(f"package{n} 1 amd64\n" for n in range(2000)))
    assert rebuild(released, "1.0.5.1") == 0


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (["--rebuild"], "--rebuild wants --into FOLDER"),
        (["--rebuild", "--into", ".", "--notes", "README.md"], "makes its notes itself"),
        (["--rebuild", "--into", ".", "--cached"], "the kept packages are not today's"),
        (["--rebuild", "--into", "build/image/amd64/update"], "each build empties"),
        (["--rebuild", "--into", "build/image/amd64"], "each build empties"),
        (["--notes", "README.md", "--into", "build/image/second", "--beside", "second"], "empties"),
    ],
)
def test_a_rebuild_is_of_a_release_that_stays_and_with_the_packages_of_today(words, why):
    done = subprocess.run(
        ["bash", "scripts/build-image", "amd64", *words],
        cwd=Path(edge.__file__).parent.parent,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert why in done.stderr
