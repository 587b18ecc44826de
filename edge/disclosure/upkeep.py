"""What it is made of, how it is hardened, renewed and documented: DOC to SGUD, in their order."""

from __future__ import annotations

from typing import Final

from edge import __version__
from edge.disclosure.answer import Answer, maker, no, none, yes

__all__ = ["UPKEEP"]

UPKEEP: Final[tuple[Answer, ...]] = (
    maker("DOC-1", "Maker"),
    yes("DOC-2", "Name and version of the software", f"Edge cache {__version__}"),
    maker("DOC-3", "Model, regulatory class"),
    maker("DOC-4", "Whom to tell of a vulnerability"),
    maker("DOC-5", "… and how the maker tells others of it"),
    yes("DOC-6", "What flows where is described", "How it is made: in the README."),
    maker("DOC-7", "It is a medical device", "It rewrites no image, and diagnoses nothing."),
    yes("DOC-8", "There is a statement of DICOM conformance", "`edge conformance`"),
    maker("DOC-9", "It is operated from afar, as a service"),
    maker("DOC-10", "Devices that belong together"),
    maker("DOC-11", "Its operating system, and until when that is renewed"),
    yes("CNFS-1", "The owner can set what concerns security", "`/etc/edge/edge.toml`, commands."),
    yes(
        "CNFS-2",
        "… and unsafe settings are refused",
        "No TLS, no tokens, any DICOM peer: on loopback alone, or in a laboratory that says so on"
        " every screen.",
    ),
    maker("CSUP-1", "It has software of others that is renewed by itself"),
    yes("CSUP-2", "The software can be renewed", "A version is installed over the one before."),
    yes("CSUP-3", "What is kept moves on", "The index migrates; an older version refuses it."),
    maker("CSUP-4", "Who may do so, and how packages are signed"),
    maker("CSUP-5", "How long it is supported"),
    no("MLDP-1", "It has software against malware", "It runs none of what it is given."),
    maker("MLDP-2", "Such software can be installed"),
    yes(
        "MLDP-3",
        "Only known programs run",
        "The unit lets nothing be executed where the service may write; decoders run in a cage"
        " (seccomp, Landlock) that starts no program.",
    ),
    maker("PLOK-1", "It is locked against being opened"),
    yes("PLOK-2", "A stolen disk or box stays shut", "As the choice of provider says: the manual."),
    yes(
        "RDMP-1",
        "It is built by a documented process",
        "Tests, and `scripts/check`, of each change.",
    ),
    yes(
        "RDMP-2", "Components of others are known and watched", "`scripts/sbom --check`, `--audit`."
    ),
    yes("RDMP-3", "… and renewed", "`scripts/setup --lock --upgrade`"),
    yes("SBOM-1", "There is a bill of materials", "`scripts/sbom`: CycloneDX 1.6, with licences."),
    yes("SBOM-2", "… with names, versions and digests of all components"),
    yes("SBOM-2.1", "… and their makers' identifiers", "Package urls."),
    yes("SBOM-3", "The device can say what it holds", "`edge --version`, and the lock beside it."),
    maker("SBOM-4", "It is given to whoever buys it"),
    yes(
        "SAHD-1",
        "It is hardened by a known measure",
        "`systemd-analyze security`: 1.5 of 10 for `image/units/edge.service`.",
    ),
    yes("SAHD-2", "It has no accounts that are not needed", "None by default."),
    yes("SAHD-3", "… no programs, and no ports", "Those of CONN-3."),
    yes("SAHD-4", "It runs with the least rights", "A user of its own; one capability."),
    yes("SAHD-5", "Its files are checked", "Hashes of all packages when they are installed."),
    maker("SAHD-6", "… when it starts", "Secure boot is the image's task."),
    no("SAHD-7", "Users reach the operating system"),
    yes("SAHD-8", "What comes from outside is bounded", "Table in the manual, with tests."),
    yes(
        "SAHD-9", "It was fuzzed", "`scripts/fuzz`; what was found is tried in every run of tests."
    ),
    yes("SGUD-1", "There is guidance for its owner", "Security: in the manual."),
    yes(
        "SGUD-2",
        "Data can be removed for good",
        "The key of a study goes with it; without the root key nothing opens.",
    ),
    yes(
        "SGUD-3",
        "Accounts are documented",
        "Let people in: in the manual. There are none at first.",
    ),
    none("SGUD-4", "Passwords of makers and their service", "There are none."),
)
