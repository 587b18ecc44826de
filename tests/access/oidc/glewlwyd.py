"""A real identity provider, Debian's ``glewlwyd``, in a process of its own, on SQLite.

It is made from the schema that its package brings, and told the rest by its own API. Its pages, by
which people log in with a browser, are those of the package, too.
"""

from __future__ import annotations

import asyncio
import gzip
import json
import shutil
import sqlite3
import subprocess
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import httpx

from tests.access.oidc.provider import RSA_KEYS, private_pem, public_pem

PROGRAM = shutil.which("glewlwyd")
SCHEMA = Path("/usr/share/doc/glewlwyd/database/init.sqlite3.sql.gz")
PAGES = Path("/usr/share/glewlwyd/webapp")
PAGES_CONFIGURATION = Path("/usr/share/glewlwyd/templates/config.json")
MEDIA_TYPES = {
    ".html": "text/html",
    ".css": "text/css",
    ".js": "application/javascript",
    ".json": "application/json",
    ".ico": "image/x-icon",
    ".woff2": "font/woff2",
}
ADMIN, PASSWORD = "admin", "password"
CLIENT_ID, CLIENT_SECRET = "edge-box", "a-secret-of-its-own"
"""Plain: it does not decode what RFC 6749 2.3.1 has encoded."""
PATIENCE = 30.0
IS_HERE = PROGRAM is not None and SCHEMA.exists()


