"""``edge demo``: the main job on one machine, with a stand-in cloud.

The cloud is a second instance of this very service, so nothing else needs to be installed. A
modality is played by pynetdicom, with synthetic images of nobody. Everything listens on loopback,
and the data is thrown away at the end unless a folder is named.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
import signal
import socket
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import httpx
from pydicom.dataset import Dataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian
from pynetdicom import AE

from edge import config
from edge.access.roles import Role
from edge.app import Appliance
from edge.cache.own_settings import prove, take_back
from edge.errors import EdgeError
from edge.loading import layered
from edge.overlay import to_toml
from edge.phantom import phantom, write

__all__ = ["demo", "show"]

_SLICES = 20
_ATTEMPTS = 3
_INTERRUPTED = 130
"""The exit status of what Ctrl-C ended, as shells count."""
_PATIENCE = 60.0
"""Seconds that an upload on loopback may take before the demonstration gives up."""
_PEOPLE = {"nurse": Role.VIEWER, "technologist": Role.TECHNOLOGIST, "doctor": Role.PHYSICIAN}
_MODALITY = "MODALITY"
_HEAD = ("# Written by edge demo, each time that it begins.",)
_SIGNALS = (signal.SIGTERM, signal.SIGINT)


def demo(*, offline: bool, folder: Path | None) -> int:
    """Show the main job; the exit status.

    Args:
        offline: Go on to cut the line, work without it, restore it, compare, and end. Without it
            the appliance runs until it is interrupted.
        folder: Where the data is kept; None for a folder that is removed at the end.
    """
    with contextlib.ExitStack() as stack:
        if folder is None:
            # Removed behind the loop and its threads, the last of which may still write.
            temporary = tempfile.TemporaryDirectory(prefix="edge-demo-", ignore_cleanup_errors=True)
            folder = Path(stack.enter_context(temporary))
        with contextlib.suppress(asyncio.CancelledError):
            asyncio.run(_show_and_leave(folder, offline=offline))
            return 0
        return _INTERRUPTED


async def _show_and_leave(folder: Path, *, offline: bool) -> None:
    """Like `show`; then nothing cuts short what is removed behind the loop."""
    try:
        await show(folder, offline=offline)
    finally:
        # The loop would let a second signal, such as a service manager's, end the process at once.
        for number in _SIGNALS:
            asyncio.get_running_loop().remove_signal_handler(number)
            signal.signal(number, signal.SIG_IGN)


async def show(folder: Path, *, offline: bool) -> None:
    """Like `demo`, in a folder that is there; SIGINT and SIGTERM cancel it."""
    if showing := asyncio.current_task():
        _at_signals(showing.cancel)
    await _Demo(folder).run(offline=offline)


class _Demo:
    """Two appliances, and what is shown with them."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._file = folder / "edge.toml"
        self._cloud: Appliance | None = None
        """None while the line is cut."""
        self._switching = asyncio.Lock()
        self._is_ready = False
        self._cloud_port = _free(8042)
        self._edge_port = _free(8443)
        self._dimse_port = _free(11112)

    async def run(self, *, offline: bool) -> None:
        _say("Starting a stand-in cloud and an edge cache on loopback …")
        cloud = self._cloud = await Appliance(self._cloud_config()).__aenter__()
        try:
            secret = await cloud.cache.tokens.create(Role.SERVICE, "edge demo")
            text = to_toml(self._edge_settings(secret), head=_HEAD)
            await asyncio.to_thread(_keep, self._file, text)
            stopping, is_told = asyncio.Event(), False
            again = True
            while again:
                async with self._opened_edge() as edge:
                    if not is_told:
                        await self._tell(edge, stopping, offline=offline)
                        is_told = True
                    again = not offline and await self._stay(edge, stopping)
        finally:
            await self._cut()

    @contextlib.asynccontextmanager
    async def _opened_edge(self) -> AsyncIterator[Appliance]:
        """It, with what its page was told of settings since; without that, if it can't be."""
        folder = self._folder / "edge"
        settings, loaded = await asyncio.to_thread(layered, self._file, {})
        async with contextlib.AsyncExitStack() as stack:
            try:
                opened = Appliance(loaded, file=self._file)
                edge = await stack.enter_async_context(opened)
            except Exception:
                if not await asyncio.to_thread(take_back, folder):
                    raise
                settings, loaded = await asyncio.to_thread(layered, self._file, {})
                edge = await stack.enter_async_context(Appliance(loaded, file=self._file))
            await asyncio.to_thread(prove, folder, settings.own_text.encode())
            yield edge

    async def _tell(self, edge: Appliance, stopping: asyncio.Event, *, offline: bool) -> None:
        token = await edge.cache.tokens.create(Role.ADMIN, "edge demo")
        self._client = httpx.AsyncClient(
            base_url=f"http://127.0.0.1:{self._edge_port}",
            headers={"Authorization": f"Bearer {token}"},
        )
        async with self._client:
            await self._show_upload(edge)
            if offline:
                await self._show_offline(edge)
                return
        await self._invite(edge, token, stopping)

    async def _stay(self, edge: Appliance, stopping: asyncio.Event) -> bool:
        """Until the end, or until other settings begin; whether it goes on."""
        async with asyncio.TaskGroup() as switching:
            with _at_wish(lambda: switching.create_task(self._switch_line())):
                if not self._is_ready:
                    self._is_ready = True
                    _say("Ctrl-C ends it.")
                return await edge.serve_until(stopping)

    async def _switch_line(self) -> None:
        async with self._switching:
            if self._cloud is not None:
                await self._cut()
                _say("The line is cut: the cloud does not listen any more.")
            else:
                await self._restore()
                _say("The line is restored.")

    async def _cut(self) -> None:
        cloud, self._cloud = self._cloud, None
        if cloud is not None:
            await cloud.__aexit__(None, None, None)

    async def _restore(self) -> Appliance:
        cloud = self._cloud = await Appliance(self._cloud_config()).__aenter__()
        return cloud

    async def _show_upload(self, edge: Appliance) -> None:
        study = phantom("EDGE^DEMO", "DEMO-1", _SLICES)
        began = time.monotonic()
        await asyncio.to_thread(self._send, study)
        _say(
            f"A modality sent a study of {_SLICES} slices over DICOM in "
            f"{time.monotonic() - began:.1f} s; the edge keeps it sealed."
        )
        began = time.monotonic()
        await _until(edge, lambda: self._verified(edge), "the upload")
        _say(f"It was uploaded, and read back to verify it, in {time.monotonic() - began:.1f} s:")
        _say(f"  edge:  {(await edge.status()).sentence}")
        assert self._cloud is not None
        _say(f"  cloud: {(await self._cloud.status()).summary.instances} instances")

    async def _show_offline(self, edge: Appliance) -> None:
        _say("Cutting the line: the cloud stops listening.")
        await self._cut()
        study = phantom("EDGE^OFFLINE", "DEMO-2", _SLICES)
        await asyncio.to_thread(self._send, study)
        _say("A second study was sent while the line is down:")
        await _until(edge, lambda: self._is_offline(edge), "the edge to notice")
        _say(f"  edge:  {(await edge.status()).sentence}")
        uid = str(study[0].StudyInstanceUID)
        answer = await self._client.get(
            f"/dicom-web/studies/{uid}",
            headers={"Accept": 'multipart/related; type="application/dicom"'},
        )
        answer.raise_for_status()
        _say(f"  and was read over DICOMweb: {len(answer.content)} bytes.")
        _say("Restoring the line.")
        cloud = await self._restore()
        await _until(edge, lambda: self._verified(edge), "the backlog")
        here, there = await _digests(edge), await _digests(cloud)
        equal = here == there
        _say(f"  edge:  {(await edge.status()).sentence}")
        _say(f"  {len(here)} instances on the edge, {len(there)} in the cloud: ", end="")
        _say("the same bytes on both sides." if equal else "NOT the same.")
        if not equal:
            raise EdgeError("edge and cloud are not equal")

    async def _invite(self, edge: Appliance, token: str, stopping: asyncio.Event) -> None:
        """Say what can be tried."""
        sample = self._folder / "sample.dcm"
        await asyncio.to_thread(write, phantom("EDGE^YOURS", "DEMO-3", 1)[0], sample)
        base, cloud = (
            f"http://127.0.0.1:{port}/dicom-web" for port in (self._edge_port, self._cloud_port)
        )
        assert self._cloud is not None
        shown = await self._cloud.cache.tokens.create(Role.VIEWER, "edge demo")
        _say("")
        _say(f"  DICOM     EDGE at 127.0.0.1:{self._dimse_port}")
        _say(f"  DICOMweb  {base}")
        _say(f"  token     {token}")
        await self._open_page(edge)
        _say("")
        _say("Try it from another terminal:")
        _say(f"  storescu -aet {_MODALITY} -aec EDGE 127.0.0.1 {self._dimse_port} {sample}")
        _say(f"  curl -H 'Authorization: Bearer {token}' {base}/studies")
        _say(f"  curl -H 'Authorization: Bearer {shown}' {cloud}/studies   # what the cloud has")
        _say("A device of another name is turned away, until it is let in on the page.")
        _say("(storescu is a program of DCMTK: on Debian, the package dcmtk.)")
        _say("")
        key = "o and Enter, or " if _is_terminal() else ""
        _say(f"Cut the line, and restore it: {key}kill -USR1 {os.getpid()}")
        _at_signals(stopping.set)

    async def _open_page(self, edge: Appliance) -> None:
        """Have people who log in at once, and one who looks after the box; say who they are."""
        # By this name, for no passkey is made for an address.
        page, users = f"http://localhost:{self._edge_port}", edge.cache.users
        _say(f"  web page  {page}/")
        if not await users.is_empty():
            return
        password = "-".join(secrets.token_hex(2) for _ in range(4))
        for name, role in _PEOPLE.items():
            await users.redeem((await users.add(name, role)).code, password)
        code = (await users.first_code()).code
        _say(f"            log in as {', '.join(_PEOPLE)}; password {password}")
        _say(f"            set it up as a technician does: {page}/setup, with the code {code}")

    def _send(self, study: Sequence[Dataset]) -> None:
        """Send a study, and what was not answered once more, as modalities do.

        On a busy machine pynetdicom may miss an answer: its reactor takes it for a request.
        """
        modality = AE(_MODALITY)
        modality.acse_timeout = modality.dimse_timeout = modality.network_timeout = 10
        modality.add_requested_context(CTImageStorage, ExplicitVRLittleEndian)
        waiting = list(study)
        for _ in range(_ATTEMPTS):
            association = modality.associate("127.0.0.1", self._dimse_port, ae_title="EDGE")
            if not association.is_established:
                raise EdgeError("the edge did not accept the association")
            try:
                while waiting:
                    status = getattr(association.send_c_store(waiting[0]), "Status", None)
                    if status is None:
                        break
                    if status != 0x0000:
                        raise EdgeError("the edge did not store an instance")
                    del waiting[0]
                else:
                    return
            finally:
                association.release()
        raise EdgeError("the edge did not answer")

    @staticmethod
    async def _verified(edge: Appliance) -> bool:
        custody = (await edge.status()).summary.custody
        return set(custody) == {"VERIFIED"}

    @staticmethod
    async def _is_offline(edge: Appliance) -> bool:
        return any(not archive.online for archive in (await edge.status()).archives)

    def _cloud_config(self) -> config.Config:
        return config.Config(
            appliance=config.Appliance(name="cloud", data_dir=self._folder / "cloud"),
            dimse=config.Dimse(listen="127.0.0.1:0", ae_title="CLOUD"),
            http=config.Http(listen=f"127.0.0.1:{self._cloud_port}", tls="off"),
        )

    def _edge_settings(self, secret: str) -> dict[str, Any]:
        """As they stand in a file, so that the page tells of them as it does of any box's."""
        return {
            "appliance": {"data_dir": str(self._folder / "edge")},
            "dimse": {
                "listen": f"127.0.0.1:{self._dimse_port}",
                "unknown_peers": "learn",
                "peer": [{"ae_title": _MODALITY, "name": "Modality of the demonstration"}],
            },
            "http": {"listen": f"127.0.0.1:{self._edge_port}", "tls": "off"},
            "cloud": {
                "archive": [
                    {
                        "name": "cloud",
                        "url": f"http://127.0.0.1:{self._cloud_port}/dicom-web",
                        "auth": {"kind": "bearer", "token": secret},
                    }
                ]
            },
            "sync": {"retry_min_seconds": 0.5, "retry_max_seconds": 2.0},
        }


