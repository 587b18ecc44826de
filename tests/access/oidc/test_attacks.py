"""Each line of the attack model in ``edge.access.oidc``, tried on a provider that lies."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
import time
from urllib.parse import parse_qsl, urlsplit

import jwt
import pytest
from aiohttp import web

from edge.access.roles import Role
from edge.access.sessions import Proved
from edge.errors import (
    AccessDenied,
    GrantRefused,
    IssuerError,
    IssuerUnreachable,
    TooManyAttempts,
)
from edge.index import identities
from tests.access.oidc.conftest import BACK
from tests.access.oidc.provider import CLIENT_ID, EC_KEY, RSA_KEYS, WEAK_KEY, never, public_pem
from tests.access.people import ELSEWHERE, GOOD, HERE


def part(document):
    return base64.urlsafe_b64encode(json.dumps(document).encode()).decode().rstrip("=")


# Another's code is planted in a browser, or a code was stolen -------------------------------------


async def test_another_s_code_is_planted_the_browser_that_began_nothing_is_refused(way):
    begun = await way.login.begin(BACK)
    said = way.fake.log_in(begun.url)
    for cookie in ("", "A" * 200, begun.cookie[:-2] + "AA", begun.cookie[1:], "é" * 40):
        with pytest.raises(AccessDenied):
            await way.login.end(said, cookie, ELSEWHERE)
    assert ("POST", "/token") not in way.fake.asked


async def test_another_s_code_is_planted_in_a_log_in_that_the_victim_began(way):
    mine, theirs = await way.login.begin(BACK), await way.login.begin(BACK)
    said = way.fake.log_in(mine.url)
    with pytest.raises(AccessDenied, match="another log-in"):
        await way.login.end(said, theirs.cookie, HERE)
    # With the state of the victim's: the code was given for another challenge and nonce.
    state = dict(parse_qsl(urlsplit(theirs.url).query))["state"]
    with pytest.raises(AccessDenied):
        await way.login.end({**said, "state": state}, theirs.cookie, HERE)
    assert await way.world.sessions.list() == ()


async def test_another_s_code_is_planted_by_a_provider_that_checks_no_pkce(way):
    mine, theirs = await way.login.begin(BACK), await way.login.begin(BACK)
    code = way.fake.log_in(mine.url)["code"]
    said = way.fake.log_in(theirs.url)
    way.fake.codes[said["code"]]["nonce"] = way.fake.codes[code]["nonce"]
    with pytest.raises(IssuerError, match="another log-in"):
        await way.login.end(said, theirs.cookie, HERE)


async def test_an_answer_counts_for_ten_minutes_and_once(way):
    begun = await way.login.begin(BACK)
    said = way.fake.log_in(begun.url)
    way.clock.now += 601
    with pytest.raises(AccessDenied, match="too long ago"):
        await way.login.end(said, begun.cookie, HERE)
    begun = await way.login.begin(BACK)
    said = way.fake.log_in(begun.url)
    await way.login.end(said, begun.cookie, HERE)
    with pytest.raises(AccessDenied, match="used already"):
        await way.login.end(said, begun.cookie, HERE)
    way.start()  # a start forgets what was used; the provider does not
    with pytest.raises(AccessDenied):
        await way.login.end(said, begun.cookie, HERE)
    assert len(await way.world.sessions.list()) == 1


async def test_a_log_in_that_was_begun_says_nothing_to_its_browser(way):
    begun = await way.login.begin(BACK)
    sealed = base64.urlsafe_b64decode(begun.cookie + "==")
    assert b"verifier" not in sealed
    assert way.seal.from_text(begun.cookie, "refresh token") is None
    # The provider is told the hash of the verifier alone.
    assert "verifier" not in begun.url


# An answer comes from another provider ------------------------------------------------------------


@pytest.mark.parametrize("iss", ["https://evil.example", "", None])
async def test_mix_up_an_answer_that_another_provider_sent_is_not_taken_to_ours(way, iss):
    with pytest.raises(AccessDenied, match="another identity provider"):
        await way.enter(iss=iss)
    assert ("POST", "/token") not in way.fake.asked


async def test_mix_up_a_provider_that_says_no_issuer_is_held_to_its_id_token(way):
    way.fake.metadata = {"authorization_response_iss_parameter_supported": False}
    assert (await way.enter(iss=None)).session.name == "oidc:anna"
    with pytest.raises(AccessDenied, match="another identity provider"):
        await way.enter(iss="https://evil.example")


@pytest.mark.parametrize("name", ["https://evil.example", "{issuer}/", None, 7])
async def test_mix_up_metadata_of_another_issuer_is_not_taken(way, name):
    said = name.format(issuer=way.fake.issuer) if isinstance(name, str) else name
    way.fake.metadata = {"issuer": said}
    with pytest.raises(IssuerError, match="another name"):
        await way.login.begin(BACK)


# An ID token is forged, or another's --------------------------------------------------------------


async def refused(way, match="can't be believed"):
    with pytest.raises(IssuerError, match=match):
        await way.enter()
    assert await way.world.sessions.list() == ()


@pytest.mark.parametrize("algorithm", ["none", "None", "NONE", ""])
async def test_forged_id_token_that_is_not_signed(way, algorithm):
    head = part({"alg": algorithm, "kid": "k1"})
    way.fake.forge = lambda claims: f"{head}.{part(claims)}."
    await refused(way)


@pytest.mark.parametrize("algorithm", ["HS256", "HS384", "HS512"])
async def test_forged_id_token_with_the_public_key_as_a_secret(way, algorithm):
    def forge(claims):
        signed = f"{part({'alg': algorithm, 'kid': 'k1'})}.{part(claims)}"
        name = f"sha{algorithm[2:]}"
        digest = hmac.new(public_pem(RSA_KEYS[0]), signed.encode(), getattr(hashlib, name))
        mac = base64.urlsafe_b64encode(digest.digest()).decode().rstrip("=")
        return f"{signed}.{mac}"

    way.fake.forge = forge
    await refused(way)


async def test_forged_id_token_with_a_key_that_it_brings_along(way):
    jwk = json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(RSA_KEYS[2].public_key()))
    headers = {"kid": "k1", "jwk": jwk, "jku": "https://evil.example/jwks"}
    way.fake.forge = lambda claims: jwt.encode(claims, RSA_KEYS[2], "RS256", headers)
    await refused(way, "signature")


async def test_forged_id_token_with_a_key_that_nobody_published(way):
    headers = {"kid": "k9"}
    way.fake.forge = lambda claims: jwt.encode(claims, RSA_KEYS[2], "RS256", headers)
    await refused(way, "does not publish")


async def test_forged_id_token_with_a_key_that_is_too_short(way):
    way.fake.keys = {"k1": WEAK_KEY}
    with pytest.warns(jwt.warnings.InsecureKeyLengthWarning):
        await refused(way)


async def test_forged_id_token_that_names_no_key_where_several_could_be_meant(way):
    way.fake.keys = {"k1": RSA_KEYS[0], "k2": RSA_KEYS[1]}
    way.fake.forge = lambda claims: jwt.encode(claims, RSA_KEYS[0], "RS256")
    await refused(way, "does not publish")


async def test_forged_id_token_that_wants_something_understood(way):
    headers = {"kid": "k1", "crit": ["exp"]}
    way.fake.forge = lambda claims: jwt.encode(claims, RSA_KEYS[0], "RS256", headers)
    await refused(way)


async def test_forged_id_token_that_was_changed(way):
    def forge(claims):
        head, _, tail = jwt.encode(claims, RSA_KEYS[0], "RS256", {"kid": "k1"}).split(".")
        return f"{head}.{part({**claims, 'groups': ['grp-it']})}.{tail}"

    way.fake.forge = forge
    await refused(way, "signature")


@pytest.mark.parametrize(
    "token", ["", "a", "a.b.c", "..", 7, ["a"], {"a": 1}, "x" * 70_000, "é.é.é", "{}.{}.{}"]
)
async def test_forged_id_token_that_is_none(way, token):
    way.fake.forge = lambda _claims: token
    await refused(way)


@pytest.mark.parametrize(
    "claims",
    [
        {"iss": "https://evil.example"},
        {"iss": None},
        {"aud": "another client"},
        {"aud": ["another client"]},
        {"aud": []},
        {"aud": None},
        {"aud": {CLIENT_ID: 1}},
        {"aud": [CLIENT_ID, "another client"]},
        {"aud": [CLIENT_ID, "another client"], "azp": "another client"},
        {"azp": "another client"},
        {"nonce": "another"},
        {"nonce": None},
        {"nonce": 7},
        {"at_hash": "AAAAAAAAAAAAAAAAAAAAAA"},
        {"at_hash": 7},
        {"sub": None},
        {"sub": ""},
        {"sub": 7},
        {"sub": "x" * 256},
        {"sub": "half\ud800"},
        {"nonce": "half\ud800"},
        {"at_hash": "half\ud800"},
    ],
    ids=ascii,
)
async def test_another_s_id_token(way, claims):
    way.fake.lie = claims
    await refused(way)


async def test_an_id_token_for_several_clients_that_was_made_for_this_one(way):
    way.fake.lie = {"aud": ["another client", CLIENT_ID], "azp": CLIENT_ID}
    assert (await way.enter()).session.role is Role.PHYSICIAN


# It is old ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("claim", "after"),
    [("exp", -61), ("exp", None), ("iat", 61), ("iat", None), ("nbf", 61)],
)
async def test_old_id_token_or_one_of_later(way, claim, after):
    way.fake.lie = {claim: None if after is None else way.clock.now + after}
    await refused(way)


@pytest.mark.parametrize("value", ["1", True, [1], "NaN", 10**400], ids=str)
async def test_old_id_token_whose_end_is_no_number(way, value):
    way.fake.lie = {"exp": value}
    await refused(way)


async def test_old_id_token_whose_end_is_not_finite(way):
    def forge(claims):
        return jwt.encode({**claims, "exp": float("nan")}, RSA_KEYS[0], "RS256", {"kid": "k1"})

    way.fake.forge = forge
    await refused(way)


async def test_two_clocks_may_differ_by_a_minute(way):
    way.fake.clock = lambda: way.clock.now + 59
    assert (await way.enter()).session.role is Role.PHYSICIAN


# Somebody calls themselves as a user does ---------------------------------------------------------


async def test_somebody_who_calls_themselves_as_a_user_is_not_that_user(way):
    await way.world.user("anna", Role.ADMIN)
    opened = await way.enter()
    assert (opened.session.name, opened.session.role) == ("oidc:anna", Role.PHYSICIAN)
    identity = await way.world.gate.authorise(way.world.cookie(opened.secret))
    assert (identity.name, identity.role) == ("oidc:anna", Role.PHYSICIAN)
    await way.world.users.change("anna", disabled=False)
    assert [one.name for one in await way.world.sessions.list("anna")] == []
    with pytest.raises(AccessDenied):
        await way.world.login.change_password(opened.session, GOOD, "another one entirely")


async def test_somebody_who_calls_themselves_as_another_of_the_provider_is_somebody_else(way):
    first = (await way.enter()).session
    way.fake.people["sub-eve"] = dict(way.fake.people["sub-anna"])
    second = (await way.enter("sub-eve")).session
    assert first.name == "oidc:anna"
    assert second.name.startswith("oidc:anna~")
    assert await way.world.sessions.end_all(second.name, second.issuer) == 1
    assert [one.name for one in await way.world.sessions.list()] == ["oidc:anna"]
    # Whoever is called otherwise by now is still the same to the audit.
    way.fake.people["sub-anna"]["preferred_username"] = "bert"
    assert (await way.enter()).session.name == "oidc:anna"


@pytest.mark.parametrize(
    ("said", "name"),
    [
        ("Anna\r\nadmin logged in", "oidc:anna-admin-logged-in"),
        ("../../etc", "oidc:..-..-etc"),
        ("\x1b[31mred", "oidc:31mred"),
        ("oidc:root", "oidc:oidc-root"),
        ("анна", None),
        ("", None),
        (["a"], None),
        ("x" * 500, f"oidc:{'x' * 48}"),
    ],
    ids=str,
)
async def test_somebody_s_name_forges_no_line_of_a_log(way, said, name):
    way.fake.people["sub-anna"] |= {"preferred_username": said, "name": "A\nB\x1b[0m" + "y" * 99}
    session = (await way.enter()).session
    assert name is None or session.name == name
    assert session.name.isprintable()
    assert len(session.name) <= 64
    assert session.display_name.isprintable()
    assert len(session.display_name) <= 64


# The provider sends without end, or slowly --------------------------------------------------------


async def test_the_provider_sends_without_end(way):
    async def endless(request):
        response = web.StreamResponse()
        await response.prepare(request)
        try:
            while True:
                await response.write(b"{" * 65536)
        except ConnectionError:
            return response

    way.fake.answer = endless
    with pytest.raises(IssuerError, match="too large"):
        await way.login.begin(BACK)


@pytest.mark.parametrize("kind", ["silent", "drops"])
async def test_the_provider_sends_slowly(way, kind):
    async def drops(request):
        response = web.StreamResponse()
        await response.prepare(request)
        for _ in range(600):
            await response.write(b" ")
            await asyncio.sleep(0.05)
        return response

    way.start(seconds=0.3)
    way.fake.answer = never if kind == "silent" else drops
    began = time.monotonic()
    with pytest.raises(IssuerUnreachable):
        await way.login.begin(BACK)
    assert time.monotonic() - began < 5


async def test_the_provider_leads_elsewhere(way):
    seen = []

    async def lead(request):
        seen.append(request.path)
        return web.Response(status=302, headers={"Location": f"{way.fake.issuer}/elsewhere"})

    way.fake.answer = lead
    with pytest.raises(IssuerError, match="redirect"):
        await way.login.begin(BACK)
    assert seen == ["/.well-known/openid-configuration"]


@pytest.mark.parametrize(
    "body", [b"", b"[]", b"null", b"\xff\xfe", b"<html>", b"[" * 50_000, b'{"issuer": NaN}']
)
async def test_the_provider_answers_with_something_else(way, body):
    async def answer(_request):
        return web.Response(body=body, content_type="application/json")

    way.fake.answer = answer
    with pytest.raises(IssuerError):
        await way.login.begin(BACK)


@pytest.mark.parametrize("url", ["http://elsewhere.example/token", "file:///etc/passwd", "x", 7])
async def test_the_provider_names_an_address_that_may_not_be_asked(way, url):
    way.fake.metadata = {"token_endpoint": url}
    with pytest.raises(IssuerError):
        await way.enter()


async def test_what_it_says_beside_the_id_token_is_of_the_same_person(way):
    way.fake.in_id_token = False
    way.fake.userinfo_claims = {"sub": "sub-eve", "groups": ["grp-it"]}
    await refused(way, "somebody else")


async def test_no_message_holds_what_was_sent_or_what_came(way, caplog):
    async def answer(request):
        form = await request.post()
        return web.json_response({"error": f"no {dict(form)}", "x": "secret words"}, status=400)

    begun = await way.login.begin(BACK)
    said = way.fake.log_in(begun.url)
    way.fake.answer = answer
    with pytest.raises(IssuerError) as failed:
        await way.login.end(said, begun.cookie, HERE)
    told = f"{failed.value} {failed.value.hint} {caplog.text}"
    for secret in (said["code"], said["state"], "secret words", "s3cret"):
        assert secret not in told


# The provider is away, somebody is disabled, somebody cuts the line -------------------------------


async def test_away_nothing_waits_for_it_at_the_start(way):
    assert way.fake.asked == []
    await way.fake.stop()
    way.start()
    await way.vouching.look()


async def test_away_who_is_in_stays_in_for_the_grace_and_not_a_second_longer(way):
    opened = await way.enter()
    began = way.clock.now
    await way.fake.stop()
    while way.clock.now < began + 72 * 3600 - 300:
        way.clock.now += 300
        await way.vouching.look()
        assert await way.world.sessions.verify(opened.secret) is not None, way.clock.now - began
    way.clock.now = began + 72 * 3600
    await way.vouching.look()
    assert await way.world.sessions.verify(opened.secret) is None


async def test_away_who_is_idle_is_out_all_the_same(way):
    opened = await way.enter()
    await way.fake.stop()
    for _ in range(7):
        way.clock.now += 300
        await way.vouching.look()
    assert await way.world.sessions.verify(opened.secret) is None


async def test_away_with_a_service_that_asks_nothing_the_grace_ends_all_the_same(way):
    opened = await way.enter()
    await way.world.database.write(
        lambda db: db.execute("UPDATE sessions SET until = until + 1e9, used = used + 1e9")
    )
    way.clock.now += 72 * 3600
    way.world.start()
    assert await way.world.sessions.verify(opened.secret) is None


async def test_away_a_clock_that_is_set_back_makes_the_grace_no_longer(way):
    opened = await way.enter()
    way.clock.now -= 3600
    way.world.start()
    assert await way.world.sessions.verify(opened.secret) is None


async def test_disabled_there_is_out_here_within_the_time_that_is_said(way):
    opened = await way.enter()
    way.fake.disabled.add("sub-anna")
    waited = 0.0
    while await way.world.sessions.verify(opened.secret) is not None:
        way.clock.now += 150  # as often as it looks
        waited += 150
        await way.vouching.look()
        assert waited <= 600
    with pytest.raises(AccessDenied):
        await way.world.gate.authorise(way.world.cookie(opened.secret))


async def test_cut_line_an_admin_here_disables_somebody_at_once(way):
    opened = await way.enter()
    await way.fake.stop()
    await way.world.database.write(lambda db: identities.set_state(db, "oidc:anna", "disabled"))
    way.world.sessions.forget()
    assert await way.world.sessions.verify(opened.secret) is None


async def test_stolen_disk_the_refresh_token_is_sealed(way):
    await way.enter()
    [token] = way.fake.refreshes
    [(sealed,)] = await way.world.database.read("SELECT refresh FROM identities")
    assert token.encode() not in sealed
    assert way.seal.open(sealed, "refresh token", way.fake.issuer, "sub-anna") == token.encode()
    assert way.seal.open(sealed, "refresh token", way.fake.issuer, "sub-eve") is None


async def test_another_issuer_of_the_configuration_lets_nobody_stay(way):
    opened = await way.enter()
    await way.world.database.write(
        lambda db: db.execute("UPDATE sessions SET issuer = 'https://old.example'")
    )
    way.world.start()
    assert await way.world.sessions.verify(opened.secret) is None
    assert opened.session.proved is Proved.PROVIDER


async def test_guessing_at_the_way_back_is_slowed_down(way):
    refusals = []
    for _ in range(30):
        with pytest.raises(AccessDenied) as refusal:
            await way.login.end({"code": "x", "state": "y"}, "", HERE)
        refusals.append(isinstance(refusal.value, TooManyAttempts))
    assert not refusals[0]
    assert refusals[-1]


async def test_a_provider_that_lies_is_told_to_the_log_and_slows_nobody_down(way, caplog):
    way.fake.lie = {"aud": "another client"}
    for _ in range(30):
        await refused(way, "another client")
    assert "log-in: the identity provider can't be believed" in caplog.text
    way.fake.lie = {}
    assert (await way.enter()).session.role is Role.PHYSICIAN


async def test_the_key_of_an_elliptic_curve_does_as_well(way):
    way.fake.keys, way.fake.sign_with, way.fake.algorithm = {"e1": EC_KEY}, "e1", "ES256"
    way.fake.lie = {"at_hash": None}
    assert (await way.enter()).session.role is Role.PHYSICIAN


async def test_a_refusal_of_the_provider_is_no_error_of_ours(way):
    begun = await way.login.begin(BACK)
    said = {**way.fake.log_in(begun.url), "code": "another"}
    with pytest.raises(AccessDenied) as refusal:
        await way.login.end(said, begun.cookie, HERE)
    assert not isinstance(refusal.value, GrantRefused)
