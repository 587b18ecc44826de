"""``edge conformance``: what this version is, on standard output.

By itself the DICOM conformance statement; with ``--security`` what buyers ask of security.
"""

# ruff: noqa: PLC0415 - see `edge.commands.parsing`

from __future__ import annotations

import argparse

from edge.commands.parsing import Commands
from edge.commands.words import say

__all__ = ["WEB", "add"]

WEB = """\
## 3 Web services

DICOMweb (PS3.18) as origin server, below `/dicom-web`; what each resource takes and gives is told
by `OPTIONS` and by `/dicom-web/` (Retrieve Capabilities, 8.9), from the routes themselves.

| Transaction | PS3.18 |
|---|---|
| Search | 10.6 |
| Retrieve Instance, Retrieve Instances | 10.4.1.1.1 |
| Retrieve Metadata | 10.4.1.1.2 |
| Retrieve Rendered Instance, Retrieve Rendered Instances, Retrieve Rendered Frames | 10.4.1.1.3 |
| Retrieve Thumbnail | 10.4.1.1.4 |
| Retrieve Bulkdata | 10.4.1.1.5 |
| Retrieve Frames, Retrieve Pixel Data | 10.4.1.1.6 |
| Store Instances | 10.5 |
| Delete | 8.5 |

Also URI requests (9) at `/wado`. `scripts/conformance` checks PS3.18 sentence by sentence."""


def add(commands: Commands) -> None:
    """Add the command."""
    text = "Print the DICOM conformance statement of this version, as Markdown."
    command = commands.add("conformance", text, _print, configured=False)
    command.add_argument(
        "--security", action="store_true", help="what buyers ask of security, instead (MDS2)"
    )


def _print(options: argparse.Namespace) -> int:
    if options.security:
        from edge.disclosure.statement import statement as disclosed

        say(*disclosed().splitlines())
        return 0
    from edge.dimse.statement import statement

    say(*statement(web=WEB).splitlines())
    return 0
