"""The disk of a box that lived, read byte by byte: nobody's name, secret or picture is on it.

A box does all that a box does, on a disk of its own that keeps what was deleted, with its log and
its configuration, the couriers' disk and the backup; it is killed in the middle of taking images
in, and locked. Each time its whole disk is searched for whatever was sent, typed or shown, and so
is the memory of the box that was locked, as if it had been swapped out.
"""

from __future__ import annotations

import asyncio
import json
import shutil
import zipfile
from base64 import b32encode
from pathlib import Path

import httpx
import pydicom
import pytest

from tests import samples
from tests.access.authenticator import Authenticator
from tests.access.oidc.provider import CLIENT_ID, CLIENT_SECRET, FakeProvider
from tests.access.people import basic
from tests.dimse import steps
from tests.journeys.disk import disk, memory
from tests.journeys.lived import PASSPHRASE, Lived, keys_of, until, until_true
from tests.journeys.modality import dcmsend, dcmtk
from tests.journeys.needles import Needles
from tests.journeys.people import code_of
from tests.journeys.service import Installation
from tests.journeys.test_edits import edit
from tests.journeys.test_nothing_readable import half_sent, other_pixels, tiny_series
from tests.worklists import find, item, save

PASSWORDS = {"anna": "eleven grey herons waiting", "bert": "a bicycle of blue cheese"}
STUDIES = "/dicom-web/studies"
_AS_JPEG_2000 = (
    'multipart/related; type="application/dicom"; transfer-syntax=1.2.840.10008.1.2.4.90'
)


@pytest.fixture
async def installation(tmp_path):
    root = tmp_path / "box"
    with disk(root / "watched") as one:
        made = Lived(root, one)
        yield made
        made.kill()


@pytest.fixture
def needles():
    made = Needles()
    made.text("passphrase", PASSPHRASE)
    made.text("password", *PASSWORDS.values(), "thirteen wrong umbrellas")
    made.text("secret of the box at the provider", CLIENT_SECRET)
    for kind in ("", "EC ", "RSA "):
        made.text("a key in the clear", f"BEGIN {kind}PRIVATE KEY")
    return made


async def test_nothing_is_readable_on_the_disk_of_a_box_that_lived(
    installation, needles, cloud, tmp_path
):
    box = installation
    await box.open()
    words = (await box.done("key", "recovery")).out
    needles.text("recovery key", *recovery_forms(words))
    async with FakeProvider() as provider:
        await configured(box, needles, cloud, provider, tmp_path)
        async with box.browsing() as admin:
            await people_come(box, needles, admin)
            await by_the_provider(box, needles, provider)
            await images_come(box, needles, cloud, tmp_path)
            await images_are_looked_at(box, needles)
            await steps_are_performed(box, needles, tmp_path)
            await all_is_sent(box, cloud)
            await things_are_changed(box, needles, cloud, admin)
        await what_leaves_the_house(box, needles, tmp_path)
        await asyncio.to_thread(keys_of, box, needles)
        nothing_is_found(box, needles, "while it runs")
        await killed_during_intake(box, needles)
        nothing_is_found(box, needles, "as it was when it was killed")
        await box.open()
        await until(lambda: not list((box.data / "incoming").glob("*")))
        assert (await box.run("key", "lock")).status == 0
        await box.until_said("locked: DICOM")
        remembered = needles.found_in(memory(box.process.pid))
        # Words that programs say as well were there before anything came.
        assert sorted(remembered - needles.found_in(box.memory_before)) == []
        assert (await box.stop()).status == 0
    nothing_is_found(box, needles, "at the end")
    await restored(box, words)
    nothing_is_found(box, needles, "when it was restored")
    assert {path.name for path in box.temporary.iterdir()} == set()
    assert {path.name for path in box.home.iterdir()} == set()


def nothing_is_found(box: Lived, needles: Needles, when: str) -> None:
    log = Needles({b"ready: DICOM as": "what the log says"})
    assert log.found_in(box.disk.content()), "the disk is not what is searched"
    assert sorted(needles.found_in(box.disk.content())) == [], when
    if box.process is not None:
        found = needles.found_in(box.open_files().values())
        assert sorted(found) == [], f"in open files {when}"


