"""The terrible line at its true scale: 2 Mbit/s that break again and again while 1,000 small
instances go up. How much of what the line carried was wasted, and how much of it was filled.
"""

from __future__ import annotations

import time

from tests.bench.servers import EDGE, Orthanc
from tests.bench.stand import Stand
from tests.bench.sync import SendingEdge, fill, found_online, until
from tests.bench.table import Line, Unit
from tests.bench.wire import Wire

__all__ = ["measure"]

RATE = 2_000_000 / 8
"""Bytes a second each way."""
SEED = 20240229
QUESTION = 500
"""Bytes of the headers of a request: on such a line an instance has one of its own."""


def measure(stand: Stand) -> None:
    """Measure it, once."""
    count, cuts = stand.scale.sent_badly, stand.scale.cuts
    sample = stand.workplace.small_instances(count, sides=(98, 171))
    folder, far = stand.workplace.fresh("server"), stand.workplace.fresh("receiver")
    edge, server = SendingEdge(folder), Orthanc(far)
    try:
        edge.start()
        fill(edge, sample)
        edge.stop()
        server.start()
        with Wire(server.web.port, RATE) as wire:
            edge.give_archive(wire.port, server.auth)
            wire.cut_at_random(SEED, cuts, within=2 * sample.size, down_for=0.5)
            with found_online(edge) as begun:
                edge.start()
            until(lambda: edge.is_acknowledged(count), "all is acknowledged")
            seconds = time.perf_counter() - begun()
            carried, up_for, there = wire.carried()
            until(lambda: edge.custody().get("VERIFIED") == count, "all is verified")
            verified = time.perf_counter() - begun()
    finally:
        edge.discard()
        server.discard()
        stand.workplace.remove(folder)
        stand.workplace.remove(far)
    section = f"a terrible line: {count} instances, {sample.size / 1e6:.0f} MB, 2 Mbit/s"
    stand.add(Line(section, "all acknowledged", Unit.SECONDS), EDGE, seconds)
    stand.add(Line(section, "all verified", Unit.SECONDS), EDGE, verified)
    needed = sample.size + count * QUESTION
    stand.note(
        f"Terrible line: {there} cuts until all was acknowledged ({cuts} in all);"
        f" {carried / 1e6:.2f} MB up for {needed / 1e6:.2f} MB needed,"
        f" {(carried - needed) / carried:.1%} wasted; the line was up for {up_for:.0f} s and"
        f" {carried / (RATE * up_for):.0%} filled."
    )
