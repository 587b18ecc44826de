"""A bundle is believed as a whole, or not at all."""

from __future__ import annotations

import lzma
import os

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from edge.errors import UpdateRefused
from edge.updates import signature
from edge.updates.bundle import FIRST, head_length, open_bundle, pack, read_head, write
from edge.updates.manifest import Manifest, parse, written
from edge.updates.signature import read_keys
from tests.updates.makers import content_of, public


@pytest.mark.parametrize("xz", [False, True])
def test_what_goes_in_comes_out(maker, keys, xz):
    path = maker.bundle(size=3_000_000, xz=xz)
    with open_bundle(path, keys) as bundle:
        bundle.prove()
        assert bundle.manifest.version == "1.1"
        assert bundle.head.total == path.stat().st_size
        for part in bundle.manifest.parts:
            found = b"".join(bundle.content(part))
            assert found == content_of("1.1", part.name, 3_000_000)
        assert all(offset % 4096 == 0 for offset in bundle.head.offsets().values())
    assert xz == (path.stat().st_size < 100_000)


@pytest.mark.parametrize("content", [b"x" * 10, b"x" + bytes(3_000_000), bytes(2_500_000)])
def test_zeros_at_the_end_are_not_carried_and_are_there_again(tmp_path, maker, keys, content):
    source, stored = tmp_path / "source", tmp_path / "stored"
    source.write_bytes(content)
    part = pack("root", source, stored, xz=False)
    assert part.bytes == len(content)
    assert part.stored_bytes == stored.stat().st_size == max(1, len(content.rstrip(b"\0")))
    path = maker.bundle()
    with open_bundle(path, keys) as bundle:
        parts = (part, *bundle.manifest.parts[1:])
        manifest = msgspec.structs.replace(bundle.manifest, parts=parts)
    scratch = maker.folder / "scratch"
    files = {"root": stored, "verity": scratch / "verity", "uki": scratch / "uki"}
    write(path, manifest, files, [maker.present])
    with open_bundle(path, keys) as bundle:
        bundle.prove()
        assert b"".join(bundle.content(part)) == content


def test_the_head_alone_says_what_it_is(maker, keys):
    data = maker.bundle(security=True).read_bytes()
    length = head_length(data[:FIRST])
    head = read_head(data[:length], keys)
    assert head.manifest.security
    assert head.manifest.notes["es"] == "Novedades de 1.1"
    with pytest.raises(UpdateRefused, match="ends within its head"):
        read_head(data[: length - 1], keys)


def test_the_next_key_is_believed_and_a_strangers_is_not(maker, keys):
    stranger = Ed25519PrivateKey.generate()
    open_bundle(maker.bundle(keys=[maker.next]), keys).__enter__().__exit__()
    open_bundle(maker.bundle(keys=[stranger, maker.next]), keys).__enter__().__exit__()
    with pytest.raises(UpdateRefused, match="signed by nobody"):
        open_bundle(maker.bundle(keys=[stranger]), keys)


def test_a_stranger_who_calls_himself_by_our_keys_name_is_not_believed(maker, keys):
    path = maker.bundle()
    with open_bundle(path, keys) as bundle:
        said = written(bundle.manifest)
    forged = signature.sign(said, Ed25519PrivateKey.generate())
    ours = signature.key_id(maker.present.public_key())
    with pytest.raises(UpdateRefused, match="signed by nobody"):
        signature.prove(said, [msgspec.structs.replace(forged, key=ours)], keys)


def test_every_byte_counts(maker, keys, tmp_path):
    whole = maker.bundle(size=20_000).read_bytes()
    length = head_length(whole[:FIRST])
    with open_bundle(maker.folder / "1.1.edgeupdate", keys) as bundle:
        parts = bundle.head.offsets()
    # In the head every eleventh byte, and one of each part.
    for at in [*range(0, length, 11), *(offset + 100 for offset in parts.values())]:
        changed = bytearray(whole)
        changed[at] ^= 0x20
        path = tmp_path / "changed.edgeupdate"
        path.write_bytes(changed)
        with pytest.raises(UpdateRefused), open_bundle(path, keys) as bundle:
            bundle.prove()


@pytest.mark.parametrize("cut", [1, 4096, 200_000])
def test_one_that_was_cut_or_grew_is_refused(maker, keys, cut):
    path = maker.bundle()
    whole = path.read_bytes()
    path.write_bytes(whole[:-cut])
    with pytest.raises(UpdateRefused, match=r"has \d+ bytes, and should have"):
        open_bundle(path, keys)
    path.write_bytes(whole + b"x" * cut)
    with pytest.raises(UpdateRefused, match=r"has \d+ bytes, and should have"):
        open_bundle(path, keys)


