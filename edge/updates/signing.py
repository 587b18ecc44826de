"""Makes and signs updates: what ``scripts/sign-update`` runs, where images are built.

Promises that a bundle is proven as a box would prove it before it gets its name, and that
``index.json`` names every bundle of its folder, and no more than what their signed heads say. Of a
rebuild with the packages of the release before nothing is made; the exit status is 3 then.
"""

from __future__ import annotations

import argparse
import base64
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import msgspec
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from edge.errors import EdgeError, UpdateRefused
from edge.updates.bundle import SUFFIX, open_bundle, pack, write
from edge.updates.manifest import FORM, Manifest, Name, parse
from edge.updates.manifest import written as manifest_written
from edge.updates.rebuilds import (
    Source,
    changes,
    last_release,
    list_beside,
    next_version,
    notes_of,
    read_packages,
    read_source,
    source_beside,
)
from edge.updates.server import Listed
from edge.updates.signature import key_id, read_keys
from edge.updates.versions import Version, check_version

__all__ = ["main", "make_key", "write_index"]

_PARTS: Final[tuple[Name, ...]] = ("root", "verity", "uki", "boot")
_LANGUAGES: Final = ("es", "fr", "ar")
_NOTHING_CHANGED: Final = 3
"""Exit status of a rebuild that no box needs."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run it; the exit status."""
    options = _parser().parse_args(arguments)
    try:
        said: str | None = options.run(options)
    except (EdgeError, OSError) as error:
        sys.stderr.write(f"sign-update: {error}\n")
        if isinstance(error, EdgeError) and error.hint:
            sys.stderr.write(f"             {error.hint}\n")
        return 1
    sys.stdout.write(f"{said or 'all packages are those of the last release'}\n")
    return 0 if said else _NOTHING_CHANGED


