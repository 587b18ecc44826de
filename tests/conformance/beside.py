"""The edge and Orthanc side by side: both started on loopback, both asked the same.

Both are processes of their own, as the bench starts them; their folders are gone afterwards.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

from tests.bench.servers import EDGE, ORTHANC, SERVERS
from tests.conformance import run as suite
from tests.conformance.service import Service
from tests.conformance.suite import Result

__all__ = ["run"]


def run(names: tuple[str, ...] = (EDGE, ORTHANC)) -> dict[str, dict[str, Result]]:
    """Run the suite against each; the edge first.

    Raises:
        BenchError: One of them did not start.
    """
    columns = {}
    with tempfile.TemporaryDirectory(prefix="conformance-") as root:
        for name in names:
            folder = Path(root) / name
            folder.mkdir()
            server = SERVERS[name](folder, 1)
            try:
                server.start()
                web = server.web
                assert web is not None
                headers = {"Authorization": web.authorization}
                base = f"http://127.0.0.1:{web.port}/dicom-web"
                with Service(base, headers=headers) as service:
                    columns[name] = suite.run(service)
            finally:
                server.discard()
    return columns
