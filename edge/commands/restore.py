"""``edge restore``: a new box becomes one that was stolen or burnt."""

# ruff: noqa: PLC0415 - see `edge.commands.parsing`

from __future__ import annotations

import argparse
import asyncio
from pathlib import Path
from typing import TYPE_CHECKING

from edge import loading, others
from edge.commands.key import add_key_file, ask_for_key
from edge.commands.parsing import Commands, usual_file
from edge.commands.words import moment, say
from edge.errors import CloudUnauthorised, ConfigError, EdgeError

if TYPE_CHECKING:
    from edge.cache.backup import Contents
    from edge.cache.restore import Restored
    from edge.crypto.recovery import RecoveryKey

__all__ = ["add"]


def add(commands: Commands) -> None:
    """Add the command."""
    text = "Make this box the one that a backup was made of; its recovery key is asked for."
    command = commands.add("restore", text, _restore)
    where = command.add_mutually_exclusive_group(required=True)
    where.add_argument("--from", dest="file", type=Path, metavar="FILE", help="of edge backup")
    where.add_argument(
        "--from-archive", dest="url", metavar="URL", help="base of the archive's DICOMweb service"
    )
    command.add_argument(
        "--auth",
        type=Path,
        metavar="FILE",
        help="a configuration whose [[cloud.archive]] has that url, and says how to sign in there",
    )
    add_key_file(command)


async def _restore(options: argparse.Namespace) -> int:
    from edge.cache.restore import open_backup, restore

    path = await asyncio.to_thread(usual_file(options).absolute)
    if options.file is not None:
        try:
            data = await asyncio.to_thread(options.file.read_bytes)
        except OSError as error:
            raise EdgeError(f"{options.file} can't be read: {error.strerror}") from error
        contents = open_backup(data, await ask_for_key(options))
    else:
        settings = await asyncio.to_thread(_archive, options, path)
        contents = await _from_archive(settings, await ask_for_key(options))
    _tell(await restore(contents, path), path)
    return 0


def _archive(options: argparse.Namespace, path: Path) -> others.Archive:
    """How to reach it: as a configuration says, or with the url alone."""
    url = str(options.url).rstrip("/")
    named = options.auth or (path if path.exists() else None)
    if named is not None:
        for archive in loading.load(named).cloud.archive:
            if archive.url.rstrip("/") == url:
                return archive
    if options.auth is not None:
        raise ConfigError(f"{named} has no [[cloud.archive]] with url = {url}")
    said = {"EDGE_CLOUD__ARCHIVE__0__NAME": url, "EDGE_CLOUD__ARCHIVE__0__URL": url}
    return loading.load(None, said).cloud.archive[0]


async def _from_archive(settings: others.Archive, key: RecoveryKey) -> Contents:
    from edge.cache.restore import newest_in
    from edge.cloud.orthanc import archive_of

    archive = archive_of(settings)
    try:
        return await newest_in(archive, key)
    except CloudUnauthorised as error:
        hint = "name a configuration that says how to sign in there, with --auth"
        raise CloudUnauthorised(str(error), hint=hint) from error
    finally:
        await archive.close()


def _tell(done: Restored, path: Path) -> None:
    contents = done.contents
    say(f"This is {contents.box} again, as of {moment(contents.made)}, in {done.data_dir}.")
    rows = {table.name: len(table.rows) for table in contents.index.tables}
    say(f"  users           {rows.get('users', 0)}")
    say(f"  tokens          {rows.get('tokens', 0)}")
    say(f"  deleted images  {rows.get('tombstones', 0)}, which stay deleted")
    if done.beside:
        say(f"  configuration   {path} was there and is in force; the backup's is")
        say(f"                  {done.configuration}: compare them")
    elif done.configuration is not None:
        say(f"  configuration   {done.configuration}")
    for place in done.put:
        say(f"  also written    {place}")
    if contents.variables:
        say(f"  not in it       what these variables said: {', '.join(contents.variables)}")
    if done.lost:
        say(f"  perhaps lost    {done.lost} images, unless the archive has them: edge status")
    if gone := contents.index.quarantined:
        say(f"  in conflict     {len(gone)} images had other bytes here; those are gone:")
        for _, _, sop_uid in gone:
            say(f"                  {sop_uid}")
    if done.locked:
        say("It starts locked: open it with edge key unlock --recovery, once edge serve runs.")
    say("Start it with edge serve: what the archive has appears as soon as it is reached.")
