"""DCMTK's tools as Debian has them, run without holding the event loop."""

from __future__ import annotations

import asyncio
import os
from dataclasses import dataclass

PATIENCE = 60.0


@dataclass(frozen=True)
class Result:
    """What a tool said."""

    status: int
    output: str


async def run(
    tool: str, port: int, *arguments: object, called: str = "EDGE", nagle: bool = False
) -> Result:
    """Run *tool* against a port of loopback, with Nagle's algorithm only if *nagle* says so."""
    environment = {key: value for key, value in os.environ.items() if key != "TCP_NODELAY"}
    if not nagle:
        environment["TCP_NODELAY"] = "1"
    words = ["-aec", called, "127.0.0.1", str(port), *map(str, arguments)]
    process = await asyncio.create_subprocess_exec(
        tool,
        *words,
        env=environment,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        async with asyncio.timeout(PATIENCE):
            output, _ = await process.communicate()
    except TimeoutError:
        process.kill()
        raise
    return Result(process.returncode or 0, output.decode(errors="replace"))
