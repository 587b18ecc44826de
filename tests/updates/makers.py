"""Updates of nobody: keys, bundles, machines, and a web server that has them."""

from __future__ import annotations

import base64
import contextlib
import json
import subprocess
import uuid
from dataclasses import dataclass, field
from pathlib import Path

from aiohttp import web
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from edge.updates.bundle import pack, write
from edge.updates.machine import Place
from edge.updates.manifest import Manifest

MIB = 1024**2
ROOT_TYPE = "4f68bce3-e8cd-4db1-96e7-fbcaf984b709"
VERITY_TYPE = "2c7357ed-ebd2-46d9-aec1-23d437ec2bf5"
ESP_TYPE = "c12a7328-f81f-11d2-ba4b-00a0c93ec93b"
LINUX = "0fc63daf-8483-4772-8e79-3d69d8477de4"


def public(key: Ed25519PrivateKey) -> str:
    return base64.b64encode(key.public_key().public_bytes_raw()).decode()


@dataclass
class Maker:
    """Makes updates, and has its public keys in a folder."""

    folder: Path
    present: Ed25519PrivateKey = field(default_factory=Ed25519PrivateKey.generate)
    next: Ed25519PrivateKey = field(default_factory=Ed25519PrivateKey.generate)

    def __post_init__(self):
        self.keys = self.folder / "keys"
        self.keys.mkdir(parents=True, exist_ok=True)
        (self.keys / "present.pub").write_text(f"# the present one\n{public(self.present)}\n")
        (self.keys / "next.pub").write_text(f"{public(self.next)}\n")

    def bundle(
        self,
        version="1.1",
        *,
        minimum="1.0",
        machine="x86-64",
        size=300_000,
        xz=False,
        keys=None,
        name="",
        **more,
    ) -> Path:
        """One; its parts hold bytes that tell its version."""
        scratch = self.folder / "scratch"
        scratch.mkdir(exist_ok=True)
        names = ("root", "verity", "boot" if machine == "rpi" else "uki")
        parts, stored = [], {}
        for part in names:
            source, stored[part] = scratch / f"{part}.raw", scratch / part
            source.write_bytes(content_of(version, part, size))
            parts.append(pack(part, source, stored[part], xz=xz))
        said = {
            "form": 1,
            "version": version,
            "minimum_version": minimum,
            "machine": machine,
            "made": 1_700_000_000.0,
            "root_hash": "0123456789abcdef" * 4,
            "notes": {"en": f"What is new in {version}", "es": f"Novedades de {version}"},
            "parts": tuple(parts),
            **more,
        }
        path = self.folder / (name or f"{version}.edgeupdate")
        write(path, Manifest(**said), stored, keys or [self.present])
        return path


def content_of(version: str, part: str, size: int) -> bytes:
    line = f"{part} of {version}\n".encode()
    return (line * (size // len(line) + 1))[: size if part != "verity" else size // 10]


def place_of(folder: Path, version="1.0", *, boot="first", model="", image="edge") -> Place:
    """A machine of this version."""
    folder.mkdir(parents=True, exist_ok=True)
    release = folder / "os-release"
    release.write_text(f'ID=debian\nIMAGE_ID="{image}"\nIMAGE_VERSION={version}\n')
    (folder / "boot_id").write_text(f"{boot}\n")
    if model:
        (folder / "model").write_text(model)
    return Place(release, folder / "boot_id", folder / "model", "x86_64")


def make_disk(path: Path, version="1.0", *, slots=2, size=2) -> Path:
    """An image of a disk with slots; sfdisk writes its table."""
    lines = ["label: gpt", f"size={size}MiB, type={ESP_TYPE}, name=edge-esp"]
    for number in range(slots):
        root, verity = (f"edge-{what}-{version}" for what in ("root", "verity"))
        if number:
            root = verity = "_empty"
        lines.append(f"size={size}MiB, type={ROOT_TYPE}, name={root}, uuid={uuid.uuid4()}")
        lines.append(f"size={size}MiB, type={VERITY_TYPE}, name={verity}")
    lines.append(f"size={size}MiB, type={LINUX}, name=edge-data")
    return write_table(path, lines, (2 * slots + 2) * size + 3)


def make_pi_disk(path: Path, version="1.0", *, size=2) -> Path:
    lines = ["label: gpt", f"size={size}MiB, type={ESP_TYPE}, name=edge-select"]
    lines += [f"size={size}MiB, type={LINUX}, name=edge-boot-{one}" for one in "ab"]
    for root, verity in ((f"edge-root-{version}", f"edge-verity-{version}"), ("_empty",) * 2):
        lines.append(f"size={size}MiB, type={ROOT_TYPE}, name={root}")
        lines.append(f"size={size}MiB, type={VERITY_TYPE}, name={verity}")
    return write_table(path, lines, 7 * size + 3)


def write_table(path: Path, lines: list[str], mib: int) -> Path:
    with path.open("wb") as file:
        file.truncate(mib * MIB)
    subprocess.run(
        ["sfdisk", "--quiet", str(path)],
        input="\n".join(lines),
        text=True,
        check=True,
        capture_output=True,
    )
    return path


@dataclass
class Shop:
    """A web server with a folder of updates, which may break off or lie."""

    folder: Path
    url: str = ""
    cut_after: int | None = None
    """Bytes of one answer."""
    asked: list[tuple[str, str]] = field(default_factory=list)
    """Path and range."""
    knows_ranges: bool = True
    etag: str = '"one"'
    sent: int = 0
    status: int = 0
    """That it answers with to everything; 0: what there is."""

    def list(self, *listed: tuple[str, str, str]) -> None:
        self.folder.mkdir(exist_ok=True)
        updates = [{"version": v, "machine": m, "file": f} for v, m, f in listed]
        (self.folder / "index.json").write_text(json.dumps({"updates": updates}))

    async def answer(self, request: web.Request) -> web.StreamResponse:
        wanted = request.headers.get("Range", "")
        self.asked.append((request.path, wanted))
        if self.status:
            return web.Response(status=self.status)
        path = self.folder / request.path.rpartition("/")[2]
        if not path.is_file():
            return web.Response(status=404)
        data, status = path.read_bytes(), 200
        headers = {"ETag": self.etag}
        is_same = request.headers.get("If-Range", self.etag) == self.etag
        if wanted and self.knows_ranges and is_same:
            begin, _, end = wanted.removeprefix("bytes=").partition("-")
            last = min(int(end or len(data) - 1), len(data) - 1)
            headers["Content-Range"] = f"bytes {begin}-{last}/{len(data)}"
            data, status = data[int(begin) : last + 1], 206
        response = web.StreamResponse(status=status, headers=headers)
        response.content_length = len(data)
        await response.prepare(request)
        if self.cut_after is not None and len(data) > self.cut_after:
            data = data[: self.cut_after]
            await response.write(data)
            self.sent += len(data)
            request.transport.abort()
            return response
        self.sent += len(data)
        with contextlib.suppress(ConnectionError):
            await response.write(data)
            await response.write_eof()
        return response


@contextlib.asynccontextmanager
async def shop(folder: Path):
    """It, open."""
    made = Shop(folder)
    application = web.Application()
    application.router.add_get("/{any:.*}", made.answer)
    runner = web.AppRunner(application, shutdown_timeout=0.2)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    made.url = f"http://127.0.0.1:{runner.addresses[0][1]}/updates/"
    try:
        yield made
    finally:
        await runner.cleanup()
