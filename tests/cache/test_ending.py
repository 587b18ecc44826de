"""Tokens, authorities and certificates that end are spoken of in time."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import trustme

from edge import config
from edge.authorities import Authority, authorities_in
from edge.cache.ending import ending_authorities, ending_certificates, ending_tokens
from edge.index.tokens import TokenRow, TokenTable
from edge.others import Archive, Syslog

DAY, NOW = 86400.0, 1_790_000_000.0


async def test_a_month_before_and_a_month_behind_its_end_a_token_is_named(cache):
    table = TokenTable(cache.database)
    for name, created, expires in (
        ("of a year, soon over", -336, 29),
        ("of a year, not yet", -334, 31),
        ("over", -400, -29),
        ("long over", -400, -31),
        ("of a week, new", 0, 7),
        ("of a week, nearly over", -6, 1),
    ):
        row = TokenRow(name, "viewer", name, NOW + created * DAY, NOW + expires * DAY)
        await table.insert(row, name.encode())
    await table.insert(TokenRow("without end", "viewer", "", NOW), b"x")
    found = await ending_tokens(cache.database, NOW)
    assert [(token.name, token.ended) for token in found] == [
        ("over", True),
        ("of a week, nearly over", False),
        ("of a year, soon over", False),
    ]
    assert found[0].sentence.startswith("Token over ended on 20")
    assert found[1].sentence.startswith("Token of a week, nearly over ends on 20")


def machine_wide(name, days):
    return Authority(name, NOW + days * DAY, "")


def test_a_month_before_its_end_an_authority_is_named_and_from_then_on():
    machine = [machine_wide("soon", 29), machine_wide("not yet", 31), machine_wide("long ago", -99)]
    found = ending_authorities([], machine, NOW)
    assert [(one.name, one.archive, one.ended) for one in found] == [
        ("long ago", "", True),
        ("soon", "", False),
    ]
    assert found[1].sentence.startswith("Authority soon ends on 20")


def test_an_authority_that_was_renewed_is_named_no_more():
    machine = [machine_wide("clinic", -1), machine_wide("clinic", 300)]
    assert ending_authorities([], machine, NOW) == ()


def test_an_authority_of_an_archive_is_named_with_it():
    pem = trustme.CA(organization_name="St. Brigid").cert_pem.bytes().decode()
    (one,) = authorities_in(pem)
    archive = Archive("cloud", "https://a.example", authority=pem)
    (found,) = ending_authorities([archive, Archive("x", "https://b.example")], [], one.until - DAY)
    assert (found.name, found.archive, found.ended) == (one.subject, "cloud", False)
    assert found.sentence == f"Authority {one.subject} of archive cloud ends on {one.day}"
    (found,) = ending_authorities([archive], [], one.until + 99 * DAY)
    assert found.ended
    damaged = Archive("y", "https://c.example", authority="garbage")
    assert ending_authorities([damaged], [], NOW) == ()


def pem_of(name):
    """An authority's certificate, which holds from now on for years."""
    return trustme.CA(organization_name=name).cert_pem.bytes().decode()


def test_one_of_the_machine_that_was_renewed_at_an_archive_is_named_no_more():
    """What the alarm advises: it warned for ever, for nothing replaces what set the box up."""
    pem = pem_of("St. Brigid")
    (new,) = authorities_in(pem)
    now = new.until - 300 * DAY
    machine = [Authority(new.subject, now - DAY, "")]
    cloud, other = Archive("cloud", "https://a.example"), Archive("other", "https://b.example")
    assert [one.name for one in ending_authorities([cloud, other], machine, now)] == [new.subject]
    renewed = Archive("cloud", "https://a.example", authority=pem)
    assert ending_authorities([renewed, other], machine, now) == ()


def test_one_of_the_machine_that_ended_counts_until_each_archive_has_one_of_its_own():
    pem = pem_of("Another")
    (new,) = authorities_in(pem)
    now = new.until - 300 * DAY
    machine = [Authority("clinic", now - DAY, ""), Authority("soon", now + DAY, "")]
    cloud = Archive("cloud", "https://a.example", authority=pem)
    bare = Archive("other", "https://b.example")
    named = ["clinic", "soon"]
    assert [one.name for one in ending_authorities([cloud, bare], machine, now)] == named
    damaged = Archive("other", "https://b.example", authority="garbage")
    assert [one.name for one in ending_authorities([cloud, damaged], machine, now)] == named
    other = Archive("other", "https://b.example", authority=pem)
    assert [one.name for one in ending_authorities([cloud, other], machine, now)] == ["soon"]
    assert [one.name for one in ending_authorities([], machine, now)] == named


