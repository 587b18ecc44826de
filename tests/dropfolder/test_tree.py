"""Nothing outside of the folder is ever read, moved or deleted, whoever swaps what meanwhile."""

import hashlib
import os
import resource
import signal

import pytest

from edge.dropfolder.tree import Changed, DropTree


@pytest.fixture
def tree(drop):
    return DropTree(drop)


def only_entry(tree):
    (entry,) = tree.scan().files
    return entry


def test_files_are_listed_at_any_depth_but_for_rejected(drop, tree):
    for name in ("a", "b/c", "b/rejected/d", "rejected/e"):
        (drop / name).parent.mkdir(exist_ok=True)
        (drop / name).write_bytes(b"x")
    assert sorted(entry.parts for entry in tree.scan().files) == [
        ("a",),
        ("b", "c"),
        ("b", "rejected", "d"),
    ]


def test_what_is_no_file_is_strange(drop, tree):
    (drop / "link").symlink_to("/etc/passwd")
    (drop / "dangling").symlink_to("nowhere")
    os.mkfifo(drop / "pipe")
    listing = tree.scan()
    assert listing.files == ()
    assert set(listing.strange) == {("link",), ("dangling",), ("pipe",)}


def test_a_folder_deeper_than_anyone_needs_is_not_entered(drop, tree):
    path = drop
    for _ in range(100):
        path = path / "d"
    path.mkdir(parents=True)
    (path / "file").write_bytes(b"x")
    listing = tree.scan()
    assert listing.files == ()
    ((parts, reason),) = listing.strange.items()
    assert len(parts) == 32
    assert "levels deep" in reason
    tree.reject(parts, reason)
    assert tree.scan().strange == {}


def test_of_very_many_files_and_folders_some_are_listed_and_the_rest_later(drop, tree, monkeypatch):
    monkeypatch.setattr("edge.dropfolder.tree._MOST", 20)
    for number in range(10):
        (drop / f"f{number}").mkdir()
        for file in range(3):
            (drop / f"f{number}" / str(file)).write_bytes(b"x")
    taken = 0
    for _ in range(20):
        listing = tree.scan()
        assert len(listing.files) + len(listing.folders) <= 20
        for entry in listing.files:
            tree.remove(entry)
            taken += 1
        for folder in listing.folders:
            tree.remove_folder(folder)
        if not listing.is_cut:
            break
    assert taken == 30
    assert not tree.scan().is_cut


def test_a_missing_root_is_an_error(drop, tree):
    drop.rmdir()
    with pytest.raises(FileNotFoundError):
        tree.scan()


def test_a_file_is_read(drop, tree):
    (drop / "a").write_bytes(b"content")
    with tree.open_file(only_entry(tree)) as file:
        assert file.read() == b"content"


@pytest.mark.parametrize("change", ["grown", "replaced", "touched", "gone"])
def test_a_changed_file_is_neither_read_nor_deleted(drop, tree, change):
    path = drop / "a"
    path.write_bytes(b"content")
    entry = only_entry(tree)
    if change == "grown":
        path.write_bytes(b"content and more")
    elif change == "replaced":
        (drop / "b").write_bytes(b"CONTENT")
        os.utime(drop / "b", ns=(entry.mtime_ns, entry.mtime_ns))
        (drop / "b").rename(path)
    elif change == "touched":
        os.utime(path, ns=(1, 1))
    else:
        path.unlink()
    with pytest.raises(Changed):
        tree.open_file(entry)
    tree.remove(entry)
    assert path.exists() == (change != "gone")


def test_a_file_swapped_for_a_link_is_not_followed(drop, tree, tmp_path):
    secret = tmp_path / "secret"
    secret.write_bytes(b"content")
    (drop / "a").write_bytes(b"content")
    entry = only_entry(tree)
    (drop / "a").unlink()
    (drop / "a").symlink_to(secret)
    with pytest.raises(OSError, match="symbolic links"):
        tree.open_file(entry)
    tree.remove(entry)
    assert secret.exists()


@pytest.mark.parametrize("act", ["open", "remove", "reject"])
def test_a_folder_swapped_for_a_link_is_not_followed(drop, tree, tmp_path, act):
    outside = tmp_path / "outside"
    (drop / "sub").mkdir()
    (drop / "sub" / "a").write_bytes(b"content")
    entry = only_entry(tree)
    (drop / "sub").rename(outside)
    (drop / "sub").symlink_to(outside)
    acts = {
        "open": lambda: tree.open_file(entry),
        "remove": lambda: tree.remove(entry),
        "reject": lambda: tree.reject(entry.parts, "reason"),
    }
    with pytest.raises(NotADirectoryError):
        acts[act]()
    assert (outside / "a").read_bytes() == b"content"


def test_rejected_swapped_for_a_link_is_not_followed(drop, tree, tmp_path):
    (tmp_path / "outside").mkdir()
    (drop / "rejected").symlink_to(tmp_path / "outside")
    (drop / "a").write_bytes(b"x")
    with pytest.raises(NotADirectoryError):
        tree.reject(("a",), "reason")
    assert (drop / "a").exists()
    assert not list((tmp_path / "outside").iterdir())


