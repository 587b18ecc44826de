"""What makes updates, where images are built."""

from __future__ import annotations

import json
import stat

import pytest

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
