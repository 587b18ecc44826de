"""What time it is, from the archive."""

from __future__ import annotations

from datetime import UTC, datetime
from email.utils import format_datetime

import pytest
import trustme
from aiohttp import web
from cryptography import x509
from cryptography.hazmat.primitives import hashes

from edge import others
from edge.errors import CloudUnreachable
from edge.provision.clock import time_from
from tests.fakes.website import website

LATER = datetime(2031, 6, 1, 12, 0, tzinfo=UTC)
"""The certificate is valid then, and not now: our clock can't say so."""


@pytest.fixture(scope="module")
def authority():
    return trustme.CA()


@pytest.fixture
def archive_of(authority, tmp_path):
    def archive_of(url, name="hospital"):
        file = tmp_path / "ca.pem"
        authority.cert_pem.write_to_path(str(file))
        return others.Archive(name, f"{url}/dicom-web", tls_ca=file)

    return archive_of


def leaf_of(authority):
    return authority.issue_cert(
        "127.0.0.1",
        not_before=datetime(2031, 1, 1, tzinfo=UTC),
        not_after=datetime(2032, 1, 1, tzinfo=UTC),
    )


def at(moment):
    async def answer(request):
        headers = {} if moment is None else {"Date": format_datetime(moment, usegmt=True)}
        return web.Response(headers=headers)

    return answer


async def test_an_archive_is_believed_whose_certificate_our_clock_would_refuse(
    authority, archive_of
):
    async with website(at(LATER), leaf_of(authority)) as url:
        heard = await time_from([archive_of(url)], elapsed=lambda: 7.0)
    assert (heard.archive, heard.utc, heard.measured) == ("hospital", LATER.timestamp(), 7.0)


async def test_not_at_a_time_at_which_its_certificate_is_worth_nothing(authority, archive_of):
    early = datetime(2030, 6, 1, tzinfo=UTC)
    async with website(at(early), leaf_of(authority)) as url:
        with pytest.raises(CloudUnreachable, match="not valid at the time that it says"):
            await time_from([archive_of(url)])


def below(authority, first, last):
    """An authority that another one made, for the years between."""
    made = authority.create_child_ca()
    before = made._certificate
    builder = x509.CertificateBuilder(
        before.issuer, before.subject, before.public_key(), before.serial_number,
        datetime(first, 1, 1, tzinfo=UTC), datetime(last, 1, 1, tzinfo=UTC),
        list(before.extensions),
    )  # fmt: skip
    made._certificate = builder.sign(authority._private_key, hashes.SHA256())
    return made


@pytest.mark.parametrize(("first", "last"), [(2025, 2029), (2033, 2035)])
async def test_nor_at_one_at_which_an_authority_in_between_is_worth_nothing(
    authority, archive_of, first, last
):
    """Whose key may have been lost, or sold, since it ended."""
    async with website(at(LATER), leaf_of(below(authority, first, last))) as url:
        with pytest.raises(CloudUnreachable, match=r"authority trustme .* is not valid at the"):
            await time_from([archive_of(url)])


async def test_an_authority_in_between_that_is_valid_then_is_believed(authority, archive_of):
    async with website(at(LATER), leaf_of(below(authority, 2030, 2033))) as url:
        assert (await time_from([archive_of(url)])).utc == LATER.timestamp()


async def test_nobody_else_is_believed(archive_of):
    stranger = leaf_of(trustme.CA())
    async with website(at(LATER), stranger) as url:
        with pytest.raises(CloudUnreachable, match="certificate"):
            await time_from([archive_of(url)], patience=5.0)


async def test_without_tls_nobody_is_asked(archive_of):
    with pytest.raises(CloudUnreachable, match="no TLS"):
        await time_from([archive_of("http://127.0.0.1:9")])
    with pytest.raises(CloudUnreachable, match="there is none"):
        await time_from([])


async def test_the_next_one_is_asked_if_the_first_is_away(authority, archive_of, free_port):
    async with website(at(LATER), leaf_of(authority)) as url:
        gone = archive_of(f"https://127.0.0.1:{free_port()}", "gone")
        heard = await time_from([gone, archive_of(url)])
    assert heard.archive == "hospital"
