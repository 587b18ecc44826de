"""``python -m tests.conformance BASE_URL``: does a service do what PS3.18 says?

Stores a few small studies of its own in the service, runs every check, and prints a table. With no
BASE_URL it starts an edge and Orthanc on loopback and shows both (``scripts/conformance``).

Exit status: 0 nothing differs (beside Orthanc: in the edge's column); 1 something does; 2 the
service could not be checked.
"""

from __future__ import annotations

import argparse
import base64
import sys
from collections.abc import Sequence

import httpx

from tests.conformance import beside
from tests.conformance.run import CHAPTERS, run
from tests.conformance.service import Service
from tests.conformance.suite import Result, Verdict
from tests.conformance.table import as_text


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the suite; the exit status."""
    options = _parser().parse_args(arguments)
    try:
        if options.base_url is None:
            columns = beside.run()
        else:
            with Service(
                options.base_url, uri_service=options.wado, headers=_credentials(options)
            ) as service:
                columns = {"service": run(service)}
    except (httpx.HTTPError, OSError, RuntimeError) as error:
        print(f"conformance: {error}", file=sys.stderr)
        return 2
    print(as_text(CHAPTERS, columns))
    return int(_differs(next(iter(columns.values())), whole=options.whole))


def _differs(results: dict[str, Result], *, whole: bool) -> bool:
    """Whether a service differs anywhere; *whole*: or does without anything."""
    verdicts = {result.verdict for result in results.values()}
    return Verdict.DIFFERS in verdicts or (whole and Verdict.NOT_OFFERED in verdicts)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="scripts/conformance",
        description="Checks a DICOMweb service against PS3.18, sentence by sentence.",
        epilog="It stores small synthetic studies, under new UIDs at every run, and leaves them.",
    )
    parser.add_argument(
        "base_url",
        nargs="?",
        metavar="BASE_URL",
        help="of the service; without it, an edge beside Orthanc",
    )
    parser.add_argument("--wado", default="", metavar="URL", help="of WADO-URI, if not /wado")
    parser.add_argument("--token", help="sent as a bearer token")
    parser.add_argument("--user", metavar="USER:PASSWORD", help="sent as basic authentication")
    parser.add_argument(
        "--whole", action="store_true", help="what may be left out counts as a difference, too"
    )
    return parser


def _credentials(options: argparse.Namespace) -> dict[str, str]:
    if options.token:
        return {"Authorization": f"Bearer {options.token}"}
    if options.user:
        words = base64.b64encode(options.user.encode()).decode()
        return {"Authorization": f"Basic {words}"}
    return {}


if __name__ == "__main__":
    sys.exit(main())