def make_key(folder: Path, name: str) -> tuple[Path, Path]:
    """A new key: the file that signs, which its owner alone may read, and the one that proves.

    Args:
        folder: Where they come to; made if it is missing, for its owner alone.
        name: Of both.

    Raises:
        UpdateRefused: It is there already.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    private, public = folder / f"{name}.key", folder / f"{name}.pub"
    key = Ed25519PrivateKey.generate()
    if public.exists():
        raise UpdateRefused(f"{public} is there already", hint="a key is never replaced: name it")
    try:
        descriptor = os.open(private, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError as error:
        raise UpdateRefused(
            f"{private} is there already", hint="a key is never replaced: name another one"
        ) from error
    with os.fdopen(descriptor, "wb") as file:
        file.write(
            key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
        )
    raw = key.public_key().public_bytes_raw()
    public.write_text(f"# {name}, {key_id(key.public_key())}\n{base64.b64encode(raw).decode()}\n")
    return private, public


def write_index(folder: Path, keys: Path) -> list[Listed]:
    """Write ``index.json`` for the bundles of a folder.

    Raises:
        UpdateRefused: One of them would be believed by no box.
    """
    found = []
    for path in sorted(folder.glob(f"*{SUFFIX}")):
        with open_bundle(path, read_keys(keys)) as bundle:
            said = bundle.manifest
            found.append(Listed(said.version, said.machine, path.name))
    found.sort(key=lambda one: (one.machine, Version(one.version)))
    unfinished = folder / "index.json.new"
    unfinished.write_bytes(msgspec.json.format(msgspec.json.encode({"updates": found})))
    unfinished.replace(folder / "index.json")
    return found


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="sign-update", description=__doc__.partition("\n")[0])
    acts = parser.add_subparsers(required=True, metavar="ACT")
    key = acts.add_parser("key", help="make a key")
    key.add_argument("folder", type=Path)
    key.add_argument("name")
    key.set_defaults(run=_key)
    make = acts.add_parser("make", help="make an update")
    make.add_argument("--version", required=True)
    make.add_argument("--minimum", default="0", help="the oldest version that may take it")
    make.add_argument("--machine", required=True, choices=("x86-64", "arm64", "rpi"))
    make.add_argument("--root-hash", required=True, help="of verity, 64 hexadecimal digits")
    for name in _PARTS:
        make.add_argument(f"--{name}", type=Path, required=name in ("root", "verity"))
    what = make.add_mutually_exclusive_group(required=True)
    what.add_argument("--notes", type=Path, help="what is new, in English")
    what.add_argument(
        "--rebuild",
        action="store_true",
        help="the last release of FOLDER, built again: the notes say which packages changed",
    )
    make.add_argument(
        "--packages", type=Path, help="name, version, architecture: is kept beside it"
    )
    make.add_argument("--commit", default="", help="what it is built of: is kept beside it")
    for language in _LANGUAGES:
        make.add_argument(f"--notes-{language}", type=Path)
    make.add_argument("--security", action="store_true", help="it mends a weakness")
    make.add_argument("--pack", action="store_true", help="pack the parts (xz)")
    make.add_argument("--key", type=Path, required=True, action="append", help="that signs")
    make.add_argument("--into", type=Path, required=True, metavar="FOLDER")
    make.set_defaults(run=_make)
    number = acts.add_parser("next", help="say the version of the last release's next rebuild")
    number.add_argument("--version", required=True, help="of a build of this commit")
    number.add_argument("--named", action="store_true", help="somebody named it: it has to be so")
    number.add_argument("--commit", default="", help="what is built")
    number.add_argument("--machine", required=True, choices=("x86-64", "arm64", "rpi"))
    number.add_argument("--into", type=Path, required=True, metavar="FOLDER")
    number.set_defaults(run=_next)
    show = acts.add_parser("show", help="say what an update is")
    show.add_argument("file", type=Path)
    show.add_argument("--keys", type=Path, required=True, metavar="FOLDER")
    show.set_defaults(run=_show)
    return parser


def _key(options: argparse.Namespace) -> str:
    private, public = make_key(options.folder, options.name)
    return f"{private} signs: keep it offline; {public} goes into the image"


def _next(options: argparse.Namespace) -> str:
    return next_version(
        options.into,
        options.machine,
        options.version,
        commit=options.commit,
        is_named=options.named,
    )


def _make(options: argparse.Namespace) -> str | None:
    keys = [_private(path) for path in options.key]
    version = check_version(options.version)
    sources: dict[Name, Path] = {
        name: getattr(options, name) for name in _PARTS if getattr(options, name) is not None
    }
    options.into.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=options.into) as scratch:
        folder = Path(scratch)
        public = _public(keys, folder / "keys")
        believed = _believed(options.key, public)
        minimum, security = check_version(options.minimum), options.security
        release = version
        if options.rebuild:
            before = _rebuilt(options, believed)
            lines = changes(
                read_packages(list_beside(options.into, before.version, before.machine)),
                read_packages(options.packages),
            )
            if not lines:
                return None
            # Which package mends a weakness is not known: rather one mark too many.
            notes, security = notes_of(before.version, lines), True
            minimum = max(minimum, before.minimum_version, key=Version)
            known = read_source(source_beside(options.into, before.version, before.machine))
            release = known.release if known else version.rpartition(".")[0]
        else:
            notes = _notes(options)
        stored = {name: folder / name for name in sources}
        parts = tuple(
            pack(name, path, stored[name], xz=options.pack) for name, path in sources.items()
        )
        manifest = Manifest(
            form=FORM,
            version=version,
            minimum_version=minimum,
            machine=options.machine,
            made=_made(),
            root_hash=options.root_hash.lower(),
            security=security,
            notes=notes,
            parts=parts,
        )
        parse(manifest_written(manifest))  # what a box would refuse is refused here
        made = folder / f"{version}-{options.machine}{SUFFIX}"
        total = write(made, manifest, stored, keys)
        with open_bundle(made, read_keys(public)) as bundle:
            bundle.prove()
            for part in bundle.manifest.parts:
                for _ in bundle.content(part):
                    pass
        if options.packages is not None:
            read_packages(options.packages)
            beside = list_beside(options.into, version, options.machine)
            shutil.copyfile(options.packages, folder / "packages")
            (folder / "packages").replace(beside)
        of = source_beside(options.into, version, options.machine)
        if options.commit:
            (folder / "commit").write_text(Source(options.commit, release).written, "utf-8")
            (folder / "commit").replace(of)
        else:  # that of a bundle which this one takes the place of
            of.unlink(missing_ok=True)
        target = options.into / made.name
        made.replace(target)
        write_index(options.into, believed)
    return f"{target}: {total / 1e6:.1f} MB"


def _notes(options: argparse.Namespace) -> dict[str, str]:
    notes = {"en": options.notes.read_text("utf-8")}
    for language in _LANGUAGES:
        if (path := getattr(options, f"notes_{language}")) is not None:
            notes[language] = path.read_text("utf-8")
    return notes


def _rebuilt(options: argparse.Namespace, keys: Path) -> Manifest:
    """What the last release says of itself, as proven."""
    if options.packages is None:
        raise UpdateRefused(
            "a rebuild is compared with the last release", hint="by --packages FILE"
        )
    last = last_release(options.into, options.machine)
    if not Version(last.version) < Version(options.version):
        raise UpdateRefused(
            f"{options.version} is not newer than the last release, {last.version}",
            hint="scripts/sign-update next says the version to build it as",
        )
    with open_bundle(options.into / last.file, read_keys(keys)) as bundle:
        return bundle.manifest


def _public(keys: Sequence[Ed25519PrivateKey], folder: Path) -> Path:
    """A folder with the other halves of keys."""
    folder.mkdir()
    for number, key in enumerate(keys):
        raw = base64.b64encode(key.public_key().public_bytes_raw()).decode()
        (folder / f"{number}.pub").write_text(f"{raw}\n")
    return folder


def _believed(paths: Sequence[Path], public: Path) -> Path:
    """The folder of public keys: that of the private ones, where older bundles' are, too."""
    folder = paths[0].parent
    return folder if any(folder.glob("*.pub")) else public


def _show(options: argparse.Namespace) -> str:
    with open_bundle(options.file, read_keys(options.keys)) as bundle:
        bundle.prove()
        said = msgspec.json.format(msgspec.json.encode(bundle.manifest), indent=1).decode()
        return f"{said}\nsigned by {bundle.head.key}; every part is as it was made"


def _private(path: Path) -> Ed25519PrivateKey:
    try:
        key = serialization.load_pem_private_key(path.read_bytes(), None)
    except (ValueError, TypeError) as error:
        raise UpdateRefused(f"{path} is no key", hint="scripts/sign-update key makes one") from (
            error
        )
    if not isinstance(key, Ed25519PrivateKey):
        raise UpdateRefused(f"{path} is no Ed25519 key")
    return key


def _made() -> float:
    """Now, or as reproducible builds have it."""
    named = os.environ.get("SOURCE_DATE_EPOCH", "")
    return float(named) if named.isdecimal() else float(int(time.time()))


if __name__ == "__main__":
    sys.exit(main())
