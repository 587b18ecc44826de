"""A release that was built once more because Debian changed: its number and its notes.

Owns, in a folder of updates, what lies beside the bundles: the lists of packages
(``V-MACHINE.packages.txt``: a name, a version and an architecture on a line), and what each is of
(``V-MACHINE.commit.txt``: the commit, and the version of its release). Promises a version that is
newer than the release it rebuilds, and notes that say what changed; nothing is made where nothing
did. Which of the packages mend a weakness is not known. The n-th rebuild of release V is ``V.n``:
whoever builds the commit as that version from the same packages has the same image.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec

from edge.errors import UpdateRefused
from edge.updates.server import Listed
from edge.updates.versions import Version, check_version

__all__ = [
    "Source",
    "changes",
    "last_release",
    "list_beside",
    "next_version",
    "notes_of",
    "read_packages",
    "read_source",
    "source_beside",
]

_HEADINGS: Final[Mapping[str, str]] = {
    "en": "Changed packages of Debian since version {}:",
    "es": "Paquetes de Debian cambiados desde la versión {}:",
    "fr": "Paquets de Debian modifiés depuis la version {} :",
    "ar": "حزم دبيان التي تغيّرت منذ الإصدار {}:",
}
_MOST_CHARACTERS: Final = 15_000
"""Of the lines in notes; a manifest takes some more."""


class _Index(msgspec.Struct):
    updates: list[Listed]


def list_beside(folder: Path, version: str, machine: str) -> Path:
    """Where the list of a release's packages is."""
    return folder / f"{version}-{machine}.packages.txt"


def source_beside(folder: Path, version: str, machine: str) -> Path:
    """Where it is said what a release was built of."""
    return folder / f"{version}-{machine}.commit.txt"


@dataclass(frozen=True, slots=True)
class Source:
    """What an update was built of."""

    commit: str
    """A ``+`` behind it: the tree was not as it was committed."""
    release: str
    """The version that was first built of it; of a rebuild that is not its own."""

    @property
    def written(self) -> str:
        """As it is kept."""
        return f"{self.commit} {self.release}\n"


def read_source(path: Path) -> Source | None:
    """What an update was built of; None: that was not kept.

    Raises:
        UpdateRefused: It can't be understood.
    """
    try:
        commit, release = path.read_text("utf-8").split()
        return Source(commit, check_version(release))
    except FileNotFoundError:
        return None
    except ValueError as error:
        raise UpdateRefused(f"{path} can't be understood: a commit and a version") from error


def last_release(folder: Path, machine: str) -> Listed:
    """The newest of a folder for a kind of machine.

    Raises:
        UpdateRefused: There is none.
    """
    try:
        listed = msgspec.json.decode((folder / "index.json").read_bytes(), type=_Index).updates
    except FileNotFoundError:
        listed = []
    except msgspec.DecodeError as error:
        raise UpdateRefused(f"{folder / 'index.json'} can't be understood: {error}") from error
    found = [one for one in listed if one.machine == machine]
    if not found:
        raise UpdateRefused(
            f"{folder} has no release for {machine} that could be built again",
            hint="make one first: scripts/build-image with --notes FILE --into FOLDER",
        )
    return max(found, key=lambda one: Version(one.version))


def next_version(
    folder: Path, machine: str, version: str, *, commit: str = "", is_named: bool = False
) -> str:
    """That of the next rebuild of a release.

    Args:
        folder: Of updates.
        machine: Their kind.
        version: That a build of the commit has by itself, or that was named.
        commit: What is built.
        is_named: Whether somebody named the version: then it has to be the release's.

    Raises:
        UpdateRefused: The last release is of another commit, or there is none.
    """
    last = last_release(folder, machine).version
    source = read_source(source_beside(folder, last, machine)) if commit else None
    if source is not None:
        if source.commit.endswith("+"):
            raise UpdateRefused(
                f"{last} for {machine} was built of a tree that was not as it was committed",
                hint="nobody can build that again: make a release of a commit, by --notes",
            )
        if source.commit != commit:
            raise UpdateRefused(
                f"the last release for {machine}, {last}, is of commit {source.commit}, and this"
                f" is {commit}",
                hint="check out the commit that was released; or make a release of this one, by"
                " --notes",
            )
        if is_named and version != source.release:
            raise UpdateRefused(
                f"the last release for {machine} is {source.release}, and not {version}",
                hint="leave --version away: the folder knows it",
            )
        version = source.release
    behind = last.removeprefix(version)
    if last == version:
        return check_version(f"{version}.1")
    if behind != last and behind.startswith(".") and behind[1:].isdecimal():
        return check_version(f"{version}.{int(behind[1:]) + 1}")
    raise UpdateRefused(
        f"the last release for {machine} is {last}, and this commit is {version}",
        hint="check out the commit that was released, and name its version if it was named, by"
        " --version; or make a release of this one, by --notes",
    )


def read_packages(path: Path) -> dict[str, str]:
    """The versions of packages, by ``name:architecture``.

    Raises:
        UpdateRefused: It is no such list, or is not there.
    """
    try:
        lines = path.read_text("utf-8").splitlines()
        return {f"{name}:{arch}": version for name, version, arch in map(str.split, lines)}
    except FileNotFoundError as error:
        raise UpdateRefused(
            f"{path} is not there: what the release was made of is not known",
            hint="copy it from beside the image that was released (…packages.txt)",
        ) from error
    except ValueError as error:
        raise UpdateRefused(f"{path} is no list of packages: name, version, architecture") from (
            error
        )


def changes(before: Mapping[str, str], after: Mapping[str, str]) -> list[str]:
    """What differs, a line for each package."""
    lines = []
    for key in sorted(before.keys() | after.keys()):
        old, new = before.get(key, "-"), after.get(key, "-")
        if old != new:
            lines.append(f"{key.partition(':')[0]} {old} → {new}")
    return lines


def notes_of(since: str, lines: list[str]) -> dict[str, str]:
    """Language -> what a rebuild says of itself.

    Args:
        since: The release that it follows.
        lines: Of ``changes``.
    """
    said: list[str] = []
    characters = 0
    for line in lines:
        characters += len(line) + 1
        if characters > _MOST_CHARACTERS:
            said.append(f"… +{len(lines) - len(said)}")
            break
        said.append(line)
    return {
        language: "\n".join((heading.format(since), *said, ""))
        for language, heading in _HEADINGS.items()
    }