@contextlib.contextmanager
def _at_wish(act: Callable[[], object]) -> Iterator[None]:
    """While it lasts, do that at SIGUSR1, and at an o that somebody types."""
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGUSR1, act)
    is_read = _is_terminal()
    if is_read:
        loop.add_reader(sys.stdin.fileno(), _typed, act)
    try:
        yield
    finally:
        if is_read:
            loop.remove_reader(sys.stdin.fileno())
        # One that comes later must not end the process, as is the default.
        loop.remove_signal_handler(signal.SIGUSR1)
        signal.signal(signal.SIGUSR1, signal.SIG_IGN)


def _typed(act: Callable[[], object]) -> None:
    """Somebody typed a line; or nobody will any more."""
    line = os.read(sys.stdin.fileno(), 1024) if _is_terminal() else b""
    if not line:
        asyncio.get_running_loop().remove_reader(sys.stdin.fileno())
    elif line.strip().lower() == b"o":
        act()


def _is_terminal() -> bool:
    """Whether somebody can type here: a job in the background that reads is stopped for it."""
    try:
        file = sys.stdin.fileno()
    except (OSError, ValueError, AttributeError):
        return False  # there is no standard input at all
    if not os.isatty(file):
        return False
    try:
        return os.tcgetpgrp(file) == os.getpgrp()
    except OSError:
        return True  # no shell has jobs at it