def test_no_link_is_followed_and_no_other_file_is_taken(maker, keys, tmp_path):
    link = tmp_path / "link.edgeupdate"
    link.symlink_to(maker.bundle())
    with pytest.raises(UpdateRefused, match="can't be read"):
        open_bundle(link, keys)
    other = tmp_path / "other.edgeupdate"
    for content in (b"", b"x" * 15, b"PK\x03\x04" + bytes(100_000), b"EDGEUPD\x01" + b"\xff" * 90):
        other.write_bytes(content)
        with pytest.raises(UpdateRefused, match="no update"):
            open_bundle(other, keys)


def test_a_part_that_unpacks_to_more_than_was_said_is_stopped(maker, keys):
    path = maker.bundle(xz=True)
    with open_bundle(path, keys) as bundle:
        part = bundle.manifest.part("root")
        at = bundle.head.offsets()["root"]
        bomb = lzma.compress(bytes(50_000_000), preset=0)[: part.stored_bytes]
    with path.open("r+b") as file:
        file.seek(at)
        file.write(bomb)
    with open_bundle(path, keys) as bundle:
        with pytest.raises(UpdateRefused, match="damaged"):
            bundle.prove()
        # Even who does not prove it first gets no more than was said.
        with pytest.raises(UpdateRefused, match="damaged"):
            assert sum(map(len, bundle.content(part))) <= part.bytes


def said(maker, keys, **changed):
    with open_bundle(maker.bundle(), keys) as bundle:
        return msgspec.json.encode(msgspec.to_builtins(bundle.manifest) | changed)


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        ({"form": 2}, "a form that this version does not know"),
        ({"version": "../../etc"}, "not a version"),
        ({"minimum_version": "x"}, "not a version"),
        ({"machine": "sparc"}, "can't be understood"),
        ({"machine": "rpi"}, "does not have the parts"),
        ({"parts": []}, "does not have the parts"),
        ({"product": "other"}, "can't be understood"),
        ({"root_hash": "x" * 64}, "can't be understood"),
        ({"notes": {}}, "no notes in English"),
    ],
)
def test_a_manifest_that_makes_no_sense_is_refused(maker, keys, changed, why):
    with pytest.raises(UpdateRefused, match=why):
        parse(said(maker, keys, **changed))


def test_what_a_later_manifest_says_beyond_is_passed_over(maker, keys):
    assert parse(said(maker, keys, new={"a": 1})).version == "1.1"


@pytest.mark.parametrize(
    ("more", "running", "why"),
    [
        ({}, "1.1", "runs already"),
        ({}, "1.01", "runs already"),
        ({}, "1.2", "is older"),
        ({"minimum": "1.0.5"}, "1.0", "can be taken from 1.0.5 on"),
        ({"machine": "arm64"}, "1.0", "is for arm64"),
    ],
)
def test_an_update_that_is_not_for_this_machine_is_refused(maker, keys, more, running, why):
    with open_bundle(maker.bundle(**more), keys) as bundle:
        manifest = bundle.manifest
    with pytest.raises(UpdateRefused, match=why):
        manifest.check_for("x86-64", running)


def test_who_sits_at_the_machine_may_go_back(maker, keys):
    with open_bundle(maker.bundle(), keys) as bundle:
        manifest: Manifest = bundle.manifest
        manifest.check_for("x86-64", "1.2", may_go_back=True)
        with pytest.raises(UpdateRefused, match="is for x86-64"):
            manifest.check_for("arm64", "1.2", may_go_back=True)


def test_keys_that_are_none_are_told_of(tmp_path):
    with pytest.raises(UpdateRefused, match="no key for updates"):
        read_keys(tmp_path)
    (tmp_path / "a.pub").write_text(f"{public(Ed25519PrivateKey.generate())}\n\n# one\n")
    assert len(read_keys(tmp_path)) == 1
    (tmp_path / "b.pub").write_text("AAAA\n")
    with pytest.raises(UpdateRefused, match=r"b\.pub has a line that is no key"):
        read_keys(tmp_path)


def test_a_stick_that_is_pulled_out_while_it_is_read_is_an_answer(maker, keys, tmp_path):
    with open_bundle(maker.bundle("1.1"), keys) as bundle:
        gone = os.open(tmp_path, os.O_RDONLY)  # as a stick that is gone, it can't be read
        os.dup2(gone, bundle._file.fileno())
        os.close(gone)
        with pytest.raises(UpdateRefused, match="can't be read any more"):
            bundle.prove()
