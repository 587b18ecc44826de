"""Who sets a machine up from outside: a file on a stick, the first admin, a token for programs."""

from __future__ import annotations

import secrets
import time
from base64 import b32decode
from collections.abc import Iterator
from contextlib import contextmanager

import httpx

from edge.access.codes import new_code
from tests.fakes.orthanc import PASSWORD, USER, Orthanc
from tests.image.machine import HOST, Machine
from tests.journeys.people import code_of

__all__ = ["Technician", "done"]


class Technician:
    """One, with a token that sets up one box.

    Args:
        archive: To which the box shall send; none leaves it without.
        tls_port: Of this machine, where the archive has a certificate; 0: it has none, and the box
            is one of a laboratory.
    """

    def __init__(self, archive: Orthanc | None = None, tls_port: int = 0) -> None:
        self._code = new_code()
        self._archive = archive
        self._tls_port = tls_port
        self._password = f"a password {secrets.token_hex(8)}"
        self._secret = b""
        self.token = ""

    @property
    def settings(self) -> bytes:
        """``EDGE-SETUP/edge.toml``."""
        lab = "" if self._tls_port else "lab = true\n"
        text = f"""
[setup]
token = "{self._code}"

[appliance]
name = "radiology"
{lab}
[[dimse.peer]]
ae_title = "CT1"
may = ["store", "query", "retrieve"]
"""
        return text.encode() + self.address

    @property
    def address(self) -> bytes:
        """The part of it that says where the archive is; empty if there is none."""
        if self._archive is None:
            return b""
        at = f"http://{HOST}:{self._archive.http_port}"
        if self._tls_port:
            at = f"https://{HOST}:{self._tls_port}"
        text = f"""
[[cloud.archive]]
name = "hospital"
kind = "orthanc"
url = "{at}/dicom-web"
auth = {{ kind = "basic", user = "{USER}", password = "{PASSWORD}" }}
"""
        return text.encode()

    def takes_over(self, machine: Machine) -> None:
        """Becomes the first admin by the code, and makes a token for what comes after."""
        with _browser(machine) as browser:
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
            done(browser, "/login/redeem", code=self._code, password=self._password, name="tech")
            begun = done(browser, "/login/totp/begin")
            self._secret = b32decode(str(begun["secret"]))
            done(browser, "/login/totp", code=code_of(self._secret))
            made = done(browser, "/api/v1/tokens", role="admin", name="tests of the image")
            self.token = str(made["secret"])

    @contextmanager
    def logged_in(self, machine: Machine) -> Iterator[httpx.Client]:
        """A browser in which they are logged in, with a code of the app that was not used yet."""
        with _browser(machine) as browser:
            second = code_of(self._secret, 1)
            done(browser, "/login", name="tech", password=self._password, second=second)
            yield browser


@contextmanager
def _browser(machine: Machine) -> Iterator[httpx.Client]:
    same = {"Sec-Fetch-Site": "same-origin"}
    with httpx.Client(base_url=machine.url, verify=False, headers=same, timeout=120) as browser:
        yield browser


def done(browser: httpx.Client, path: str, **said: object) -> dict[str, object]:
    """Post what must succeed; what is answered."""
    answer = browser.post(path, json=said)
    assert answer.is_success, f"{path}: {answer.status_code} {answer.text}"
    return dict(answer.json())
