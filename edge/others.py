"""Those that the box deals with, as the configuration describes them.

Owns one value for each: devices, archives, identity providers, and the servers of keys, worklists
and the audit. Promises nothing about what they are: ``loading`` reads and checks them. No I/O.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

__all__ = [
    "Archive",
    "Auth",
    "KeyServer",
    "Oidc",
    "Peer",
    "Right",
    "Syslog",
    "WorklistSource",
]


@dataclass(frozen=True, slots=True)
class KeyServer:
    """``[[keys.server]]``: a Tang server that releases the root secret to whoever reaches it."""

    url: str
    """``http://HOST:PORT``, in the clinic's own network."""
    thumbprint: str
    """Of its signing key, as ``tang-show-keys`` prints it there."""


Right = Literal["store", "query", "retrieve", "commit", "worklist"]
"""What a peer may ask for."""


@dataclass(frozen=True, slots=True)
class Peer:
    """``[[dimse.peer]]``: a DICOM application entity that we know."""

    ae_title: str
    host: str = ""
    """Address, network or name that it must call from; empty means any."""
    port: int = 104
    may: tuple[Right, ...] = ("store",)
    name: str = ""
    """What people call it."""
    tls: bool = False
    """Whether we speak TLS when we call it."""
    certificate: str = ""
    """That it must show over TLS: SHA-256 of it, or a name in its subject; see ``peering``."""
    max_associations: int = 0
    """At the same time, from one address; 0 means no limit of its own."""
    commit_after: Literal["", "cloud", "edge"] = ""
    """As in ``[dimse]``, for this peer; empty means what stands there."""
    forward_mpps: bool = False
    """It is told what devices say of performed procedure steps."""
    notify: bool = False
    """It is told which instances are available, once a study is complete (PS3.4 R)."""
    tls_only: bool = False
    """It is let in over TLS alone."""


@dataclass(frozen=True, slots=True)
class Oidc:
    """``[access.oidc]``: an identity provider that vouches for people (OpenID Connect)."""

    issuer: str = ""
    """As it calls itself, to the letter; empty means none."""
    client_id: str = ""
    client_secret: str = field(default="", repr=False)
    """As those of ``Auth``."""
    client_auth: Literal["basic", "body", "key", "none"] = "basic"
    """How the client says who it is: ``key`` is private_key_jwt, ``none`` a public client."""
    client_key: Path = Path()
    """Of ``key``: its private key, PEM."""
    scopes: tuple[str, ...] = ("openid", "profile", "offline_access")
    role_claim: str = "groups"
    """Where it says what somebody is; dots lead into it: ``realm_access.roles``."""
    roles: Mapping[str, Literal["viewer", "technologist", "physician", "admin"]] = field(
        default_factory=dict
    )
    """What that means here. Who is nothing here is not let in; who is several, is the mightiest."""
    name_claim: str = "preferred_username"
    admin_acr: tuple[str, ...] = ()
    """Admins must have logged in there so (``acr``); none: with several factors (``amr``)."""
    admin_max_age_minutes: float = 0.0
    """Admins must have logged in there within so long; 0: whenever."""
    recheck_minutes: float = 10.0
    """Whom it disables is out here within so long, while it can be asked."""
    grace_hours: float = 72.0
    """So long sessions live on while it can't be asked."""
    tls_ca: Path = Path()
    proxy: str = ""
    """As those of an archive."""
    proxy_user: str = ""
    proxy_password: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class Auth:
    """``auth`` of an archive: how we say who we are.

    What shows in no repr is a secret: it may be written as ``crypto.secrets`` reads it, too.
    """

    kind: Literal["none", "basic", "bearer", "oauth2", "google", "aws"] = "none"
    user: str = ""
    password: str = field(default="", repr=False)
    token: str = field(default="", repr=False)
    token_url: str = ""
    """Of ``oauth2``; of ``google`` only if it shall not be that of the key file."""
    client_id: str = ""
    client_secret: str = field(default="", repr=False)
    client_auth: Literal["basic", "body"] = "basic"
    """How the client says its secret: RFC 6749 2.3.1 has both."""
    scope: str = ""
    """Empty means the endpoint's own, and cloud-healthcare for ``google``."""
    audience: str = ""
    resource: str = ""
    tls_ca: Path = Path()
    """Of the token endpoint; empty means the system's."""
    key_file: Path = Path()
    """The service account's, as Google gives it (JSON). Read whenever a token is asked for."""
    region: str = ""
    access_key_id: str = ""
    secret_access_key: str = field(default="", repr=False)
    session_token: str = field(default="", repr=False)
    service: str = "medical-imaging"
    payload: Literal["streaming", "unsigned"] = "streaming"
    """What is signed in place of the digest of images that are on their way, see ``cloud.aws``."""


@dataclass(frozen=True, slots=True)
class Archive:
    """``[[cloud.archive]]``: where studies go and come from."""

    name: str
    url: str
    """Base of its DICOMweb service, such as ``https://host/dicom-web``."""
    kind: Literal["dicomweb", "orthanc", "edge", "azure", "google", "aws"] = "dicomweb"
    """What it is, for what DICOMweb does not say: what changed in it, and how it deletes."""
    auth: Auth = Auth()
    tls_ca: Path = Path()
    authority: str = ""
    """Certificates of authorities, PEM: believed beside those of ``tls_ca``, or of the system; by
    the token endpoint, too."""
    role: Literal["primary", "failover", "copy"] = "primary"
    """Everything goes to the primary one; ``failover`` stands in while that is away; ``copy`` gets
    what is made here, too."""
    tls_certificate: Path = Path()
    """That we show to an archive which asks for one; ``tls_key`` is its key."""
    tls_key: Path = Path()
    proxy: str = ""
    """``http://host:port``; empty means none, whatever the environment says."""
    proxy_user: str = ""
    proxy_password: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class WorklistSource:
    """``[[worklist.source]]``: where scheduled procedure steps come from."""

    name: str
    kind: Literal["dicom", "folder"]
    ae_title: str = ""
    """Of ``dicom``, as the next ones: the worklist SCP that is asked."""
    host: str = ""
    port: int = 104
    calling: str = ""
    """Our AE title there; empty means ``dimse.ae_title``."""
    stations: tuple[str, ...] = ()
    """Only what is scheduled for these AE titles; none means all."""
    days_ahead: int = 7
    """So far into the future it is asked."""
    tls: bool = False
    """Whether it is asked over TLS."""
    certificate: str = ""
    """That it must show then, as in ``[[dimse.peer]]``."""
    path: Path = Path()
    """Of ``folder``: it has the files whose names end with ``.wl``."""
    interval_seconds: float = 60.0
    """Between two looks at it; changes in a folder are seen at once where they can be."""

    @property
    def peer(self) -> Peer:
        """Of ``dicom``: whom to call, and how."""
        return Peer(self.ae_title, self.host, self.port, tls=self.tls, certificate=self.certificate)


@dataclass(frozen=True, slots=True)
class Syslog:
    """``[audit.syslog]``: another machine that gets every entry, over TLS (RFC 5425)."""

    server: str = ""
    """``HOST:PORT``, usually port 6514; empty means none."""
    name: str = ""
    """That its certificate must be for; empty means the host."""
    tls_ca: Path = Path()
    """Whom its certificate must come from; empty means the system's."""
    tls_certificate: Path = Path()
    """That we show to a server which asks for one; ``tls_key`` is its key."""
    tls_key: Path = Path()
