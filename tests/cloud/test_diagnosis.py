"""The walk to an archive, over real sockets: each thing that can be wrong is called by its name."""

import datetime as dt
import json
import re
import ssl
import time
from contextlib import aclosing

import pytest
import trustme
from aiohttp import web

from edge import others
from edge.cloud.diagnosis import Diagnosis
from edge.cloud.findings import Step, Verdict
from edge.cloud.orthanc import archive_of
from edge.cloud.specimen import PATIENT_ID
from tests.fakes import orthanc
from tests.fakes.archive import Fault, Refusal
from tests.fakes.edge import EdgeServer
from tests.fakes.orthanc import Orthanc
from tests.fakes.proxy import Proxy
from tests.fakes.website import strict_server, website

WHOLE = [
    "name", "connect", "tls", "clock", "login", "search", "store", "find", "retrieve", "delete"
]  # fmt: skip


async def walk(url, *, clock=time.time, **settings):
    """Every finding of a walk to that archive."""
    async with archive_of(others.Archive("cloud", url, **settings)) as archive:
        diagnosis = Diagnosis(archive, patience=5.0, listing=1.0, clock=clock)
        async with aclosing(diagnosis.findings()) as findings:
            return [finding async for finding in findings]


async def failure(url, **settings):
    """The step at which a walk ends, and what it says."""
    *before, last = await walk(url, **settings)
    assert last.verdict is Verdict.FAILED
    assert not any(finding.verdict is Verdict.FAILED for finding in before)
    return last.step, f"{last.found} | {last.hint}"


def verdicts(findings):
    return {str(finding.step): str(finding.verdict) for finding in findings}


def said(findings, step):
    (finding,) = (it for it in findings if it.step is step)
    return f"{finding.found} | {finding.hint}"


# Whole walks -----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def real_orthanc(tmp_path_factory):
    if why := orthanc.missing():
        pytest.skip(why)
    with Orthanc(tmp_path_factory.mktemp("orthanc")) as server:
        yield server


async def test_the_whole_way_to_orthanc_and_back(real_orthanc):
    user, password = real_orthanc.auth
    auth = others.Auth("basic", user=user, password=password)
    findings = await walk(real_orthanc.dicomweb, kind="orthanc", auth=auth)
    assert [str(finding.step) for finding in findings] == WHOLE
    assert verdicts(findings) == dict.fromkeys(WHOLE, "passed") | {"tls": "noted"}
    assert all(finding.milliseconds >= 0 for finding in findings)
    assert real_orthanc.request("GET", "/instances").json() == []


async def test_an_orthanc_that_is_not_called_one_keeps_the_test_instance_and_it_is_said(
    real_orthanc,
):
    user, password = real_orthanc.auth
    auth = others.Auth("basic", user=user, password=password)
    findings = await walk(real_orthanc.dicomweb, auth=auth)
    assert findings[-1].verdict is Verdict.NOTED
    words = said(findings, Step.DELETE)
    assert "(405)" in words
    assert PATIENT_ID in words
    assert 'kind = "orthanc"' in words
    (patient,) = real_orthanc.request("GET", "/patients?expand").json()
    assert patient["MainDicomTags"]["PatientID"] == PATIENT_ID
    (study,) = real_orthanc.request("GET", "/studies?expand").json()
    assert study["MainDicomTags"]["StudyInstanceUID"] in words
    real_orthanc.request("DELETE", f"/patients/{patient['ID']}")


@pytest.mark.parametrize("ending", ["", "/"])
async def test_an_orthanc_without_the_path_of_its_plugin_is_told_to_need_that(real_orthanc, ending):
    user, password = real_orthanc.auth
    auth = others.Auth("basic", user=user, password=password)
    url = real_orthanc.dicomweb.removesuffix("/dicom-web")
    step, words = await failure(url + ending, kind="orthanc", auth=auth)
    assert step is Step.SEARCH
    assert f"ends with /dicom-web, as in {url}/dicom-web" in words
    assert "log" not in words


async def test_the_wrong_password_of_orthanc_is_found_at_the_login(real_orthanc):
    auth = others.Auth("basic", user="edge", password="wrong")
    step, words = await failure(real_orthanc.dicomweb, auth=auth)
    assert step is Step.LOGIN
    assert "401" in words
    assert "wrong credentials" in words


@pytest.fixture
async def other_edge(tmp_path):
    server = EdgeServer(tmp_path / "archive", tls="auto")
    await server.start()
    yield server
    await server.stop()