def _keep(path: Path, text: str) -> None:
    """Write what holds a token: for us alone."""
    path.unlink(missing_ok=True)
    path.touch(mode=0o600)
    path.write_text(text, encoding="utf-8")


def _at_signals(act: Callable[[], object]) -> None:
    for number in _SIGNALS:
        asyncio.get_running_loop().add_signal_handler(number, act)


def _say(text: str, end: str = "\n") -> None:
    """Print for a person, at once."""
    sys.stdout.write(text + end)
    sys.stdout.flush()


async def _until(box: Appliance, condition: Callable[[], Awaitable[bool]], what: str) -> None:
    """Wait for a condition, looking whenever something changed on the box.

    Raises:
        EdgeError: It did not come true in time.
    """
    try:
        async with asyncio.timeout(_PATIENCE):
            with box.changes.subscribe() as woken:
                while not await condition():
                    await woken.wait(0.5)
    except TimeoutError as error:
        raise EdgeError(f"{what} took longer than {_PATIENCE:.0f} s") from error


def _free(preferred: int) -> int:
    """The port that people know, if it is free, else any."""
    for port in (preferred, 0):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    raise EdgeError("no port of loopback is free")


async def _digests(box: Appliance) -> dict[str, bytes]:
    rows = await box.cache.database.read("SELECT sop_uid, dataset_digest FROM instances")
    return dict(rows)
