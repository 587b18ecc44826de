"""A mini-PC in the shape of a QEMU process that runs the disk image.

Owns one folder, with what the machine keeps while it is off: its disk (an overlay over the built
image, which is never written), the firmware's variables, its TPM. Listens on loopback only. Never
touches a QEMU it did not start."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import re
import shutil
import socket
import ssl
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Self

from tests.image.accelerator import fastest
from tests.image.media import form_of, node, overlay, run
from tests.ports import free_port

__all__ = [
    "BUILD",
    "CARDS",
    "FIRMWARE",
    "HOST",
    "Machine",
    "built",
    "hindrance",
    "lacking",
    "switched_on",
]

BUILD = Path(__file__).resolve().parent.parent.parent / "build" / "image"
FIRMWARE = {
    "amd64": ("/usr/share/OVMF/OVMF_CODE_4M.fd", "/usr/share/OVMF/OVMF_VARS_4M.fd"),
    "arm64": ("/usr/share/AAVMF/AAVMF_CODE.fd", "/usr/share/AAVMF/AAVMF_VARS.fd"),
}
PROGRAMS = {"amd64": "qemu-system-x86_64", "arm64": "qemu-system-aarch64"}
CARDS = ("52:54:00:12:34:56", "52:54:00:12:34:57")
"""Addresses of its network cards, the same at each start."""
HOST = "10.0.2.2"
"""This machine, as QEMU's network shows it to its guest."""
SLOW = "throttling.bps-total=30000000,throttling.iops-total=500"
"""An SD card's speed."""
PATIENCE = 1200.0
"""Seconds for a start without KVM on a machine that does other things, too."""


def built(profile: str = "amd64") -> Path:
    """The image that ``scripts/build-image`` left."""
    return BUILD / profile / "edge.raw"


def lacking(profile: str = "amd64") -> str:
    """Why no machine can be had here, whatever is on its disk; empty if it can."""
    programs = (PROGRAMS[profile], "qemu-img", "mcopy", "mkfs.vfat")
    if missing := [name for name in programs if not shutil.which(name)]:
        return f"needs {', '.join(missing)}"
    if not Path(FIRMWARE[profile][0]).exists():
        return "needs the firmware: package ovmf"
    return ""


def hindrance(profile: str = "amd64") -> str:
    """Why no machine with the image can be had here; empty if it can."""
    if lacks := lacking(profile):
        return lacks
    return "" if built(profile).exists() else f"needs scripts/build-image {profile}"