async def test_the_whole_way_to_another_edge_by_https(other_edge):
    auth = others.Auth("bearer", token=other_edge.admin_token)
    findings = await walk(other_edge.dicomweb, auth=auth, tls_ca=other_edge.authority)
    assert verdicts(findings) == dict.fromkeys(WHOLE, "passed")
    assert "issued by" in said(findings, Step.TLS)
    assert re.search(r"valid for 39[5-7] days yet", said(findings, Step.TLS))
    assert "the archive agrees" in said(findings, Step.CLOCK)


async def test_the_same_way_through_a_proxy_that_wants_a_login(other_edge):
    auth = others.Auth("bearer", token=other_edge.admin_token)
    way = {"auth": auth, "tls_ca": other_edge.authority}
    async with Proxy(("box", "a secret")) as proxy:
        login = {"proxy": proxy.url, "proxy_user": "box", "proxy_password": "a secret"}
        findings = await walk(other_edge.dicomweb, **way, **login)
        asked = set(proxy.asked)
    whole = [*WHOLE[:2], "proxy", *WHOLE[2:]]
    assert [str(finding.step) for finding in findings] == whole
    assert verdicts(findings) == dict.fromkeys(whole, "passed")
    (connect,) = asked
    assert connect.startswith("CONNECT localhost:")


async def test_a_token_without_the_right_to_delete_leaves_the_instance_and_says_so(other_edge):
    auth = others.Auth("bearer", token=other_edge.token)
    findings = await walk(other_edge.dicomweb, auth=auth, tls_ca=other_edge.authority)
    assert verdicts(findings) == dict.fromkeys(WHOLE, "passed") | {"delete": "noted"}
    words = said(findings, Step.DELETE)
    assert "does not let us delete" in words
    assert PATIENT_ID in words


async def test_an_authority_that_is_unknown_is_named(other_edge):
    step, words = await failure(other_edge.dicomweb)
    assert step is Step.TLS
    assert "is not trusted" in words
    assert "issued by" in words
    assert "tls_ca" in words


# The way ---------------------------------------------------------------------------------------


async def test_a_name_that_nobody_knows():
    step, words = await failure("http://archive.invalid/dicom-web")
    assert step is Step.NAME
    assert "archive.invalid can't be resolved" in words


async def test_a_port_that_nobody_listens_on(free_port):
    step, words = await failure(f"http://127.0.0.1:{free_port()}")
    assert step is Step.CONNECT
    assert "refuses the connection" in words


async def test_a_proxy_that_is_not_there_is_not_called_the_archive(fake, free_port):
    step, words = await failure(fake.url, proxy=f"http://127.0.0.1:{free_port()}")
    assert step is Step.CONNECT
    assert words.startswith("the proxy 127.0.0.1:")
    step, words = await failure(fake.url, proxy="http://proxy.invalid:3128")
    assert step is Step.NAME
    assert "the name of the proxy proxy.invalid can't be resolved" in words


@pytest.mark.parametrize("scheme", ["http", "https"])
async def test_a_proxy_that_wants_a_login_or_another_one(fake, scheme):
    url = fake.url.replace("http", scheme)
    async with Proxy(("box", "right")) as proxy:
        step, words = await failure(url, proxy=proxy.url)
        assert step is Step.PROXY
        assert "wants a login" in words
        assert "proxy_user" in words
        step, words = await failure(url, proxy=proxy.url, proxy_user="box", proxy_password="wrong")
    assert step is Step.PROXY
    assert "refuses these credentials" in words
    assert "wrong" not in words


async def test_a_proxy_that_can_not_reach_the_archive_or_must_not(fake, free_port):
    async with Proxy() as proxy:
        port = free_port()
        step, words = await failure(f"https://127.0.0.1:{port}", proxy=proxy.url)
        assert step is Step.PROXY
        assert f"can't reach 127.0.0.1:{port}" in words
        proxy.forbidden.add(fake.port)
        step, words = await failure(f"https://127.0.0.1:{fake.port}", proxy=proxy.url)
    assert step is Step.PROXY
    assert "does not let us through" in words


# TLS and time ----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def authority():
    return trustme.CA(organization_name="Clinic Authority")


@pytest.fixture
def trusted(authority, tmp_path):
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    return tmp_path / "ca.pem"


async def nothing(request):
    return web.json_response([], content_type="application/dicom+json")


