"""The service's part of updates in a process of its own that is killed at a step of ordering."""

from __future__ import annotations

import asyncio
from pathlib import Path

from edge import config
from edge.updates.journal import Folder
from edge.updates.means import Means
from edge.updates.updater import Updater
from tests.crash.forkserver import CONTEXT
from tests.crash.steps import Steps, watch_files
from tests.dimse.raw import until
from tests.updates.makers import place_of

__all__ = ["doomed_updater", "order"]


async def order(data_dir: Path, keys: Path, machine: Path, *, is_doomed: bool = False) -> None:
    """Let it do what its state says, until all of it is done, and the audit has heard it."""
    folder = Folder(data_dir)
    told = asyncio.Event()

    def is_done() -> bool:
        state = folder.state()
        return not state.install and state.told == folder.history()[-1].number

    async def reached() -> tuple[str, ...]:
        return ()

    async def at_once(_: object) -> None:
        pass

    means = Means(
        opened=lambda settings: settings,
        wait_open=at_once,
        incoming=lambda pieces: pieces,  # type: ignore[arg-type, return-value]
        way=None,
        is_quiet=lambda: True,
        turn_away=lambda _: None,
        reached=reached,
        ailing=lambda: (),
        note=lambda _: told.set(),
        tidy=lambda: None,
    )
    place = await asyncio.to_thread(place_of, machine)
    updater = Updater(config.Update(keys=keys), folder, means, place=place, quiet=0)
    running = asyncio.get_running_loop().create_task(updater.run())
    try:
        async with asyncio.timeout(30):
            await told.wait() if is_doomed else await until(is_done)
    finally:
        running.cancel()
        await asyncio.wait([running])


def _live(data_dir: Path, keys: Path, machine: Path, fatal: int) -> None:
    steps = Steps(data_dir.with_suffix(".steps"), fatal, is_service=True)
    watch_files(steps)
    steps.arm()
    asyncio.run(order(data_dir, keys, machine, is_doomed=True))
    data_dir.with_suffix(".done").write_text("\n".join(steps.names))


def doomed_updater(data_dir: Path, keys: Path, machine: Path, fatal: int) -> list[str]:
    """Have it order what is ready; die before step *fatal*.

    Returns:
        The names of all steps; none if it did not come to the end of them.
    """
    process = CONTEXT.Process(target=_live, args=(data_dir, keys, machine, fatal))
    process.start()
    process.join()
    done = data_dir.with_suffix(".done")
    return done.read_text().split() if done.exists() else []