def recovery_forms(said: str) -> list[str]:
    """A recovery key as it is printed, and as somebody types it in one go."""
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    assert lines, said
    return [*lines, *("".join(filter(str.isalnum, line)) for line in lines)]


async def configured(box, needles, cloud, provider, folder):
    """Another configuration, with secrets that are sealed for it."""
    user, password = cloud.auth
    needles.text("password of the archive", password)
    needles.bytes("credentials of the archive", f"{user}:{password}".encode())
    secrets = [await asyncio.to_thread(box.sealed, one) for one in (password, CLIENT_SECRET)]
    lists = folder / "wl"
    lists.mkdir()
    scheduled = item(
        71,
        name="SCHEDULED^FRIEDERIKE",
        patient="SCHEDULED-0071",
        AccessionNumber="ACC-SCHED-71",
    )
    needles.dataset(scheduled)
    needles.text("scheduled", "SCHEDULED-0071", "ACC-SCHED-71")
    save(scheduled, lists / "1.wl")
    assert (await box.stop()).status == 0
    hospital = Installation(folder / "hospital")
    courier = json.loads((await hospital.run("courier", "key", "--json")).out)
    box.configure(
        more=f"""
            [[cloud.archive]]
            name = "cloud"
            url = "{cloud.dicomweb}"
            auth = {{ kind = "basic", user = "{user}", password = "{secrets[0]}" }}
            [access.oidc]
            issuer = "{provider.issuer}"
            client_id = "{CLIENT_ID}"
            client_secret = "{secrets[1]}"
            roles = {{ grp-radiology = "physician" }}
            [[worklist.source]]
            name = "lists"
            kind = "folder"
            path = "{lists}"
            [[dimse.peer]]
            ae_title = "CT1"
            may = ["store", "worklist", "query", "retrieve"]
            [courier]
            recipients = ["{courier["key"]}"]
            """
    )
    box.configuration.write_text(
        box.configuration.read_text().replace("[sync]", "[sync]\nsweep_minutes = 0.1")
    )
    await box.open()


async def people_come(box, needles, admin):
    """The first admin with an app and a passkey, somebody who is invited, tokens."""
    first = (await box.done("user", "first-code")).out.strip()
    needles.text("code", first)
    said = {"code": first, "password": PASSWORDS["anna"], "name": "anna"}
    await admin.done("/login/redeem", {**said, "display_name": "Annegret Musterärztin"})
    secret, recovery = await admin.enrol_app()
    device = Authenticator()
    options = await admin.done("/login/passkeys/begin")
    made = {"credential": device.make(options, admin.origin), "label": "a label of a passkey"}
    await admin.done("/login/passkeys", made)
    needles.text("label", "a label of a passkey")
    needles.bytes("passkey", device.credential_id)
    needles.bytes("secret of an app", secret)
    needles.text("secret of an app", b32encode(secret).decode().rstrip("="))
    needles.text("recovery code", *recovery)
    handed = await admin.done(
        "/api/v1/users", {"name": "bert", "role": "technologist", "display_name": "Bert Röntgen"}
    )
    needles.text("code", handed["code"])
    needles.text("name", "Annegret Musterärztin", "Bert Röntgen")
    async with box.browsing() as bert:
        await bert.done("/login/redeem", {"code": handed["code"], "password": PASSWORDS["bert"]})
        needles.text("cookie", bert.secret)
        await bert.post("/login", {"name": "bert", "password": "thirteen wrong umbrellas"})
        proof = basic("bert", PASSWORDS["bert"])
        assert (await bert.get(STUDIES, headers=proof)).is_success
        needles.bytes("credentials", f"bert:{PASSWORDS['bert']}".encode())
        factor = code_of(secret, 1)
        again = {"name": "anna", "password": PASSWORDS["anna"], "second": factor}
        await bert.done("/login", again)
        needles.text("code of an app", factor)
        needles.text("cookie", bert.secret)
    needles.text("cookie", admin.secret)