def shown(folder, name, *, days, life=366):
    """A certificate that ends so many days from ``NOW`` on, in a file as servers have it."""
    end = datetime.fromtimestamp(NOW, UTC) + timedelta(days=days)
    authority = trustme.CA(organization_name="an authority that ends elsewhen")
    leaf = authority.issue_cert(name, not_before=end - timedelta(days=life), not_after=end)
    path = folder / f"{name}.pem"
    path.write_bytes(b"".join(one.bytes() for one in leaf.cert_chain_pems))
    path.write_bytes(path.read_bytes() + authority.cert_pem.bytes())
    return path


def with_files(http=None, dimse=None):
    """A configuration with certificates of the clinic's own."""
    return config.Config(
        http=config.Http() if http is None else config.Http(tls="files", tls_certificate=http),
        dimse=config.Dimse(tls_certificate=dimse or Path()),
    )


def test_a_month_before_its_end_a_certificate_of_the_clinic_s_own_is_named(tmp_path):
    http = shown(tmp_path, "pacs.clinic.example", days=29)
    dimse = shown(tmp_path, "dicom.clinic.example", days=-1)
    found = ending_certificates(with_files(http, dimse), NOW)
    assert [(one.name, one.key, one.ended) for one in found] == [
        ("dicom.clinic.example", "dimse.tls_certificate", True),
        ("pacs.clinic.example", "http.tls_certificate", False),
    ]
    assert found[1].until == NOW + 29 * DAY
    said = "Certificate pacs.clinic.example (http.tls_certificate) ends on 20"
    assert found[1].sentence.startswith(said)


@pytest.mark.parametrize(
    ("days", "life", "is_named"), [(31, 366, False), (29, 90, False), (22, 90, True), (2, 6, False)]
)
def test_one_that_is_renewed_a_month_before_its_end_warns_of_nothing(
    tmp_path, days, life, is_named
):
    http = shown(tmp_path, "pacs.clinic.example", days=days, life=life)
    assert bool(ending_certificates(with_files(http), NOW)) is is_named


def test_one_that_an_archive_or_the_audit_s_server_is_shown_is_named_with_it(tmp_path):
    pair = {"tls_certificate": shown(tmp_path, "box.example", days=20), "tls_key": tmp_path / "key"}
    fine = shown(tmp_path, "fine.example", days=40)
    said = config.Config(
        cloud=config.Cloud(
            archive=(
                Archive("cloud", "https://cloud.example", **pair),
                Archive("copy", "https://copy.example", tls_certificate=fine),
                Archive("bare", "https://bare.example"),
            )
        ),
        audit=config.Audit(syslog=Syslog("log.example:6514", **pair)),
    )
    found = ending_certificates(said, NOW)
    assert [(one.key, one.to) for one in found] == [
        ("audit.syslog.tls_certificate", "log.example:6514"),
        ("cloud.archive.tls_certificate", "cloud"),
    ]
    named = "Certificate box.example (cloud.archive.tls_certificate of cloud) ends on 20"
    assert found[1].sentence.startswith(named)


def test_once_the_file_has_another_the_warning_is_over(tmp_path):
    http = shown(tmp_path, "pacs.clinic.example", days=3)
    said = with_files(http, http)
    (one,) = ending_certificates(said, NOW)
    assert one.key == "http.tls_certificate"
    shown(tmp_path, "pacs.clinic.example", days=366)
    assert ending_certificates(said, NOW) == ()


def test_what_the_box_does_not_show_or_can_not_read_is_not_spoken_of(tmp_path):
    http = shown(tmp_path, "pacs.clinic.example", days=-3)
    own = config.Config(http=config.Http(tls="auto", tls_certificate=http))
    assert ending_certificates(own, NOW) == ()
    assert ending_certificates(with_files(tmp_path / "none"), NOW) == ()
    http.write_text("no certificate")
    assert ending_certificates(with_files(http), NOW) == ()