async def test_an_archive_that_speaks_tls_alone_is_not_called_a_bad_line(authority):
    async with website(nothing, authority.issue_cert("127.0.0.1")) as url:
        step, words = await failure(url.replace("https:", "http:"))
    assert step is Step.TLS
    assert "answers with encryption alone" in words
    assert words.endswith("it must begin with https://")


async def test_a_certificate_for_another_name_is_shown(authority, trusted):
    certificate = authority.issue_cert("other.example", "www.other.example")
    async with website(nothing, certificate) as url:
        step, words = await failure(url, tls_ca=trusted)
    assert step is Step.TLS
    assert "for another name" in words
    assert "other.example, www.other.example" in words
    assert "captive portal" in words


def days(count):
    return dt.datetime.now(dt.UTC) + dt.timedelta(days=count)


async def test_a_certificate_that_expired_is_told_from_a_clock_that_is_wrong(authority, trusted):
    expired = authority.issue_cert("127.0.0.1", not_before=days(-90), not_after=days(-12))
    async with website(nothing, expired) as url:
        step, words = await failure(url, tls_ca=trusted)
    assert step is Step.TLS
    assert "expired on" in words
    assert "12 days ago" in words or "13 days ago" in words
    assert "Clinic Authority" in words
    assert "clock" not in words


async def test_a_clock_that_is_ahead_is_named_when_it_makes_a_certificate_expire(
    authority, trusted
):
    """The certificate has ended for us only: the archive's clock says that it is valid."""
    ended = authority.issue_cert("127.0.0.1", not_before=days(-90), not_after=days(-1))

    async def yesterday(request):
        headers = {"Date": days(-2).strftime("%a, %d %b %Y %H:%M:%S GMT")}
        return web.Response(headers=headers)

    async with website(yesterday, ended) as url:
        step, words = await failure(url, tls_ca=trusted)
    assert step is Step.TLS
    assert "this box's clock is wrong" in words
    assert "ahead of the archive's" in words


async def test_a_clock_from_before_this_product_is_named(authority, trusted):
    future = authority.issue_cert("127.0.0.1", not_before=days(5), not_after=days(90))
    async with website(nothing, future) as url:
        step, words = await failure(url, tls_ca=trusted, clock=lambda: 86400.0)
        assert step is Step.TLS
        assert "this box's clock is wrong: it says 1970-01-02" in words
        step, words = await failure(url, tls_ca=trusted)
    assert "is valid from" in words


async def test_a_certificate_that_ends_soon_is_noted(authority, trusted):
    soon = authority.issue_cert("127.0.0.1", not_after=days(5.5))
    async with website(nothing, soon) as url:
        findings = await walk(url, tls_ca=trusted)
    tls = next(finding for finding in findings if finding.step is Step.TLS)
    assert tls.verdict is Verdict.NOTED
    assert "5 days yet" in tls.found


@pytest.mark.parametrize("off", [-7200, 7200])
async def test_a_clock_that_is_off_is_noted_and_the_walk_goes_on(fake, off):
    findings = await walk(fake.url, clock=lambda: time.time() + off)
    assert verdicts(findings)["clock"] == "noted"
    assert f"2 hours {'ahead of' if off > 0 else 'behind'} the archive's" in said(
        findings, Step.CLOCK
    ) or "1 hour" in said(findings, Step.CLOCK)
    assert findings[-1].step is Step.DELETE
    assert not fake.instances


async def test_an_archive_that_hangs_up_in_the_handshake_may_want_a_client_certificate(
    authority, trusted
):
    certificate = authority.issue_cert("127.0.0.1")
    async with website(nothing, certificate, clients=authority) as url:
        step, words = await failure(url, tls_ca=trusted)
    assert step is Step.TLS
    assert "ends the connection in the TLS handshake" in words
    assert "tls_certificate" in words


