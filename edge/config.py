"""The configuration, as frozen values with their defaults: what can be set, and what it means.

Promises nothing about what they are: ``loading`` reads and checks them.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

# At run time: what reads the configuration asks for the types of its fields.
from edge.others import Archive, KeyServer, Oidc, Peer, Syslog, WorklistSource

__all__ = [
    "Access",
    "Appliance",
    "Audit",
    "Backup",
    "Cache",
    "Cloud",
    "Config",
    "Courier",
    "Dimse",
    "DropFolder",
    "Http",
    "Keys",
    "Page",
    "Pixels",
    "Procedures",
    "Sync",
    "Update",
    "Worklist",
]

GIB = 1024**3


@dataclass(frozen=True, slots=True)
class Appliance:
    """``[appliance]``: the box itself."""

    name: str = "edge"
    data_dir: Path = Path("/var/lib/edge")
    lab: bool = False
    """Allows what is refused elsewhere; every screen says so."""
    time_zone: str = ""
    """As IANA calls it, such as ``Europe/Dublin``; empty means the machine's."""


@dataclass(frozen=True, slots=True)
class Keys:
    """``[keys]``: where the root secret comes from."""

    provider: Literal["file", "passphrase", "systemd-creds", "network"] = "file"
    path: Path = Path()
    """Of ``file``; empty means ``root.key`` in ``data_dir``."""
    credential: str = "edge.root-key"
    """Of ``systemd-creds``: the name of the credential that the unit loads."""
    server: tuple[KeyServer, ...] = ()
    """Of ``network``: any one of them opens the box."""
    grace_hours: float = 72.0
    """So long the kernel keeps the secret after the end of the service, and at the most until the
    machine stops, if the provider can't release it by itself; 0: not at all."""


@dataclass(frozen=True, slots=True)
class Dimse:
    """``[dimse]``: the DICOM upper layer. Times are in seconds, sizes in bytes."""

    listen: str = "0.0.0.0:11112"
    """Empty means none, if ``tls_listen`` is named."""
    ae_title: str = "EDGE"
    unknown_peers: Literal["reject", "learn", "accept"] = "reject"
    peer: tuple[Peer, ...] = ()
    tls_listen: str = ""
    """For DICOM over TLS (PS3.15 B.12); empty means none."""
    tls_certificate: Path = Path()
    """Empty means that of HTTPS."""
    tls_key: Path = Path()
    tls_ca: Path = Path()
    """Whom peers' certificates must come from. Named, every peer must show one."""
    max_pdu: int = 128 * 1024
    max_associations: int = 1000
    artim_seconds: float = 30.0
    """PS3.8 9.1.5: from the connection to a complete A-ASSOCIATE-RQ."""
    idle_seconds: float = 600.0
    """Between two messages of one association."""
    pdu_seconds: float = 60.0
    """From the first byte of a PDU to its last, and between the PDUs of one message."""
    commit_after: Literal["cloud", "edge"] = "cloud"
    """When storage commitment vouches for an instance: once an archive verifiably has it, or once
    it is sealed here. Without an archive, it is always the latter."""
    commit_grace_seconds: float = 60.0
    """An instance that was asked about and is not here may still come for so long."""
    commit_days: float = 14.0
    """What is not decided by then is reported as not committed."""
    commit_report_days: float = 7.0
    """So long a report is tried again if the peer does not take it."""


@dataclass(frozen=True, slots=True)
class Http:
    """``[http]``: DICOMweb, the API and the web page."""

    listen: str = "0.0.0.0:8443"
    tls: Literal["auto", "files", "off"] = "auto"
    tls_certificate: Path = Path()
    tls_key: Path = Path()
    auth: Literal["required", "none"] = "required"
    names: tuple[str, ...] = ()
    """Further ones that the box is called by, beside its own: DNS names, addresses."""
    cors_origins: tuple[str, ...] = ()
    """Whose pages may use the service from a browser, as browsers write it: ``https://host``."""
    interface: str = ""
    """The network port of a machine from the disk image by which alone all of this is reached;
    empty means by each."""


