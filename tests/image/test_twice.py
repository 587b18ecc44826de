"""The comparison of two builds: that it sees what differs."""

from __future__ import annotations

import os

import pytest

from tests.image import results
from tests.image.twice import PARTS, between, differences, recorded, root_hash


@pytest.fixture
def trees(tmp_path):
    """Two that are the same."""
    made = []
    for name in ("one", "other"):
        tree = tmp_path / name
        (tree / "etc").mkdir(parents=True)
        (tree / "etc/name").write_text("edge")
        (tree / "link").symlink_to("etc/name")
        for path in (tree / "etc/name", tree / "etc", tree):
            os.utime(path, (1, 1))
        os.utime(tree / "link", (1, 1), follow_symlinks=False)
        made.append(tree)
    return made


def test_the_same_is_the_same(trees):
    assert list(between(*trees)) == []


@pytest.mark.parametrize(
    ("change", "seen"),
    [
        (lambda tree: (tree / "etc/more").touch(), "/etc/more: only in one of them"),
        (lambda tree: (tree / "etc/name").chmod(0o600), "/etc/name: ('0o100600'"),
        (lambda tree: os.utime(tree / "etc/name", (1, 2)), "/etc/name: ("),
        (lambda tree: relink(tree / "link"), "/link: ("),
        (lambda tree: rewrite(tree / "etc/name"), "/etc/name: its content"),
    ],
)
def test_each_difference_is_named(trees, change, seen):
    change(trees[0])
    assert any(line.startswith(seen) for line in between(*trees))


def relink(path):
    path.unlink()
    path.symlink_to("etc")


def rewrite(path):
    path.write_text("EDGE")
    os.utime(path, (1, 1))


def test_of_two_builds_with_one_root_the_rest_is_compared(tmp_path):
    for name in ("one", "other"):
        build = tmp_path / name
        build.mkdir()
        for part in ("edge.root.raw", "edge.verity.raw", "edge.raw", "a.packages.txt"):
            (build / part).write_bytes(b"x")
        (build / "edge.efi").write_bytes(b"MZ roothash=" + b"a" * 64 + b" quiet")
    assert root_hash(tmp_path / "one") == "a" * 64
    assert list(differences(tmp_path / "one", tmp_path / "other")) == []
    (tmp_path / "other/edge.raw").write_bytes(b"y")
    assert list(differences(tmp_path / "one", tmp_path / "other")) == ["edge.raw"]


@pytest.mark.parametrize("is_same", [True, False])
def test_what_came_of_it_is_kept(tmp_path, is_same):
    build = tmp_path / "amd64"
    build.mkdir()
    for part in PARTS:
        (build / part).write_bytes(bytes(500_000))
    (build / "commit").write_text("0123456789ab\n")
    path = tmp_path / "results.txt"
    for _ in range(2):  # the newest alone
        recorded(build, is_same=is_same, path=path)
    [line] = results.read(path)
    assert (line.commit, line.kind) == ("0123456789ab", "passed" if is_same else "failed")
    assert (line.value, line.unit) == (2.0, "MB")
    assert line.name.endswith("are the same [amd64]")
