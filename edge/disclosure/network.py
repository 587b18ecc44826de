"""What speaks to whom: CONN, RMOT, OTHR."""

from __future__ import annotations

from typing import Final

from edge.config import Dimse, Http
from edge.disclosure.answer import Answer, maker, no, yes

__all__ = ["NETWORK"]

_DIMSE: Final = Dimse()
_HTTP: Final = Http()

NETWORK: Final[tuple[Answer, ...]] = (
    yes("CONN-1", "It has interfaces to a network", "Those below, and no other."),
    maker("CONN-1.1", "Wireless ones", "Of the machine."),
    maker("CONN-2", "Physical interfaces: how many, of which kind"),
    yes(
        "CONN-3",
        "It listens on ports",
        f"DICOM: `{_DIMSE.listen}`. HTTPS: `{_HTTP.listen}`. DICOM over TLS, if it is configured."
        " A Unix socket for commands on the machine.",
    ),
    yes(
        "CONN-4",
        "It speaks to others",
        "Archives, peers, worklists, and identity provider, key servers (Tang) and collector of the"
        " record, where they are configured.",
    ),
    yes(
        "CONN-5",
        "It needs the internet for some of that",
        "The addresses alone of those of them that are there; usually the archive.",
    ),
    yes(
        "CONN-6", "It works without", "All but what only the archive has, for as long as it takes."
    ),
    yes("CONN-7", "TLS is used", "1.2 and later; forward secrecy and AEAD alone."),
    yes("CONN-8", "It has interfaces for programs", "DICOMweb; `/api/v1` (OpenAPI)."),
    no("RMOT-1", "It can be serviced from afar", "There is no access for its makers."),
    no("RMOT-1.1", "… who are asked on the device before"),
    no("RMOT-1.2", "… by a way that is always open"),
    no("RMOT-2", "It tells its makers anything by itself"),
    no("RMOT-3", "It is renewed from afar", "See CSUP."),
    maker("OTHR-1", "What else there is to know"),
)
