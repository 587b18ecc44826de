"""``edge cloud``: whether the way to an archive works, and what to do if it does not."""

# ruff: noqa: PLC0415 - see `edge.commands.parsing`

from __future__ import annotations

import argparse
import asyncio
import json
import secrets
import sys
from contextlib import aclosing
from typing import TYPE_CHECKING, Any

from edge import config, others
from edge.commands.parsing import Acts, Commands, configuration
from edge.commands.words import say
from edge.errors import ConfigError

if TYPE_CHECKING:
    from edge.cloud.findings import Finding

__all__ = ["add"]

_MARKS = {"passed": ("✓", "ok"), "noted": ("!", "!"), "failed": ("✗", "FAILED")}


def add(commands: Commands) -> None:
    """Add the command."""
    acts = Acts(commands.add("cloud", "Look after the way to the archives."))
    test = acts.add(
        "test",
        "Go the way to an archive step by step, with an instance that is deleted again.",
        _test,
    )
    test.add_argument("name", nargs="?", metavar="NAME", help="of one archive (default: all)")
    test.add_argument("--json", action="store_true", help="for programs")


async def _test(options: argparse.Namespace) -> int:
    loaded = await configuration(options)
    chosen, key, aloud = _chosen(loaded.cloud, options.name), await _key(loaded), not options.json
    reports = [await _report(one, loaded.cloud, key, aloud=aloud) for one in chosen]
    if options.json:
        say(json.dumps({"archives": reports}))
    return int(not all(report["works"] for report in reports))


async def _key(loaded: config.Config) -> bytes:
    """What opens the secrets of archives; those in files need no box yet."""
    from edge.crypto.secrets import PURPOSE
    from edge.opening import Cache

    if await asyncio.to_thread((loaded.appliance.data_dir / "index.db").exists):
        async with Cache(loaded) as cache:
            return cache.keys.derive(PURPOSE)
    return secrets.token_bytes(32)


async def _report(
    settings: others.Archive, cloud: config.Cloud, key: bytes, *, aloud: bool
) -> dict[str, Any]:
    """Walk to one; to one whose sealed secret can't be opened nobody gets."""
    from edge.cloud.shut import opened
    from edge.errors import SecretUnopened

    try:
        archive = await asyncio.to_thread(opened, settings, cloud, key)
    except SecretUnopened as error:
        say(f"archive {settings.name}: {error}; {error.hint}", file=sys.stderr)
        return {"name": settings.name, "url": settings.url, "works": False, "steps": []}
    return await _walk(archive, aloud=aloud)


def _chosen(cloud: config.Cloud, name: str | None) -> list[others.Archive]:
    archives = list(cloud.archive)
    if not archives:
        raise ConfigError(
            "no archive is configured", hint="add [[cloud.archive]] with a name and an url"
        )
    chosen = [archive for archive in archives if name in (None, archive.name)]
    if not chosen:
        known = ", ".join(archive.name for archive in archives)
        raise ConfigError(f"no archive is called {name}", hint=f"there are: {known}")
    return chosen


async def _walk(settings: others.Archive, *, aloud: bool) -> dict[str, Any]:
    from edge.cloud.diagnosis import Diagnosis
    from edge.cloud.findings import Verdict
    from edge.cloud.orthanc import archive_of

    if aloud:
        way = f", by way of the proxy {settings.proxy}" if settings.proxy else ""
        say(f"archive {settings.name}: {settings.url}{way}", flush=True)
    steps, works = [], True
    async with (
        archive_of(settings) as archive,
        aclosing(Diagnosis(archive).findings()) as findings,
    ):
        async for finding in findings:
            works = works and finding.verdict is not Verdict.FAILED
            steps.append(
                {
                    "step": str(finding.step),
                    "verdict": str(finding.verdict),
                    "found": finding.found,
                    "hint": finding.hint,
                    "milliseconds": round(finding.milliseconds, 1),
                }
            )
            if aloud:
                _print(finding)
    return {"name": settings.name, "url": settings.url, "works": works, "steps": steps}


def _print(finding: Finding) -> None:
    tick, plain = _MARKS[finding.verdict]
    try:
        tick.encode(sys.stdout.encoding or "ascii")
        mark = tick
    except UnicodeEncodeError:
        mark = plain
    say(f"  {mark} {finding.step:<9}{finding.milliseconds:>6.0f} ms  {finding.found}", flush=True)
    if finding.hint:
        say(f"{'':>24}{finding.hint}", flush=True)
