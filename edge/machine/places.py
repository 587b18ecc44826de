"""Where what the service and the machine tell each other lies; all of it, so that tests move it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

__all__ = ["OPENED", "Places"]

OPENED: Final = Path("/dev/mapper/edge-data")
"""The file system of the data, once it is opened."""


@dataclass(frozen=True, slots=True)
class Places:
    """Of one machine."""

    run: Path = Path("/run/edge-machine")
    """Is root's, and gone after a restart."""
    kept: Path = Path("/var/lib/edge-machine")
    """Is root's alone, and stays."""
    networkd: Path = Path("/run/systemd/network")
    """What is written there wins over what the image has (systemd.network)."""
    system_ca: Path = Path("/etc/ssl/certs/ca-certificates.crt")
    boot: tuple[Path, ...] = (Path("/efi"), Path("/boot"), Path("/boot/firmware"))
    """Where the boot partition may be mounted."""
    leds: Path = Path("/sys/class/leds")
    blocks: Path = Path("/sys/block")
    ports: Path = Path("/sys/class/net")
    devices: Path = Path("/dev")
    clock_chips: Path = Path("/sys/class/rtc")
    start_id: Path = Path("/proc/sys/kernel/random/boot_id")
    """Is another one after each start of the machine."""
    synchronized: Path = Path("/run/systemd/timesync/synchronized")
    """Is there once the clock follows a time server (systemd-timesyncd)."""
    own_disk: Path = Path("/run/edge-disk")
    """Links to the partitions of the disk that the machine started from (the image makes them)."""
    sticks: Path = Path("/run/edge-stick")
    """What is told of each stick that is in; the units that look at sticks make it."""
    nut: Path = Path("/run/edge-nut")
    """NUT's configuration, where an UPS was found."""
    reset: Path = Path("/usr/lib/edge/factory-reset")
    """The image's own program for that."""
    disk: Path = Path("/usr/lib/edge/disk")
    """The image's own program that opens the data, and knows where its key is."""
    boot_entry: Path = Path("/usr/lib/edge/boot-entry")
    """The image's own program that has the firmware start from a disk."""
    firewall: Path = Path("/usr/lib/edge/firewall.nft")
    """The image's own rules."""
    data: Path = Path("/var")
    """Where the data partition is mounted."""
    moving: Path = Path("/run/edge-move")
    """Where both file systems are seen by who copies one to the other."""
    host_name: Path = Path("/var/etc/hostname")
    """Where the image keeps it."""
    epoch: Path = Path("/usr/lib/clock-epoch")
    """Is as old as the build of the image (systemd)."""

    @classmethod
    def under(cls, root: Path) -> Self:
        """The same of a machine whose files are in a folder."""
        usual = cls()
        moved = {
            name: root / getattr(usual, name).relative_to("/")
            for name in cls.__slots__
            if name != "boot"
        }
        return cls(**moved, boot=tuple(root / one.relative_to("/") for one in usual.boot))

    @property
    def requests(self) -> Path:
        """Wishes; who may write here may have them carried out."""
        return self.run / "requests"

    @property
    def answers(self) -> Path:
        """What became of them."""
        return self.run / "answers"

    @property
    def network_state(self) -> Path:
        """What holds of the network, for everybody to read."""
        return self.run / "network.json"

    @property
    def network_kept(self) -> Path:
        """The settings that hold at every start."""
        return self.kept / "network.json"

    @property
    def name_kept(self) -> Path:
        """What the machine is called."""
        return self.kept / "name"

    @property
    def firewall_kept(self) -> Path:
        """What those rules read beside their own."""
        return self.kept / "firewall.d/50-edge.nft"

    @property
    def doors(self) -> Path:
        """What the firewall can't do of what the settings ask, for everybody to read."""
        return self.run / "doors.txt"

    @property
    def ca_kept(self) -> Path:
        """The clinic's own authorities."""
        return self.kept / "ca.pem"

    @property
    def ca_bundle(self) -> Path:
        """Whom the service trusts: the system's authorities and the clinic's."""
        return self.run / "ca-bundle.pem"

    @property
    def ca_told(self) -> Path:
        """The clinic's among them, for everybody to read."""
        return self.run / "ca-clinic.pem"

    @property
    def health(self) -> Path:
        """What root saw of the disks."""
        return self.run / "health.json"

    @property
    def power(self) -> Path:
        """Whether the mains are there."""
        return self.run / "power.json"

    @property
    def move(self) -> Path:
        """How far the data is on its way to another disk, for everybody to read."""
        return self.run / "move.json"

    @property
    def move_kept(self) -> Path:
        """What was done of that."""
        return self.kept / "move.json"

    @property
    def move_key(self) -> Path:
        """Opens the new disk until it is opened as the old one is."""
        return self.kept / "move.key"

    @property
    def disk_key(self) -> Path:
        """The recovery key of the disk as it stands on paper, for the service to show."""
        return self.run / "disk-key"

    @property
    def disk_key_kept(self) -> Path:
        """… as it opens the disk."""
        return self.kept / "disk-key"

    @property
    def setup(self) -> Path:
        """What was found on the boot partition to set the box up with."""
        return self.run / "setup"

    @property
    def setup_answer(self) -> Path:
        """Why that did not set it up, for everybody to read; missing where nothing went wrong."""
        return self.run / "setup-answer.txt"

    @property
    def setup_waits(self) -> Path:
        """Is there while that stays on the boot partition for the next start."""
        return self.run / "setup-waits"

    @property
    def setup_tries(self) -> Path:
        """At how many starts it was tried."""
        return self.kept / "setup-tries.json"

    @property
    def data_disk(self) -> Path:
        """The partition with the data of the box, where the image made one."""
        # Of the disk that the machine started from, whatever else is plugged in.
        return self.own_disk / "data"