async def by_the_provider(box, needles, provider):
    """Somebody whom the identity provider vouches for."""
    async with box.browsing() as browser:
        begun = await browser.get("/login/oidc")
        back = provider.back(begun.headers["Location"])
        needles.text("answer of the provider", *provider.codes)
        state = provider.last
        needles.text("what the provider was told", state["state"], state["nonce"])
        ended = await browser.get(back)
        assert ended.status_code == 200, ended.text
        assert (await browser.get(STUDIES)).is_success
        needles.text("token of the provider", *provider.refreshes, *provider.access)


async def images_come(box, needles, cloud, folder):
    """By every door."""

    def written(*parts: bytes) -> list[Path]:
        place = folder / f"sent{len(list(folder.glob('sent*')))}"
        place.mkdir()
        paths = [place / f"{number}.dcm" for number in range(len(parts))]
        for path, part in zip(paths, parts, strict=True):
            path.write_bytes(needles.instance(part))
        return paths

    series = tiny_series(71)
    assert await dcmsend(box.dimse_port, *written(*series)) == {"Success": 2}
    assert await dcmsend(box.dimse_port, *written(other_pixels(series[0]))) == {"Success": 1}
    for path in written(*tiny_series(73, 1)):
        path.replace(box.drop / path.name)
    with zipfile.ZipFile(folder / "disc.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for path in written(*tiny_series(77)):
            archive.write(path, f"Synthetic^Patient77/{path.name}")
    (folder / "disc.zip").replace(box.drop / "disc.zip")
    for part in tiny_series(74):
        cloud.store(needles.instance(part))
    token = (await box.done("token", "create", "--role", "technologist")).out.strip()
    needles.text("token", token)
    async with box.viewer(Authorization=f"Bearer {token}") as writer:
        [stowed] = tiny_series(72, 1)
        answer = await writer.store(needles.instance(stowed), stowed[:2000])
        assert answer.status_code == 202, answer.text


async def images_are_looked_at(box, needles):
    """By a viewer, a workstation, somebody who mistypes."""
    token = (await box.done("token", "create", "--role", "physician")).out.strip()
    needles.text("token", token)
    async with box.viewer(Authorization=f"Bearer {token}") as viewer:
        far = f"/studies/{samples.sample_uid(74, 'study')}"
        assert len(await viewer.instances(far)) == 2
        assert await viewer.search("/studies", PatientName="Synthetic^Patient71*")
        assert await viewer.search("/studies", PatientID="SYN-000071", includefield="all")
        await viewer.get("/studies", "application/dicom+json", PatientNme="Synthetic^Patient71")
        for one in tiny_series(71):
            seen = pydicom.dcmread(pydicom.filebase.DicomBytesIO(one))
            path = f"/studies/{seen.StudyInstanceUID}/series/{seen.SeriesInstanceUID}"
            path += f"/instances/{seen.SOPInstanceUID}"
            assert len(await viewer.frames(path, [1])) == 1
            picture = await viewer.get(f"{path}/rendered", "image/jpeg")
            assert picture.status_code == 200, picture.text
            needles.bytes("a picture", picture.content[-400:-360])
            other = await viewer.get(path, _AS_JPEG_2000)
            assert other.status_code == 200, other.text
            needles.bytes("another transfer syntax", other.content[-400:-360])
        await viewer.get("/studies/Synthetic^Patient71/metadata", "application/dicom+json")
    level = ("-S", "-k", "QueryRetrieveLevel=STUDY")
    for tool, key in (
        ("findscu", "PatientName=Synthetic^Patient71*"),
        ("getscu", f"StudyInstanceUID={samples.sample_uid(71, 'study')}"),
    ):
        where = ("-od", box.root) if tool == "getscu" else ()
        ran = await dcmtk(tool, box.dimse_port, *level, "-k", key, *where, calling="CT1")
        assert ran.has_succeeded, ran
    await box.done("pin", "add", "--patient", "SYN-000071")


async def steps_are_performed(box, needles, folder):
    """A scanner asks for its worklist, and says what it does."""
    keys = ["StudyInstanceUID", "PatientName=SCHEDULED*", "PatientID", "AccessionNumber"]

    async def listed():
        return await find(box.dimse_port, folder / "found", keys)

    await until_true(listed)
    step = steps.beginning("1.2.826.0.1.3680043.8.498.713", PatientName="PERFORMED^FRIEDHELM")
    step.PatientID = "PERFORMED-0071"
    needles.dataset(step)
    needles.text("performed", "PERFORMED-0071")
    with steps.device(box.dimse_port) as device:
        uid = "1.2.826.0.1.3680043.8.498.714"
        needles.text("step", uid)
        status, _ = await asyncio.to_thread(device.create, step, uid)
        assert status.Status == 0


async def all_is_sent(box, cloud):
    """And what was there was fetched."""

    async def all_sent():
        custody = json.loads((await box.run("status", "--json")).out)["custody"]
        return set(custody) <= {"VERIFIED", "CONFLICT"} and len(cloud.sop_uids()) >= 6

    await until_true(all_sent)


async def things_are_changed(box, needles, cloud, admin):
    """A patient is corrected in the archive, a study is deleted, the record is looked into."""
    needles.text("corrected name", "Corrected^Friedlinde")
    needles.text("corrected ID", "CORRECTED-0072")
    await asyncio.to_thread(
        edit, cloud, "SYN-000072", PatientID="CORRECTED-0072", PatientName="Corrected^Friedlinde"
    )

    async def is_corrected():
        answer = await admin.get(STUDIES, params={"PatientID": "CORRECTED-0072"})
        return answer.status_code == 200 and answer.json()

    await until_true(is_corrected)
    gone = f"{STUDIES}/{samples.sample_uid(73, 'study')}"
    answer = await admin.http.delete(gone)
    assert answer.status_code == 204, answer.text
    found = await box.done("audit", "search", "--patient", "Synthetic^Patient71", "--json")
    assert "SYN-000071" in found.out
    assert (await admin.http.get("/api/v1/audit")).status_code == 200


async def what_leaves_the_house(box, needles, folder):
    """Onto the couriers' disk, and into a backup."""
    fresh = samples.write_series(folder / "fresh", 2, rows=64, columns=64, seed=75)
    for path in fresh:
        needles.instance(path.read_bytes())
    assert await dcmsend(box.dimse_port, *fresh) == {"Success": 2}
    for name in ("usb", "backup"):
        (box.root / "watched" / name).mkdir()
    await box.run("courier", "pack", "--to", str(box.root / "watched" / "usb"))
    await box.done("backup", "--to", str(box.root / "watched" / "backup" / "of the box"))


async def killed_during_intake(box, needles):
    [large] = samples.ct_series(1, rows=1024, columns=1024, seed=76)
    needles.instance(large.data, step=8192)
    token = (await box.done("token", "create", "--role", "technologist")).out.strip()
    needles.text("token", token)
    head = b"--x\r\nContent-Type: application/dicom\r\n\r\n"

    async def half():
        yield head + large.data[: len(large.data) * 3 // 4]
        await killed.wait()

    killed = asyncio.Event()
    headers = {"Content-Type": 'multipart/related; type="application/dicom"; boundary=x'}
    async with (
        box.viewer(Authorization=f"Bearer {token}") as writer,
        half_sent(box.dimse_port, large.data),
    ):
        stowing = asyncio.create_task(writer.http.post("/studies", content=half(), headers=headers))
        await until(lambda: len(list((box.data / "incoming").glob("*"))) == 2)
        box.kill()
        killed.set()
        await asyncio.wait([stowing])
        assert isinstance(stowing.exception(), httpx.TransportError)
    assert (box.data / "index.db-wal").exists()


async def restored(box, words):
    """Another box on the same disk, from its backup; it opens by the recovery key alone."""
    shutil.rmtree(box.data)
    box.data.mkdir()
    box.configuration.unlink()
    paper, file = box.root / "paper", box.root / "watched" / "backup" / "of the box"
    paper.write_text(words)
    await box.done("restore", "--from", str(file), "--key-file", str(paper))
    await box.run_up()
    (box.root / "typed again").write_text(PASSPHRASE)
    again = ("--key-file", str(paper), "--file", str(box.root / "typed again"))
    await box.done("key", "unlock", "--recovery", *again)
    await box.until_said("ready: DICOM")
    assert (await box.stop()).status == 0
