"""Every answer tells browsers what not to do."""

from __future__ import annotations

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from edge.dicomweb import safety
from edge.dicomweb.root import create_root

POLICIES = [safety.API, safety.PAGE, safety.VIEWER, safety.DOCUMENT, safety.SANDBOX]


def directives(policy):
    return {words[0]: words[1:] for part in policy.split(";") if (words := part.split())}


@pytest.mark.parametrize("policy", POLICIES, ids=["API", "PAGE", "VIEWER", "DOCUMENT", "SANDBOX"])
def test_no_policy_allows_scripts_that_stand_in_a_page(policy):
    found = directives(policy)
    assert found["default-src"] == ["'none'"]
    scripts = found.get("script-src", [])
    assert set(scripts) <= {"'self'", "'wasm-unsafe-eval'"}
    assert "'unsafe-eval'" not in policy
    assert found["base-uri"] in (["'none'"], ["'self'"])
    assert found["form-action"] in (["'none'"], ["'self'"])
    assert found["frame-ancestors"] in (["'none'"], ["'self'"])
    sources = [source for words in found.values() for source in words]
    assert not [source for source in sources if source in ("*", "http:", "https:")]


def test_only_a_page_of_ours_or_the_viewer_runs_anything():
    for policy in (safety.API, safety.DOCUMENT, safety.SANDBOX):
        assert "script-src" not in directives(policy)
    assert directives(safety.SANDBOX)["sandbox"] == []


@pytest.fixture
async def client():
    async def page(_):
        return web.Response(text="<p>page</p>", content_type="text/html")

    async def report(_):
        headers = {safety.POLICY_HEADER: safety.SANDBOX}
        return web.Response(text="<p>report</p>", content_type="text/html", headers=headers)

    async def file(_):
        return web.Response(text="x", headers={"Cache-Control": "public, max-age=3600"})

    async def defect(_):
        raise RuntimeError

    routes = [web.get("/page", page), web.get("/report", report), web.get("/file", file)]
    apps = {}
    for name, policy in (("api", None), ("pages", safety.PAGE), ("viewer", safety.VIEWER)):
        apps[f"/{name}"] = app = web.Application()
        app.add_routes([*routes, web.get("/defect", defect)])
        if policy is not None:
            app[safety.POLICY] = policy
    async with TestClient(TestServer(create_root(apps, strict_transport=True))) as opened:
        yield opened


@pytest.mark.parametrize(
    ("path", "policy", "frame"),
    [
        ("/api/page", safety.API, "DENY"),
        ("/api/report", safety.SANDBOX, "SAMEORIGIN"),
        ("/api/nothing", safety.API, "DENY"),
        ("/nothing", safety.API, "DENY"),
        ("/api/defect", safety.API, "DENY"),
        ("/pages/page", safety.PAGE, "DENY"),
        ("/pages/report", safety.SANDBOX, "SAMEORIGIN"),
        ("/viewer/page", safety.VIEWER, "SAMEORIGIN"),
    ],
)
async def test_every_answer_has_the_policy_of_what_it_is(client, path, policy, frame):
    async with client.get(path) as answer:
        assert answer.headers.getall("Content-Security-Policy") == [policy]
        assert answer.headers["X-Frame-Options"] == frame
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        # Browsers hide the origin of a form whose page has no referrer at all (Fetch 3.1).
        referrer = "same-origin" if policy == safety.PAGE else "no-referrer"
        assert answer.headers["Referrer-Policy"] == referrer
        assert answer.headers["Cross-Origin-Opener-Policy"] == "same-origin"
        assert answer.headers["Cross-Origin-Resource-Policy"] == "same-origin"
        assert "camera=()" in answer.headers["Permissions-Policy"]
        assert answer.headers["Cache-Control"] == "no-store"
        assert answer.headers["Strict-Transport-Security"].startswith("max-age=")
        isolated = answer.headers.get("Cross-Origin-Embedder-Policy")
        assert isolated == ("require-corp" if policy == safety.VIEWER else None)


async def test_what_is_everybodys_may_be_kept(client):
    async with client.get("/pages/file") as answer:
        assert answer.headers["Cache-Control"] == "public, max-age=3600"


async def test_with_the_boxs_own_authority_nobody_is_locked_out():
    async with (
        TestClient(TestServer(create_root({}))) as client,
        client.get("/nothing") as answer,
    ):
        assert "Strict-Transport-Security" not in answer.headers
