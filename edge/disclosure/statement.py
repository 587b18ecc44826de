"""The answers as Markdown, section by section.

Owns the order and the names of the sections. Promises that it is a function of the code alone: no
configuration, nothing of this machine. The copy beside this file, ``mds2.md``, is what it wrote
last; the tests compare the two.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from edge import __version__
from edge.disclosure.answer import Answer
from edge.disclosure.data import DATA
from edge.disclosure.network import NETWORK
from edge.disclosure.people import PEOPLE
from edge.disclosure.upkeep import UPKEEP

__all__ = ["ANSWERS", "SECTIONS", "statement"]

SECTIONS: Final = {
    "DOC": "The product",
    "MPII": "Management of personally identifiable information",
    "ALOF": "Automatic logoff",
    "AUDT": "Audit controls",
    "AUTH": "Authorization",
    "CSUP": "Cyber security product upgrades",
    "DIDT": "Health data de-identification",
    "DTBK": "Data backup and disaster recovery",
    "EMRG": "Emergency access",
    "IGAU": "Health data integrity and authenticity",
    "MLDP": "Malware detection and protection",
    "NAUT": "Node authentication",
    "CONN": "Connectivity capabilities",
    "PAUT": "Person authentication",
    "PLOK": "Physical locks",
    "RDMP": "Roadmap for third party components",
    "SBOM": "Software bill of materials",
    "SAHD": "System and application hardening",
    "SGUD": "Security guidance",
    "STCF": "Health data storage confidentiality",
    "TXCF": "Transmission confidentiality",
    "TXIG": "Transmission integrity",
    "CNFS": "Configuration of security features",
    "RMOT": "Remote service",
    "OTHR": "Other security considerations",
}
"""In the order of the form."""
ANSWERS: Final[tuple[Answer, ...]] = (*UPKEEP, *DATA, *PEOPLE, *NETWORK)

_HEAD: Final = f"""\
# Security of the edge cache {__version__}

In the form of a Manufacturer Disclosure Statement for Medical Device Security: the sections are
those of ANSI/NEMA HN 1-2019, the questions close to it, in short, and numbered by ourselves. It is
about the software as it is configured by default. "Maker" marks what whoever makes, sells or
installs the appliance has to answer; nothing here speaks for them.
"""


def statement() -> str:
    """All of it."""
    return "\n".join((_HEAD, *_sections()))


def _sections() -> Iterator[str]:
    for letters, name in SECTIONS.items():
        yield f"## {letters}: {name}\n"
        yield "| | | | |"
        yield "|---|---|---|---|"
        for one in ANSWERS:
            if one.section == letters:
                yield f"| {one.number} | {one.question} | {one.reply} | {one.note} |"
        yield ""