class Glewlwyd:
    """``async with`` has it running, with one client and one person."""

    def __init__(self, folder: Path, port: int, back: str):
        self._folder = folder
        self._back = back
        self.base = f"http://localhost:{port}"
        self.issuer = f"{self.base}/api/oidc"
        self._port = port

    async def __aenter__(self):
        await asyncio.to_thread(self._make)
        await asyncio.to_thread(self._start)
        try:
            await self._set_up()
        except BaseException:
            await self.__aexit__()
            raise
        return self

    async def __aexit__(self, *_):
        self._process.terminate()
        await asyncio.to_thread(self._process.wait)
        self._log.close()

    def _make(self):
        database = self._folder / "glewlwyd.db"
        db = sqlite3.connect(database)
        db.executescript(gzip.decompress(SCHEMA.read_bytes()).decode())
        # A property of users that says their groups, for the claim.
        [(found,)] = db.execute("SELECT gumi_parameters FROM g_user_module_instance")
        known = json.loads(found)
        known["data-format"]["groups"] = {"multiple": True, "read": True, "write": True}
        db.execute("UPDATE g_user_module_instance SET gumi_parameters = ?", (json.dumps(known),))
        db.commit()
        db.close()
        (self._folder / "glewlwyd.conf").write_text(
            f'port={self._port}\nbind_address="127.0.0.1"\nexternal_url="{self.base}"\n'
            'login_url="login.html"\napi_prefix="api"\nlog_mode="console"\nlog_level="INFO"\n'
            'cookie_domain="localhost"\ncookie_secure=0\nsession_expiration=3600\n'
            'session_key="GLEWLWYD2_SESSION_ID"\nadmin_scope="g_admin"\nprofile_scope="g_profile"\n'
            'user_module_path="/usr/lib/glewlwyd/user"\n'
            'user_middleware_module_path="/usr/lib/glewlwyd/user_middleware"\n'
            'client_module_path="/usr/lib/glewlwyd/client"\n'
            'user_auth_scheme_module_path="/usr/lib/glewlwyd/scheme"\n'
            'plugin_module_path="/usr/lib/glewlwyd/plugin"\nhash_algorithm="SHA512"\n'
            f'database = {{ type = "sqlite3"; path = "{database}"; }};\n{self._pages()}'
        )

    def _pages(self):
        """Have its pages served, if they are here."""
        if not PAGES.is_dir():
            return ""
        pages = self._folder / "pages"
        skip = shutil.ignore_patterns("config.json")  # a link to a folder, in Debian 12
        shutil.copytree(PAGES, pages, ignore=skip)
        shutil.copyfile(PAGES_CONFIGURATION, pages / "config.json")
        types = ", ".join(
            f'{{ extension = "{suffix}"; mime_type = "{kind}" }}'
            for suffix, kind in MEDIA_TYPES.items()
        )
        return f'static_files_path="{pages}"\nstatic_files_mime_types = ( {types} );\n'

    def _start(self):
        self._log = (self._folder / "glewlwyd.log").open("wb")
        self._process = subprocess.Popen(
            [PROGRAM, "--config-file", str(self._folder / "glewlwyd.conf")],
            stdout=self._log,
            stderr=subprocess.STDOUT,
        )

    async def _set_up(self):
        async with httpx.AsyncClient(
            base_url=f"{self.base}/api/", trust_env=False, timeout=60
        ) as http:
            async with asyncio.timeout(PATIENCE):
                while True:
                    try:
                        await self._log_in(http, ADMIN, PASSWORD)
                        break
                    except httpx.TransportError:
                        await asyncio.sleep(0.1)
            await _post(http, "mod/plugin/", self._plugin())
            await _post(http, "client/", self._client())
            await _post(http, "user/", self._person("bert", ["grp-radiology", "others"]))

    async def _log_in(self, http, name, password):
        answer = await http.post("auth/", json={"username": name, "password": password})
        assert answer.status_code == 200, answer.text
        # By hand: to Python's jar, localhost is no domain.
        http.headers["Cookie"] = answer.headers["Set-Cookie"].partition(";")[0]

    async def change(self, name, **changed):
        """An admin of it changes somebody."""
        async with httpx.AsyncClient(
            base_url=f"{self.base}/api/", trust_env=False, timeout=60
        ) as http:
            await self._log_in(http, ADMIN, PASSWORD)
            said = {**self._person(name, ["grp-radiology"]), **changed}
            answer = await http.put(f"user/{name}", json=said)
            assert answer.status_code == 200, answer.text

    async def log_in(self, url, name="bert", password="quiet lamps"):
        """Somebody logs in there and agrees; the parameters that they bring back."""
        async with httpx.AsyncClient(
            base_url=f"{self.base}/api/", trust_env=False, timeout=60
        ) as http:
            first = await http.get(url)
            assert first.status_code == 302, first.text
            assert "login.html" in first.headers["Location"]
            await self._log_in(http, name, password)
            agreed = await http.put(f"auth/grant/{CLIENT_ID}", json={"scope": "openid"})
            assert agreed.status_code == 200, agreed.text
            last = await http.get(f"{url}&g_continue")
            assert last.status_code == 302, last.text
            location = last.headers["Location"]
            assert location.startswith(self._back), location
            return {key: values[0] for key, values in parse_qs(urlsplit(location).query).items()}

    def _plugin(self):
        return {
            "module": "oidc",
            "name": "oidc",
            "display_name": "OpenID Connect",
            "enabled": True,
            "parameters": {
                "iss": self.issuer,
                "jwt-type": "rsa",
                "jwt-key-size": "256",
                "key": private_pem(RSA_KEYS[0]).decode(),
                "cert": public_pem(RSA_KEYS[0]).decode(),
                "code-duration": 600,
                "access-token-duration": 3600,
                "refresh-token-duration": 1209600,
                "refresh-token-rolling": True,
                "refresh-token-one-use": "always",
                "allow-non-oidc": False,
                "auth-type-code-enabled": True,
                "auth-type-token-enabled": False,
                "auth-type-id-token-enabled": True,
                "auth-type-password-enabled": False,
                "auth-type-client-enabled": False,
                "auth-type-refresh-enabled": True,
                "auth-type-none-enabled": False,
                "pkce-allowed": True,
                "pkce-method-plain-allowed": False,
                "subject-type": "public",
                "name-claim": "mandatory",
                "email-claim": "no",
                "scope-claim": "no",
                "jwks-show": True,
                "oauth-as-iss-id": True,
                "claims": [
                    {
                        "name": "groups",
                        "user-property": "groups",
                        "type": "string",
                        "mandatory": True,
                    },
                    {
                        "name": "preferred_username",
                        "user-property": "username",
                        "type": "string",
                        "mandatory": True,
                    },
                ],
            },
        }

    def _client(self):
        return {
            "client_id": CLIENT_ID,
            "name": "the box",
            "confidential": True,
            "enabled": True,
            "client_secret": CLIENT_SECRET,
            "password": CLIENT_SECRET,
            "redirect_uri": [self._back],
            "authorization_type": ["code", "refresh_token"],
            "token_endpoint_auth_method": ["client_secret_basic"],
            "scope": ["openid"],
        }

    def _person(self, name, groups):
        return {
            "username": name,
            "name": "Bert of the clinic",
            "password": "quiet lamps",
            "scope": ["openid"],
            "groups": groups,
            "enabled": True,
        }


def _claim(name, of_user):
    return {"name": name, "user-property": of_user, "type": "string", "mandatory": True}


async def _post(http, path, document):
    answer = await http.post(path, json=document)
    assert answer.status_code == 200, f"{path}: {answer.status_code} {answer.text}"