@pytest.mark.parametrize("most", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
async def test_an_archive_that_wants_a_client_certificate(authority, trusted, tmp_path, most):
    certificate = authority.issue_cert("127.0.0.1")
    ours, stranger = authority.issue_cert("box.example"), trustme.CA().issue_cert("box.example")
    pairs = []
    for number, leaf in enumerate((ours, stranger)):
        key, chain = tmp_path / f"{number}.key", tmp_path / f"{number}.pem"
        leaf.private_key_pem.write_to_path(key)
        leaf.cert_chain_pems[0].write_to_path(chain)
        pairs.append({"tls_certificate": chain, "tls_key": key})
    with strict_server(certificate, authority, most) as url:
        step, words = await failure(url, tls_ca=trusted)
        assert step is Step.TLS
        assert "wants a client certificate" in words
        assert "tls_certificate" in words
        step, words = await failure(url, tls_ca=trusted, **pairs[1])
        assert step is Step.TLS
        assert "does not know the authority of our client certificate" in words
        findings = await walk(url, tls_ca=trusted, **pairs[0])
    assert verdicts(findings)["tls"] == verdicts(findings)["search"] == "passed"


# Login, and who answers in the archive's place --------------------------------------------------


def answering(status, **options):
    async def answer(request):
        return web.Response(status=status, **options)

    return answer


@pytest.mark.parametrize(
    ("status", "options", "step", "words"),
    [
        (401, {}, Step.LOGIN, "it wants a login"),
        (403, {}, Step.LOGIN, "a right is missing"),
        (511, {}, Step.LOGIN, "a captive portal wants a login"),
        (
            302,
            {"headers": {"Location": "http://portal.example/?to=x"}},
            Step.LOGIN,
            "a redirect to http://portal.example: a captive portal",
        ),
        (
            200,
            {"text": "<!DOCTYPE html><html>", "content_type": "text/html"},
            Step.LOGIN,
            "a web page where DICOM is due: a captive portal",
        ),
        (404, {}, Step.SEARCH, "it must be the base of the DICOMweb service"),
        (503, {}, Step.SEARCH, "the archive is busy"),
    ],
)
async def test_who_answers_instead_of_the_archive(status, options, step, words):
    async with website(answering(status, **options)) as url:
        at, found = await failure(url)
    assert at is step
    assert words in found


async def test_a_redirect_to_a_login_page_over_https(authority, trusted):
    moved = answering(302, headers={"Location": "https://login.example/oauth2?client_id=1"})
    async with website(moved, authority.issue_cert("127.0.0.1")) as url:
        step, words = await failure(url, tls_ca=trusted)
    assert step is Step.LOGIN
    assert "a redirect to https://login.example, a login page" in words
    assert "client_id" not in words


# There and back --------------------------------------------------------------------------------


async def test_an_archive_that_refuses_the_instance_says_why(fake):
    class Everything(dict):
        def get(self, key, default=None):
            return Refusal(0xA700, "the disk is full")

    fake.refusals = Everything()
    step, words = await failure(fake.url)
    assert step is Step.STORE
    assert "A700" in words
    assert "the disk is full" in words


async def test_an_instance_that_is_not_listed_is_deleted_all_the_same(fake):
    fake.listing_delay = 600.0
    findings = await walk(fake.url)
    assert verdicts(findings)["find"] == "failed"
    assert verdicts(findings)["delete"] == "passed"
    assert not fake.instances


async def test_other_bytes_are_noticed(fake):
    class Rewriting(dict):
        def __setitem__(self, uid, held):
            super().__setitem__(uid, type(held)(**{**fields(held), "part10": held.part10[:-2]}))

    def fields(held):
        return {name: getattr(held, name) for name in held.__dataclass_fields__}

    fake.instances = Rewriting()
    findings = await walk(fake.url)
    assert verdicts(findings)["retrieve"] == "failed"
    assert "it gives other bytes back" in said(findings, Step.RETRIEVE)
    assert verdicts(findings)["delete"] == "passed"


async def test_an_answer_that_is_lost_leaves_nothing_behind(fake):
    fake.faults["store"].append(Fault(commit=True, cut_answer=3))
    findings = await walk(fake.url)
    assert verdicts(findings)["store"] == "failed"
    assert verdicts(findings)["delete"] == "passed"
    assert not fake.instances


async def test_who_loses_patience_leaves_nothing_behind(fake):
    async with archive_of(others.Archive("cloud", fake.url)) as archive:
        async with aclosing(Diagnosis(archive).findings()) as findings:
            async for finding in findings:
                if finding.step is Step.STORE:
                    break
        assert len(fake.batches) == 1
        assert not fake.instances


async def test_what_is_found_can_be_told_to_a_page(fake):
    findings = await walk(fake.url)
    rows = [(str(it.step), str(it.verdict), it.found, it.hint, it.milliseconds) for it in findings]
    assert len(json.loads(json.dumps(rows))) == len(WHOLE)