@dataclass(frozen=True, slots=True)
class Emergency:
    """``[access.emergency]``: who was narrowed, and may open everything to read, with a reason."""

    roles: tuple[Literal["viewer", "technologist", "physician"], ...] = ("physician",)
    """None: nobody."""
    minutes: float = 60.0
    """It ends then, if nothing ends it before."""


@dataclass(frozen=True, slots=True)
class Access:
    """``[access]``: how people log in."""

    idle_minutes: float = 30.0
    """A session ends that was not used for so long."""
    session_hours: float = 12.0
    """It ends then, whatever happens in it."""
    admins_need_second_factor: bool = True
    """A password alone lets an admin do nothing but enrol one."""
    link_days: float = 30.0
    """A link to a study holds for so long at the most; 0: none is made."""
    console: Path = Path()
    """A terminal, such as ``/dev/tty1``, on which the code for the first admin is shown; empty
    means the one that the service was started from, if any."""
    oidc: Oidc = Oidc()
    emergency: Emergency = Emergency()


@dataclass(frozen=True, slots=True)
class Cache:
    """``[cache]``: how much of the archive's content stays here."""

    max_bytes: int = 0
    """Of sealed objects; 0 means as much as the disk has beyond ``reserve_bytes``."""
    reserve_bytes: int = 2 * GIB
    """Free space on the disk that is never used."""
    keep_days: int = 0
    """Eviction spares what was used within so many days, until the high mark forces it."""
    max_instance_bytes: int = 64 * GIB
    rendered_bytes: int = 256 * 1024**2
    """Of rendered pictures, beside ``max_bytes``; 0 keeps none."""
    pin: tuple[str, ...] = ()
    """What is always here, such as ``modality MG within 2 years``. See ``edge.rules``."""


@dataclass(frozen=True, slots=True)
class Pixels:
    """``[pixels]``: what decoding and rendering may take."""

    workers: int = 0
    """Processes; 0 means one on a box of two cores, two on a larger one; one more animates."""
    frame_bytes: int = 128 * 1024**2
    """Of a decoded frame; a worker's memory follows from it."""
    seconds: float = 20.0
    """Of processor time for a frame."""


@dataclass(frozen=True, slots=True)
class Cloud:
    """``[cloud]``."""

    archive: tuple[Archive, ...] = ()

    @property
    def in_order(self) -> list[Archive]:
        """The primary one, then those that stand in for it, then those for copies."""
        order = ("primary", "failover", "copy")
        return sorted(self.archive, key=lambda archive: order.index(archive.role))


@dataclass(frozen=True, slots=True)
class Sync:
    """``[sync]``: how the box and the archive become equal."""

    sweep_minutes: float = 15.0
    feed_seconds: float = 30.0
    """Between two looks at the feed of an archive that has one."""
    verify: Literal["all", "sample"] = "all"
    """Whether every instance is read back and compared, or a sample of each series."""
    batch_bytes: int = 16 * 1024**2
    """Size that a batch may grow to; a larger instance travels alone."""
    uploads_in_flight: int = 4
    """Uploads at the same time at the most; more than one only where that is faster."""
    preview_first: bool = False
    """Whether first, middle and last instance of every series go up before the rest."""
    retry_min_seconds: float = 2.0
    retry_max_seconds: float = 300.0
    failover_minutes: float = 60.0
    """So long the primary archive may be away before another stands in."""
    calendar: tuple[str, ...] = ()
    """Rules such as ``mon-fri 08:00-18:00 2000 kbps``; the later ones win. See ``edge.week``."""
    max_upload_kbps: int = 0
    """kbit/s outside of the rules; 0 means no limit."""
    max_download_kbps: int = 0
    monthly_budget_mb: int = 0
    """Megabytes over the line that sync may use in a month; 0 means no limit."""
    budget_day: int = 1
    """Of the month, on which it starts anew; in a shorter month, its last."""
    trash_days: int = 30
    """So long what the archive deleted is kept here, shown to nobody; at least one."""
    prefetch: tuple[str, ...] = ("any: 3 within 5 years",)
    """Which priors come ahead of time. See ``edge.rules``."""
    prefetch_hours: tuple[str, ...] = ("19:00-06:00",)
    """When those of patients come who are expected on a later day; none means at any time."""
    absent: Literal["trash", "ask", "send-again"] = "trash"
    """What becomes of a study that the archive does not have any more."""
    reverify_days: float = 30.0
    """So often the archive is asked about each instance again; 0 means never."""