@dataclass
class Machine:
    """One machine.

    Args:
        folder: Of what it keeps; made if missing.
        image: Under its disk; None starts it with an empty disk.
        disk_kind: QEMU's device for its disk, such as ``nvme``.
        disks: Images of further disks.
        sticks: Images of USB sticks that are in it when it starts.
        boots_from: ``disk``, ``stick`` (the first), or what its firmware finds and remembers.
        display: As QEMU calls it, such as ``gtk``.
        is_typed: What is typed here goes to its serial line, and what comes from there is shown.
        is_apart: Ctrl-C at the terminal is for who started it, and does not end it.
        is_over_at_restart: It is switched off where it would start again.
        accelerator: As QEMU calls it; none: the fastest that works here.
        options: For the kernel, beside its own. Like the next two it comes through the firmware's
            tables, which is how who runs a virtual machine tells systemd what it shall do.
        units: Name -> text of units that its systemd has beside the image's.
        dropins: Name of a unit -> what is added to it.
        other_http_port: Of loopback, that leads to its page by its second network card; 0 and the
            next 0, too: it has one card. The network of the second leads nowhere else.
        other_dicom_port: The same for what modalities call that were told no port, 104.
    """

    folder: Path
    image: Path | None = None
    profile: str = "amd64"
    memory: int = 2048
    cores: int = 2
    disk_size: str = "16G"
    disk_kind: str = "virtio-blk-pci"
    disks: Sequence[Path] = ()
    sticks: Sequence[Path] = ()
    boots_from: Literal["disk", "stick", "firmware"] = "disk"
    tpm: bool = False
    slow: bool = False
    display: str = "none"
    is_typed: bool = False
    is_apart: bool = False
    is_over_at_restart: bool = False
    options: str = ""
    units: dict[str, str] = field(default_factory=dict)
    dropins: dict[str, str] = field(default_factory=dict)
    accelerator: str = ""
    http_port: int = field(default_factory=free_port)
    dicom_port: int = field(default_factory=free_port)
    other_http_port: int = 0
    other_dicom_port: int = 0
    process: subprocess.Popen[bytes] | None = None
    _tpm: subprocess.Popen[bytes] | None = None
    _typed: int | None = None
    """Descriptor of what QEMU reads as typed on the serial line."""

    @property
    def disk(self) -> Path:
        """Its disk, an overlay."""
        return self.folder / "disk.qcow2"

    @property
    def console(self) -> str:
        """All that came over the serial line, of every start."""
        path = self.folder / "serial.log"
        return path.read_text(errors="replace") if path.exists() else ""

    def start(self) -> Self:
        """Switch it on."""
        assert self.process is None, "already on"
        self.folder.mkdir(parents=True, exist_ok=True)
        if not self.disk.exists():
            if self.image:
                overlay(self.disk, self.image, self.disk_size)
            else:
                run("qemu-img", "create", "-q", "-f", "qcow2", self.disk, self.disk_size)
        variables = self.folder / "firmware.fd"
        if not variables.exists():
            shutil.copy(FIRMWARE[self.profile][1], variables)
        if self.tpm:
            self._start_tpm()
        monitor = self.folder / "monitor"
        monitor.unlink(missing_ok=True)
        if self.is_typed:
            self.process = subprocess.Popen(self.command())
            return self
        with (self.folder / "qemu.log").open("ab") as log:
            self.process = subprocess.Popen(
                self.command(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=self.is_apart,
            )
        return self

    def _start_tpm(self) -> None:
        state = self.folder / "tpm"
        state.mkdir(exist_ok=True)
        channel = self.folder / "tpm.socket"
        channel.unlink(missing_ok=True)
        self._tpm = subprocess.Popen(
            [
                *("swtpm", "socket", "--tpm2", "--tpmstate", f"dir={state}"),
                *("--ctrl", f"type=unixio,path={channel}", "--flags", "startup-clear"),
            ],
            stdin=subprocess.DEVNULL,
            start_new_session=self.is_apart,
        )
        deadline = time.monotonic() + 20
        while not channel.exists():
            assert time.monotonic() < deadline, "swtpm did not start"
            time.sleep(0.05)

    def command(self) -> list[str]:
        """What is started."""
        is_arm = self.profile != "amd64"
        code, _ = FIRMWARE[self.profile]
        forwards = (
            f"hostfwd=tcp:127.0.0.1:{self.http_port}-:8443,"
            f"hostfwd=tcp:127.0.0.1:{self.dicom_port}-:11112"
        )
        kept = self.folder / "serial.log"
        serial = f"file,id=serial,path={kept},append=on"
        if self.is_typed:
            serial = f"stdio,id=serial,mux=on,signal=off,logfile={kept},logappend=on"
        words = [
            PROGRAMS[self.profile],
            *("-name", "edge", "-nodefaults", "-no-user-config"),
            *(
                "-machine",
                "virt" if is_arm else "q35",
                "-accel",
                self._accelerated,
            ),
            # That of a Raspberry Pi 4: one that has all there is would sign its pointers, which
            # costs an emulator more than all else.
            *(
                "-cpu",
                "cortex-a72" if is_arm else "max",
                "-smp",
                str(self.cores),
                "-m",
                str(self.memory),
            ),
            *("-drive", f"if=pflash,format=raw,readonly=on,file={code}"),
            *("-drive", f"if=pflash,format=raw,file={self.folder / 'firmware.fd'}"),
            *("-netdev", f"user,id=net,hostname=edge,{forwards}"),
            *("-device", f"virtio-net-pci,netdev=net,mac={CARDS[0]},romfile="),
            *("-device", "virtio-rng-pci"),
            *("-device", "qemu-xhci,id=usb"),
            *("-chardev", serial, *(["-no-reboot"] if self.is_over_at_restart else [])),
            *("-serial", "chardev:serial"),
            *("-qmp", f"unix:{self.folder / 'monitor'},server=on,wait=off"),
            *("-display", self.display, "-device", "virtio-gpu-pci" if is_arm else "VGA"),
        ]
        speed = f",{SLOW}" if self.slow else ""
        if self.slow and self.disk_kind == "virtio-blk-pci":
            # Of an empty disk all is discarded, which would count as if it were written.
            kind = f"{self.disk_kind},discard=off"
        else:
            kind = self.disk_kind
        order = {"disk": ",bootindex=1", "stick": ",bootindex=9", "firmware": ""}[self.boots_from]
        words += [
            *("-drive", f"if=none,id=disk,format=qcow2,discard=unmap,file={self.disk}{speed}"),
            *("-device", f"{kind},drive=disk,serial=DISK0{order}"),
        ]
        for number, image in enumerate(self.disks, 1):
            words += ["-drive", f"if=none,id=disk{number},format={form_of(image)},file={image}"]
            words += ["-device", f"virtio-blk-pci,drive=disk{number},serial=DISK{number}"]
        for number, image in enumerate(self.sticks):
            name = f"stick{number}"
            # By names with which they are pulled out while it runs: see `tests.image.usb`.
            words += ["-blockdev", json.dumps(node(image, name))]
            is_first = ",bootindex=1" if self.boots_from == "stick" and not number else ""
            device = f"usb-storage,bus=usb.0,id={name}-device,drive={name},removable=on{is_first}"
            words += ["-device", device]
        if self.other_http_port or self.other_dicom_port:
            forwards = (
                f"hostfwd=tcp:127.0.0.1:{self.other_http_port}-:8443,"
                f"hostfwd=tcp:127.0.0.1:{self.other_dicom_port}-:104"
            )
            words += ["-netdev", f"user,id=net2,net=10.0.3.0/24,restrict=on,{forwards}"]
            words += ["-device", f"virtio-net-pci,netdev=net2,mac={CARDS[1]},romfile="]
        if self.tpm:
            words += ["-chardev", f"socket,id=tpm,path={self.folder / 'tpm.socket'}"]
            words += ["-tpmdev", "emulator,id=tpm,chardev=tpm"]
            words += ["-device", "tpm-tis-device,tpmdev=tpm" if is_arm else "tpm-crb,tpmdev=tpm"]
        if told := self._told():
            words += ["-smbios", ",".join(["type=11", *(f"value={each}" for each in told)])]
        return words

    @property
    def _accelerated(self) -> str:
        return self.accelerator or fastest(PROGRAMS[self.profile], *FIRMWARE[self.profile])

    def _told(self) -> list[str]:
        """What stands in the firmware's tables for it."""
        options = self.options
        if self.profile == "amd64" and self._accelerated.startswith("tcg"):
            # On a busy host the kernel, which tries its timer at once, takes one that comes late
            # for a broken one, and panics.
            options = f"no_timer_check {options}".strip()
        told = [f"io.systemd.stub.kernel-cmdline-extra={options}"] if options else []
        for kind, texts in (("extra-unit", self.units), ("unit-dropin", self.dropins)):
            for name, text in texts.items():
                value = base64.b64encode(text.encode()).decode()
                told.append(f"io.systemd.credential.binary:systemd.{kind}.{name}={value}")
        return told

    def kill(self) -> None:
        """The power goes."""
        for process in (self.process, self._tpm):
            if process is not None:
                process.kill()
                process.wait()
        self.process = self._tpm = None
        if self._typed is not None:
            os.close(self._typed)
            self._typed = None

    def stop(self, seconds: float = 300) -> None:
        """Press the power button, and wait until it is off.

        Raises:
            TimeoutExpired: It did not turn off; the power is gone by now.
        """
        if self.process is None:
            return
        try:
            self.monitor("system_powerdown")
            self.process.wait(seconds)
        finally:
            self.kill()

    def monitor(self, act: str, **arguments: Any) -> Any:
        """Ask QEMU for something (QMP)."""
        with socket.socket(socket.AF_UNIX) as line:
            line.settimeout(60)
            line.connect(str(self.folder / "monitor"))
            file = line.makefile("rw")
            file.readline()
            for command in (
                {"execute": "qmp_capabilities"},
                {"execute": act, "arguments": arguments},
            ):
                file.write(json.dumps(command) + "\n")
                file.flush()
                while True:
                    answer = json.loads(file.readline())
                    if "error" in answer:
                        raise RuntimeError(f"{act}: {answer['error']['desc']}")
                    if "return" in answer:
                        break
            return answer["return"]

    def picture(self, path: Path) -> Path:
        """What its screen shows, as a PNG."""
        self.monitor("screendump", filename=str(path), format="png")
        return path

    def type_on_line(self, data: bytes) -> None:
        """Type at the other end of its serial line; what it answers stands in `console`."""
        if self._typed is None:
            path = self.folder / "typed"
            path.unlink(missing_ok=True)
            os.mkfifo(path)
            # For both, so that QEMU waits for nobody when it opens it.
            self._typed = os.open(path, os.O_RDWR)
            log = {"out": str(self.folder / "serial.log"), "append": True, "in": str(path)}
            self.monitor("chardev-change", id="serial", backend={"type": "file", "data": log})
        os.write(self._typed, data)

    def type(self, keys: Sequence[str]) -> None:
        """Press keys, by QEMU's names for them, one after the other."""
        for key in keys:
            code = [{"type": "qcode", "data": each} for each in key.split("-")]
            self.monitor("send-key", keys=code)
            time.sleep(0.1)  # a keyboard that is faster loses keys

    @property
    def processor_seconds(self) -> float:
        """Of this machine's processors, that it has taken since it was switched on."""
        assert self.process is not None
        words = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(words[11]) + int(words[12])) / os.sysconf("SC_CLK_TCK")

    # What is asked of it over HTTPS. Its certificate is its own.

    @property
    def url(self) -> str:
        """Where its page and services are."""
        return f"https://127.0.0.1:{self.http_port}"

    def ask(
        self,
        path: str,
        *,
        method: str = "GET",
        token: str = "",
        body: bytes | None = None,
        headers: dict[str, str] | None = None,
        seconds: float = 60,
        port: int = 0,
    ) -> tuple[int, bytes]:
        """Ask for something (at another port of loopback, if one is named); status and body."""
        context = ssl.create_default_context()
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        url = f"https://127.0.0.1:{port}" if port else self.url
        request = urllib.request.Request(url + path, body, headers or {}, method=method)
        if token:
            request.add_header("Authorization", f"Bearer {token}")
        try:
            with urllib.request.urlopen(request, timeout=seconds, context=context) as answer:
                return answer.status, answer.read()
        except urllib.error.HTTPError as error:
            return error.code, error.read()

    def until_ready(self, seconds: float = PATIENCE) -> float:
        """Wait until it serves; the seconds that it took."""
        started = time.monotonic()
        while True:
            said = "nothing"
            with contextlib.suppress(OSError):
                status, body = self.ask("/readyz", seconds=10)
                if status == 200:
                    return time.monotonic() - started
                said = f"{status} {body[:200]!r}"
            assert self.process is not None
            assert self.process.poll() is None, (self.folder / "qemu.log").read_text()
            assert time.monotonic() < started + seconds, (said, self.console[-4000:])
            time.sleep(0.5)

    def until_said(self, pattern: str, seconds: float = PATIENCE, *, after: int = 0) -> str:
        """Wait until something stands on the serial console; what matched."""
        deadline = time.monotonic() + seconds
        while True:
            if found := re.search(pattern, self.console[after:]):
                return found[0]
            assert time.monotonic() < deadline, self.console[-4000:]
            time.sleep(0.5)


@contextlib.contextmanager
def switched_on(machine: Machine) -> Iterator[Machine]:
    """It, running; the power goes at the end, if it did not before."""
    try:
        yield machine.start()
    finally:
        machine.kill()
