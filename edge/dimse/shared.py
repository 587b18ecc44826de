"""What all associations of one server share."""

from __future__ import annotations

import logging
import ssl
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

from edge.config import Dimse
from edge.dimse.casebook import CaseBook
from edge.dimse.connections import Connections
from edge.dimse.data_set import Intake
from edge.dimse.peers import Peers
from edge.dimse.quiet import QuietLog
from edge.dimse.services import Service

__all__ = ["ServerTls", "Shared"]

LOG = logging.getLogger("edge.dimse.association")


class ServerTls(Protocol):
    """Has what TLS is spoken with now: a `DicomTls`, or a fake."""

    @property
    def server(self) -> ssl.SSLContext:
        """For the next connection."""


@dataclass(slots=True, eq=False)
class Shared:
    """What all associations of one server share."""

    settings: Dimse
    peers: Peers
    services: Sequence[Service]
    max_instance_bytes: int
    """A longer data set aborts."""
    connections: Connections
    casebook: CaseBook
    """Has what goes wrong written down."""
    tls: ServerTls | None = None
    """What TLS is spoken with, on connections of that listener (PS3.15 B)."""
    intake: Intake = field(default_factory=Intake)
    log: QuietLog = field(default_factory=lambda: QuietLog(LOG))
    """For lines about peers that are not associated."""