@dataclass(frozen=True, slots=True)
class DropFolder:
    """``[dropfolder]``: a folder whose files are admitted."""

    path: Path = Path()
    """Empty means none."""
    settle_seconds: float = 2.0
    """A file that has not changed for so long is complete."""


@dataclass(frozen=True, slots=True)
class Procedures:
    """``[procedures]``: when a study that comes in is complete."""

    quiet_seconds: float = 120.0
    """Without a new instance it is, unless its performed procedure steps say otherwise."""
    wait_hours: float = 12.0
    """So long a step that is in progress, or whose instances are missing, says otherwise."""


@dataclass(frozen=True, slots=True)
class Worklist:
    """``[worklist]``: what is scheduled, for the modalities."""

    source: tuple[WorklistSource, ...] = ()
    """Of two that have the same step, the first one counts."""
    keep_days: int = 1
    """So many days after its own a step is served that no source vouches for any more."""


@dataclass(frozen=True, slots=True)
class Backup:
    """``[backup]``: what a new box needs to be this one."""

    archive: bool = True
    """Whether the first archive gets it, sealed, once there is a recovery key."""


@dataclass(frozen=True, slots=True)
class Courier:
    """``[courier]``: whom bundles on a disk are for, and from whom. Keys are courier keys."""

    recipients: tuple[str, ...] = ()
    """Of places that deliver into the primary archive; their receipts are believed."""
    senders: tuple[str, ...] = ()
    """Of boxes whose bundles are delivered from here."""


@dataclass(frozen=True, slots=True)
class Audit:
    """``[audit]``: the record of who did what with patient data, and with the box."""

    keep_days: int = 2192
    """So long an entry is kept: six years, as HIPAA wants it (45 CFR 164.316)."""
    max_bytes: int = GIB
    """Of all entries; the oldest ones go beyond that, and it is said."""
    syslog: Syslog = Syslog()


@dataclass(frozen=True, slots=True)
class Page:
    """``[page]``: the web page."""

    language: Literal["en", "fr", "es", "ar"] = "en"
    """Of who chose none, and whose browser asks for none of these."""
    viewer: Path = Path()
    """The folder that ``scripts/viewer`` made; empty means where it does so by default."""


@dataclass(frozen=True, slots=True)
class Update:
    """``[update]``: where new versions of the whole machine come from, and when they are taken."""

    url: str = ""
    """A folder with ``index.json``, or a file ``*.edgeupdate``; empty: they come on sticks."""
    by_itself: Literal["look", "download", "install"] = "download"
    """What is done without anybody's word."""
    hours: tuple[str, ...] = ("01:00-05:00",)
    """In which that is installed which installs itself."""
    keys: Path = Path("/usr/share/edge/update-keys")
    """The folder with the public keys (``*.pub``) of who makes updates."""
    tls_ca: Path = Path()
    """Whom the server's certificate must come from; empty means the system's."""
    proxy: str = ""
    """``http://HOST:PORT``; empty means none."""
    proxy_user: str = ""
    proxy_password: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class Config:
    """All of it."""

    appliance: Appliance = Appliance()
    keys: Keys = Keys()
    dimse: Dimse = Dimse()
    http: Http = Http()
    access: Access = Access()
    cache: Cache = Cache()
    pixels: Pixels = Pixels()
    cloud: Cloud = Cloud()
    sync: Sync = Sync()
    dropfolder: DropFolder = DropFolder()
    procedures: Procedures = Procedures()
    worklist: Worklist = Worklist()
    backup: Backup = Backup()
    courier: Courier = Courier()
    audit: Audit = Audit()
    page: Page = Page()
    update: Update = Update()
