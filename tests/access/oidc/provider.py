"""An identity provider of the tests' own: small and strict, and it lies when it is told to."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import secrets
import time
from urllib.parse import parse_qsl, unquote_plus, urlencode, urlsplit

import jwt
from aiohttp import web
from aiohttp.test_utils import TestServer
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from jwt.algorithms import ECAlgorithm, RSAAlgorithm

CLIENT_ID, CLIENT_SECRET = "edge box", "s3cret:&+"
"""With what has to be encoded on the way."""
RSA_KEYS = [rsa.generate_private_key(65537, 2048) for _ in range(3)]
WEAK_KEY = rsa.generate_private_key(65537, 1024)
EC_KEY = ec.generate_private_key(ec.SECP256R1())


class FakeProvider:
    """One that knows a few people; ``async with`` has it running on loopback."""

    def __init__(self):
        self.people = {
            "sub-anna": {"preferred_username": "anna", "name": "Anna", "groups": ["grp-radiology"]}
        }
        self.codes, self.refreshes, self.access = {}, {}, {}
        self.disabled = set()
        self.keys = {"k1": RSA_KEYS[0]}
        self.sign_with = "k1"
        self.algorithm = "RS256"
        self.asked = []
        """Every request: method and path."""
        self.auth_methods = ("basic",)
        self.client_key = None
        self.gives_refresh = True
        self.rotates = True
        self.refresh_has_id_token = True
        self.userinfo_claims = None
        """What UserInfo says instead of what is known; None: it is the same."""
        self.in_id_token = True
        """Whether claims stand in the ID token, or at UserInfo alone."""
        self.metadata = {}
        """What it says of itself otherwise."""
        self.lie = {}
        """Claims that are said otherwise; None: they are left out."""
        self.forge = None
        """Makes the ID token from claims."""
        self.extra = {}
        """Claims beside those of the person."""
        self.answer = None
        """Answers every request but the page of the log-in, in its place."""
        self.clock = time.time

    async def __aenter__(self):
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self._route)
        self._server = TestServer(app, host="127.0.0.1")
        await self._server.start_server()
        self.issuer = str(self._server.make_url("")).rstrip("/")
        return self

    async def __aexit__(self, *_):
        await self._server.close()

    async def stop(self):
        """The line is cut."""
        await self._server.close()

    # What a browser does --------------------------------------------------------------------------

    def log_in(self, url, subject="sub-anna", **changed):
        """Somebody logs in at the page that *url* leads to; the parameters they bring back."""
        target = urlsplit(url)
        assert f"{target.scheme}://{target.netloc}{target.path}" == f"{self.issuer}/authorize"
        said = dict(parse_qsl(target.query))
        assert said["response_type"] == "code"
        assert said["client_id"] == CLIENT_ID
        assert "openid" in said["scope"].split()
        assert said["code_challenge_method"] == "S256"
        assert len(said["state"]) >= 20
        assert len(said["nonce"]) >= 20
        code = secrets.token_urlsafe(16)
        self.codes[code] = {**said, "sub": subject}
        self.last = said
        back = {"code": code, "state": said["state"], "iss": self.issuer, **changed}
        return {key: value for key, value in back.items() if value is not None}

    def back(self, url, subject="sub-anna", **changed):
        """The same, as the path and query that the browser is sent to."""
        said = self.log_in(url, subject, **changed)
        return f"{urlsplit(self.last['redirect_uri']).path}?{urlencode(said)}"

    # What it is asked -----------------------------------------------------------------------------

    async def _route(self, request):
        self.asked.append((request.method, request.path))
        if self.answer is not None:
            return await self.answer(request)
        match request.path:
            case "/.well-known/openid-configuration":
                return web.json_response(self._metadata())
            case "/jwks":
                return web.json_response({"keys": self.published()})
            case "/token":
                return await self._token(request)
            case "/userinfo":
                return self._userinfo(request)
        return web.Response(status=404)

    def _metadata(self):
        return {
            "issuer": self.issuer,
            "authorization_endpoint": f"{self.issuer}/authorize",
            "token_endpoint": f"{self.issuer}/token",
            "userinfo_endpoint": f"{self.issuer}/userinfo",
            "jwks_uri": f"{self.issuer}/jwks",
            "response_types_supported": ["code"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ["RS256", "ES256"],
            "authorization_response_iss_parameter_supported": True,
            **self.metadata,
        }

    def published(self):
        found = []
        for kid, key in self.keys.items():
            kind = RSAAlgorithm if isinstance(key, rsa.RSAPrivateKey) else ECAlgorithm
            document = json.loads(kind.to_jwk(key.public_key()))
            found.append({**document, "kid": kid, "use": "sig"})
        return found

    async def _token(self, request):
        form = dict(await request.post())
        if not self._is_client(request, form):
            return _error("invalid_client", 401)
        if form["grant_type"] == "authorization_code":
            held = self.codes.pop(form["code"], None)
            digest = hashlib.sha256(form.get("code_verifier", "").encode()).digest()
            challenge = base64.urlsafe_b64encode(digest).decode().rstrip("=")
            if (
                held is None
                or held["redirect_uri"] != form["redirect_uri"]
                or held["code_challenge"] != challenge
            ):
                return _error("invalid_grant")
            return self._grant(held["sub"], held["nonce"])
        assert form["grant_type"] == "refresh_token"
        token = form["refresh_token"]
        subject = self.refreshes.get(token)
        if subject is None or subject in self.disabled:
            return _error("invalid_grant")
        if self.rotates:
            del self.refreshes[token]
        return self._grant(subject, None)

    def _is_client(self, request, form):
        if "basic" in self.auth_methods and "Authorization" in request.headers:
            assert "client_id" not in form, "said twice"
            scheme, _, proof = request.headers["Authorization"].partition(" ")
            name, _, secret = base64.b64decode(proof).decode().partition(":")
            said = unquote_plus(name), unquote_plus(secret)
            return scheme == "Basic" and said == (CLIENT_ID, CLIENT_SECRET)
        if "body" in self.auth_methods and "client_secret" in form:
            return (form["client_id"], form["client_secret"]) == (CLIENT_ID, CLIENT_SECRET)
        if "key" in self.auth_methods and "client_assertion" in form:
            kind = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
            assert form["client_assertion_type"] == kind
            said = jwt.decode(
                form["client_assertion"],
                self.client_key,
                algorithms=["RS256", "ES256"],
                audience=f"{self.issuer}/token",
                options={"verify_exp": False, "verify_iat": False},
            )
            return said["iss"] == said["sub"] == CLIENT_ID and bool(said["jti"])
        return "none" in self.auth_methods and form.get("client_id") == CLIENT_ID

    def _grant(self, subject, nonce):
        access = secrets.token_urlsafe(16)
        self.access[access] = subject
        granted = {"access_token": access, "token_type": "Bearer", "expires_in": 300}
        if self.gives_refresh:
            refresh = secrets.token_urlsafe(16)
            self.refreshes[refresh] = subject
            granted["refresh_token"] = refresh
        if nonce is not None or self.refresh_has_id_token:
            granted["id_token"] = self.id_token(subject, nonce, access)
        return web.json_response(granted)

    def id_token(self, subject, nonce, access=""):
        now = int(self.clock())
        half = hashlib.sha256(access.encode()).digest()[:16]
        claims = {
            "iss": self.issuer,
            "sub": subject,
            "aud": CLIENT_ID,
            "exp": now + 300,
            "iat": now,
            "at_hash": base64.urlsafe_b64encode(half).decode().rstrip("="),
            **({"nonce": nonce} if nonce is not None else {}),
            **(self.people[subject] if self.in_id_token else {}),
            **self.extra,
            **self.lie,
        }
        claims = {key: value for key, value in claims.items() if value is not None}
        if self.forge is not None:
            return self.forge(claims)
        key = self.keys[self.sign_with]
        return jwt.encode(claims, key, algorithm=self.algorithm, headers={"kid": self.sign_with})

    def _userinfo(self, request):
        token = request.headers.get("Authorization", "").removeprefix("Bearer ")
        subject = self.access.get(token)
        if subject is None:
            return web.Response(status=401)
        said = self.people[subject] if self.userinfo_claims is None else self.userinfo_claims
        return web.json_response({"sub": subject, **said})


def public_pem(key):
    """As an attacker has it, too."""
    return key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )


def private_pem(key):
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )


def _error(name, status=400):
    return web.json_response({"error": name, "error_description": "secret words"}, status=status)


async def never(_request):
    """An answer that does not come."""
    await asyncio.Event().wait()
