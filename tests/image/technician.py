"""Who sets a machine up from outside: a file on a stick, the first admin, a token for programs."""

from __future__ import annotations

import secrets
import time
from base64 import b32decode

import httpx

from edge.access.codes import new_code
from tests.fakes.orthanc import PASSWORD, USER, Orthanc
from tests.image.machine import HOST, Machine
from tests.journeys.people import code_of

__all__ = ["Technician"]


class Technician:
    """One, with a token that sets up one box.

    Args:
        archive: To which the box shall send; none leaves it without.
    """

    def __init__(self, archive: Orthanc | None = None) -> None:
        self._code = new_code()
        self._archive = archive
        self._password = f"a password {secrets.token_hex(8)}"
        self.token = ""

    @property
    def settings(self) -> bytes:
        """``EDGE-SETUP/edge.toml``; of a laboratory, for the archive has no certificate."""
        text = f"""
[setup]
token = "{self._code}"

[appliance]
name = "radiology"
lab = true

[[dimse.peer]]
ae_title = "CT1"
may = ["store", "query", "retrieve"]
"""
        if self._archive:
            text += f"""
[[cloud.archive]]
name = "hospital"
kind = "orthanc"
url = "http://{HOST}:{self._archive.http_port}/dicom-web"
auth = {{ kind = "basic", user = "{USER}", password = "{PASSWORD}" }}
"""
        return text.encode()

    def takes_over(self, machine: Machine) -> None:
        """Becomes the first admin by the code, and makes a token for what comes after."""
        same = {"Sec-Fetch-Site": "same-origin"}
        with httpx.Client(base_url=machine.url, verify=False, headers=same, timeout=120) as browser:

            def done(path: str, **said: object) -> dict[str, object]:
                answer = browser.post(path, json=said)
                assert answer.is_success, f"{path}: {answer.status_code} {answer.text}"
                return dict(answer.json())

            # A box that was set up begins anew with its settings, and cuts off who was connected.
            machine.until_ready()
            deadline = time.monotonic() + 300
            while True:
                try:
                    browser.get("/login")
                    break
                except httpx.TransportError:
                    assert time.monotonic() < deadline, machine.console[-2000:]
                    time.sleep(1)
            done("/login/redeem", code=self._code, password=self._password, name="tech")
            begun = done("/login/totp/begin")
            done("/login/totp", code=code_of(b32decode(str(begun["secret"]))))
            made = done("/api/v1/tokens", role="admin", name="tests of the image")
            self.token = str(made["secret"])