def test_a_pipe_swapped_in_does_not_hold_us(drop, tree):
    (drop / "a").write_bytes(b"")
    entry = only_entry(tree)
    (drop / "a").unlink()
    os.mkfifo(drop / "a")
    with pytest.raises(Changed):
        tree.open_file(entry)


def test_a_second_file_of_the_same_name_is_rejected_beside_the_first(drop, tree):
    for number in range(3):
        (drop / "a.dcm").write_bytes(bytes([number]))
        tree.reject(("a.dcm",), f"reason {number}")
    rejected = drop / "rejected"
    assert sorted(path.name for path in rejected.iterdir()) == [
        "a (2).dcm",
        "a (2).dcm.reason.txt",
        "a (3).dcm",
        "a (3).dcm.reason.txt",
        "a.dcm",
        "a.dcm.reason.txt",
    ]
    assert (rejected / "a (2).dcm").read_bytes() == b"\x01"
    assert (rejected / "a (2).dcm.reason.txt").read_text() == "reason 1"


def test_a_rejected_file_never_replaces_a_reason(drop, tree):
    (drop / "a.reason.txt").write_bytes(b"a file")
    tree.reject(("a.reason.txt",), "not DICOM")
    (drop / "a").write_bytes(b"another")
    tree.reject(("a",), "not DICOM either")
    rejected = drop / "rejected"
    assert (rejected / "a.reason.txt").read_bytes() == b"a file"
    assert (rejected / "a (2)").read_bytes() == b"another"


@pytest.mark.parametrize(
    "name", ["x" * 255, "é" * 127 + "x", b"\xff\xfe bytes".decode("utf-8", "surrogateescape")]
)
def test_any_name_can_be_rejected(drop, tree, name):
    for _ in range(2):
        (drop / name).write_bytes(b"x")
        tree.reject((name,), "reason")
    assert not (drop / name).exists()
    assert len(list((drop / "rejected").iterdir())) == 4


def test_a_file_that_is_gone_needs_no_rejecting(drop, tree):
    tree.reject(("a",), "reason")
    assert not (drop / "rejected").exists()


def test_folders_of_a_medium_are_removed_as_far_as_they_are_empty(drop, tree):
    (drop / "cd" / "a" / "b").mkdir(parents=True)
    (drop / "cd" / "c").mkdir()
    (drop / "cd" / "c" / "late").write_bytes(b"x")
    tree.remove_folders(("cd",))
    assert (drop / "cd" / "c" / "late").exists()
    assert not (drop / "cd" / "a").exists()


def test_a_listing_says_which_folders_are_empty_and_since_when(drop, tree):
    (drop / "CT 1" / "study").mkdir(parents=True)
    (drop / "rejected").mkdir()
    os.utime(drop / "CT 1" / "study", (1000, 1000))
    listing = tree.scan()
    assert listing.empty == {("CT 1", "study"): 1000}
    assert listing.folders == {("CT 1",), ("CT 1", "study")}
    assert listing.root == tree.identity() == (drop.stat().st_dev, drop.stat().st_ino)
    assert (listing.unreadable, listing.unwritable) == (0, frozenset())


def test_a_folder_goes_only_if_nothing_is_in_it(drop, tree):
    (drop / "a" / "b").mkdir(parents=True)
    assert not tree.remove_folder(("a",))
    assert tree.remove_folder(("a", "b"))
    assert tree.remove_folder(("a",))
    assert not tree.remove_folder(("a",))
    assert drop.exists()


def test_a_digest_is_that_of_the_file_that_was_listed(drop, tree):
    (drop / "a").write_bytes(b"content")
    entry = only_entry(tree)
    assert tree.digest(entry) == hashlib.sha256(b"content").digest()
    (drop / "a").write_bytes(b"other content")
    with pytest.raises(Changed):
        tree.digest(entry)


def test_a_missing_root_has_no_identity(drop, tree):
    drop.rmdir()
    assert tree.identity() is None


def test_a_file_that_can_not_be_moved_leaves_no_reason(drop, tree, locked):
    (drop / "CT 1").mkdir()
    (drop / "CT 1" / "a").write_bytes(b"x")
    with locked(drop / "CT 1"), pytest.raises(PermissionError):
        tree.reject(("CT 1", "a"), "reason")
    assert (drop / "CT 1" / "a").read_bytes() == b"x"
    assert not list((drop / "rejected").iterdir())


def test_a_file_whose_reason_can_not_be_written_goes_back(drop, tree):
    (drop / "a").write_bytes(b"x")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10, limits[1]))
    try:
        with pytest.raises(OSError, match="too large"):
            tree.reject(("a",), "a reason of more than ten bytes")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, handler)
    assert (drop / "a").read_bytes() == b"x"
    assert not list((drop / "rejected").iterdir())
    tree.reject(("a",), "a reason of more than ten bytes")
    assert (drop / "rejected" / "a.reason.txt").read_text() == "a reason of more than ten bytes"


def test_what_the_service_may_not_do_stands_in_the_listing(drop, tree, locked):
    (drop / "closed").mkdir(mode=0)
    (drop / "lost+found").mkdir(mode=0)
    (drop / "open").mkdir()
    (drop / "from root").mkdir()
    (drop / "open").chmod(0o777)
    with locked(drop, drop / "from root"):
        listing = tree.scan()
    assert listing.unreadable == 1
    assert listing.unwritable == {(), ("from root",)}
