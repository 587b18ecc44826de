"""The composition root: one service on a folder, and a start that fails says why."""

from __future__ import annotations

import asyncio
import ssl
from dataclasses import replace

import httpx
import pytest

from edge import config, loading, others
from edge.__main__ import main
from edge.access.audit.entry import BOX, Event, Outcome
from edge.access.audit.search import Asked, search
from edge.access.roles import Role
from edge.app import Appliance
from edge.applying import Applying
from edge.cache import commitments
from edge.cache.admission import Source
from edge.cache.condition import Level, level_of
from edge.crypto.secrets import PURPOSE, seal_secret
from edge.dicom.instance import Origin
from edge.errors import ConfigError, SecretError
from edge.index.database import DatabaseBroken
from edge.index.remote import set_cursor
from edge.opening import Cache
from tests.fakes.archive import FakeArchive
from tests.samples import chunks, ct_series

pytestmark = pytest.mark.usefixtures("started_as_in_a_box")


def settings(folder, **sections):
    return config.Config(
        **(
            {
                "appliance": config.Appliance(data_dir=folder),
                "dimse": config.Dimse(listen="127.0.0.1:0"),
                "http": config.Http(listen="127.0.0.1:0", tls="off"),
            }
            | sections
        )
    )


async def test_a_box_without_an_archive_is_ready(tmp_path):
    async with Appliance(settings(tmp_path)) as box, httpx.AsyncClient(timeout=60) as client:
        answer = await client.get(f"http://127.0.0.1:{box.http_port}/readyz")
        assert answer.status_code == 200
        parts = {"fetching", "pixels", "pictures", "store", "eviction", "trash", "erasure"}
        parts |= {"dimse", "http", "peers", "associations", "tokens", "live"}
        parts |= {"commitments", "completeness", "outbox", "audit", "audit's bounds"}
        parts |= {"emergency access", "giving", "line", "updates"}
        assert set(answer.json()["parts"]) == parts


async def test_damaged_certificates_keep_no_images_out(tmp_path):
    usual = settings(
        tmp_path,
        dimse=config.Dimse(listen="127.0.0.1:0", tls_listen="127.0.0.1:0"),
        http=config.Http(listen="127.0.0.1:0"),
    )
    async with Appliance(usual) as box:
        assert box.http_port
        assert box.dimse_tls_port
    for path in (tmp_path / "tls").iterdir():
        path.write_bytes(path.read_bytes()[:50])
    async with Appliance(usual) as box:
        assert box.dimse_port
        assert box.http_port == box.dimse_tls_port == 0
        status = await box.status()
        assert "authority.pem can't be opened" in status.found["https"]
        assert "pages and DICOMweb are closed" in status.found["https"]
        assert all(state == "running" for state in box.parts().values())
    (tmp_path / "tls" / "authority.pem").unlink()  # somebody says so
    (tmp_path / "tls" / "server.pem").unlink()
    async with Appliance(usual) as box:
        assert box.http_port
        assert (await box.status()).found == {}


async def test_a_box_whose_one_door_can_not_be_opened_goes_on_uploading(tmp_path):
    tls_alone = settings(
        tmp_path,
        dimse=config.Dimse(listen="", tls_listen="127.0.0.1:0"),
        http=config.Http(listen="127.0.0.1:0"),
    )
    async with Appliance(tls_alone):
        pass
    for path in (tmp_path / "tls").iterdir():
        path.write_bytes(path.read_bytes()[:50])
    async with Appliance(tls_alone) as box:
        assert box.dimse_port == box.dimse_tls_port == box.http_port == 0
        assert "DICOM over TLS is closed" in (await box.status()).found["https"]
        assert all(state == "running" for state in box.parts().values())


async def test_swap_in_the_clear_is_in_the_status(tmp_path, monkeypatch):
    monkeypatch.setattr("edge.app.exposure", lambda: "swap is on")
    async with Appliance(settings(tmp_path)) as box:
        assert (await box.status()).as_json()["cages"]["memory"] == "swap is on"


async def test_a_box_that_lacks_its_settings_gives_nothing_away(tmp_path):
    async with Appliance(settings(tmp_path)):
        pass
    (tmp_path / "settings.toml.damaged.why").write_text("settings.toml: none of it holds\n")
    async with Appliance(settings(tmp_path)) as box:
        assert not {"trash", "audit's bounds"} & box.parts().keys()
        asked = commitments.Asked("CT1", "1.9", (("1.2.840.10008.5.1.4.1.1.2", "1.2"),))
        await box.cache.commitments.ask(asked)
        assert await box.cache.commitments._at_edge() == []
        assert box.cache.has_archive
        assert "settings.toml: none of it holds" in (await box.status()).found["settings"]


async def test_only_one_service_works_on_a_folder_and_the_command_line_beside_it(tmp_path):
    async with Appliance(settings(tmp_path)):
        with pytest.raises(ConfigError, match="another edge is running"):
            await Appliance(settings(tmp_path)).__aenter__()
        async with Cache(settings(tmp_path)) as cache:
            assert (await cache.status()).summary.studies == 0
    async with Appliance(settings(tmp_path)):
        pass


async def test_the_command_line_makes_no_box_where_there_is_none(tmp_path):
    with pytest.raises(ConfigError, match="there is no box"):
        await Cache(settings(tmp_path / "typo")).__aenter__()
    assert not (tmp_path / "typo").exists()


async def test_the_command_line_leaves_a_damaged_index_alone(tmp_path):
    async with Appliance(settings(tmp_path)):
        pass
    (tmp_path / "index.db").write_bytes(b"rubbish" * 1000)
    with pytest.raises(DatabaseBroken):
        await Cache(settings(tmp_path)).__aenter__()
    assert (tmp_path / "index.db").read_bytes() == b"rubbish" * 1000
    async with Appliance(settings(tmp_path)) as box:
        assert (await box.cache.status()).summary.studies == 0


async def test_that_settings_were_taken_back_is_in_the_audit(tmp_path):
    applying = Applying("dimse.listen: the port is taken")
    asked = Asked(event=Event.ADMINISTERED)
    async with Appliance(settings(tmp_path), applying=applying) as box, asyncio.timeout(60):
        folder = box.cache.audit.folder
        while not (found := await asyncio.to_thread(search, folder, asked, 9)):  # noqa: ASYNC110
            await asyncio.sleep(0.1)
    (entry,) = found
    assert (entry.actor, entry.outcome) == (BOX, Outcome.FAILED)
    assert (entry.what, entry.reason) == ("settings taken back", "dimse.listen: the port is taken")


async def test_an_index_that_is_damaged_in_use_is_rebuilt_when_the_box_is_opened_again(tmp_path):
    (sample,) = ct_series(1, rows=16, columns=16)
    async with Appliance(settings(tmp_path)) as box:
        await box.admission.store_instance(chunks(sample.data), Source(Origin.DIMSE, "CT"))
        await box.cache.tokens.create(Role.VIEWER, "Reading room")
        invited = await box.cache.users.add("anna", Role.ADMIN)
        await box.cache.users.redeem(invited.code, "seven quiet lamps")
        await box.cache.database.write(
            lambda db: db.executemany(
                "INSERT INTO cursors VALUES (?, ?)", [(str(n), "x" * 3000) for n in range(300)]
            )
        )
    async with Appliance(settings(tmp_path)) as box:
        content = bytearray((tmp_path / "index.db").read_bytes())
        for page in range(1, 200):
            content[-4096 * page + 100] ^= 1
        (tmp_path / "index.db").write_bytes(content)
        async with asyncio.timeout(60):
            waiting = asyncio.ensure_future(box.serve_until(asyncio.Event()))
            await asyncio.sleep(0)
            with pytest.raises(DatabaseBroken):
                await box.cache.database.read("SELECT sum(length(value)) FROM cursors")
            assert await waiting
    async with Appliance(settings(tmp_path)) as box:
        numbers = (await box.cache.status()).summary
        assert (numbers.instances, numbers.instances_online) == (1, 1)
        assert [token.name for token in await box.cache.tokens.list()] == ["Reading room"]
        assert [user.name for user in await box.cache.users.list()] == ["anna"]
        stopping = asyncio.Event()
        stopping.set()
        assert not await box.serve_until(stopping)


async def test_a_port_that_is_taken_ends_the_start_and_leaves_nothing_open(tmp_path):
    async with Appliance(settings(tmp_path / "one")) as box:
        taken = config.Dimse(listen=f"127.0.0.1:{box.dimse_port}")
        with pytest.raises(ConfigError, match="can't be listened on"):
            await Appliance(settings(tmp_path / "two", dimse=taken)).__aenter__()
        taken = config.Http(listen=f"127.0.0.1:{box.http_port}", tls="off")
        with pytest.raises(ConfigError, match="can't be listened on"):
            await Appliance(settings(tmp_path / "two", http=taken)).__aenter__()
    async with Appliance(settings(tmp_path / "two")):
        pass


async def test_another_root_key_ends_the_start(tmp_path):
    async with Appliance(settings(tmp_path)):
        pass
    (tmp_path / "root.key").write_text("A" * 43 + "=\n")
    with pytest.raises(SecretError, match="does not open the keys"):
        await Appliance(settings(tmp_path)).__aenter__()


async def test_a_ring_of_keys_that_is_missing_is_never_made_anew(tmp_path):
    async with Appliance(settings(tmp_path)):
        pass
    both = [tmp_path / "keys.db", tmp_path / "keys.db.copy"]
    ring = both[0].read_bytes()
    for path in both:
        path.unlink()
    with pytest.raises(SecretError, match="is missing"):
        await Appliance(settings(tmp_path)).__aenter__()
    both[0].write_bytes(ring)
    async with Appliance(settings(tmp_path)):
        pass


async def test_a_folder_that_can_not_be_used_ends_the_start(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match="can't be used"):
        await Appliance(settings(tmp_path / "file")).__aenter__()


async def test_by_default_the_box_speaks_tls_with_a_certificate_of_its_own(tmp_path):
    http = config.Http(listen="127.0.0.1:0")
    async with Appliance(settings(tmp_path, http=http)) as box:
        context = ssl.create_default_context(cafile=tmp_path / "tls" / "ca.crt")
        async with httpx.AsyncClient(verify=context, timeout=60) as client:
            answer = await client.get(f"https://127.0.0.1:{box.http_port}/readyz")
            assert answer.json()["parts"]["certificate"] == "running"
            answer = await client.get(f"https://127.0.0.1:{box.http_port}/dicom-web/studies")
            assert answer.status_code == 401


@pytest.mark.parametrize(
    "arguments",
    [
        ["token", "create", "--role", "admin", "--config", "FILE"],
        ["token", "--config", "FILE", "create", "--role", "admin"],
        ["status", "--config", "FILE"],
    ],
)
def test_the_configuration_is_named_wherever_the_command_ends(tmp_path, capsys, arguments):
    file = tmp_path / "edge.toml"
    file.write_text(f'[appliance]\ndata_dir = "{tmp_path / "none"}"\n')
    status = main([str(file) if word == "FILE" else word for word in arguments])
    assert status == 2
    assert f"there is no box in appliance.data_dir = {tmp_path / 'none'}" in capsys.readouterr().err


async def test_the_archives_sealed_secret_is_opened_before_it_is_used(tmp_path):
    async with FakeArchive() as fake:
        fake.authorization = "Bearer hush"
        async with Appliance(settings(tmp_path)) as box:
            sealed = seal_secret("hush", box.cache.keys.derive(PURPOSE))
        archive = others.Archive("cloud", fake.url, auth=others.Auth("bearer", token=sealed))
        async with (
            Appliance(settings(tmp_path, cloud=config.Cloud((archive,)))) as box,
            asyncio.timeout(60),
        ):
            online = False
            while not online:
                await asyncio.sleep(0.05)
                online = any(archive.online for archive in (await box.status()).archives)


async def _until(box, holds):
    """The state of a box once that holds of it."""
    async with asyncio.timeout(60):
        state = await box.status()
        while not holds(state):
            await asyncio.sleep(0.05)
            state = await box.status()
    return state


async def test_a_secret_that_can_not_be_opened_costs_its_archive_alone(tmp_path):
    """It ended the start: no images came in, and none were seen, for one password."""
    (part,) = ct_series(1, rows=16, columns=16)
    async with FakeArchive() as lost, FakeArchive() as sound:
        auth = others.Auth("bearer", token=seal_secret("hush", bytes(32)))
        archive = others.Archive("cloud", lost.url, auth=auth)
        copies = others.Archive("copies", sound.url, role="copy")
        said = settings(tmp_path, cloud=config.Cloud((copies, archive)))
        async with Appliance(said) as box:
            await box.admission.store_instance(chunks(part.data), Source(Origin.DIMSE, "CT"))
            token = await box.cache.tokens.create(Role.PHYSICIAN, "viewer")
            async with httpx.AsyncClient(timeout=60) as client:
                seen = await client.get(
                    f"http://127.0.0.1:{box.http_port}/dicom-web/studies/{part.ref.study_uid}",
                    headers={"Authorization": f"Bearer {token}"},
                )
            assert seen.status_code == 200
            state = await _until(box, lambda state: len(state.archives) == 2)
            state = await _until(box, lambda state: state.archives[0].online)
            (one,) = state.lost_secrets
            assert (one.key, one.archive) == ("cloud.archive.1.auth.token", "cloud")
            shut = state.archives[1]
            assert (shut.name, shut.online, shut.lasting) == ("cloud", False, True)
            assert "cloud.archive.1.auth.token was sealed on another box" in shut.reason
            assert "the way to the archive must be mended, intake goes on" in state.sentence
            assert "Archive cloud is out of use, its secret must be given again" in state.sentence
            assert level_of(state) is Level.WARNING
            sealed = seal_secret("hush", box.cache.keys.derive(PURPOSE))
        assert lost.requests == []
        lost.authorization = "Bearer hush"
        archive = replace(archive, auth=others.Auth("bearer", token=sealed))
        async with Appliance(settings(tmp_path, cloud=config.Cloud((copies, archive)))) as box:
            state = await _until(box, lambda state: all(one.online for one in state.archives))
            assert state.lost_secrets == ()


async def test_who_opens_a_box_beside_its_service_reads_no_secrets(tmp_path, monkeypatch):
    """They may lie on a mount that hangs, and the screen waited for it."""
    said, looked = settings(tmp_path), []

    def look(*_):
        looked.append(1)
        return ()

    async with Appliance(said):
        pass
    monkeypatch.setattr("edge.opening.lost_secrets", look)
    async with Cache(said) as cache:
        await cache.users.is_empty()
        assert not looked
        assert (await cache.status()).lost_secrets == ()
        assert looked


async def test_a_file_of_a_secret_that_is_not_there_ends_the_start(tmp_path):
    """Somebody named it in a file of the machine, and the manager of services starts it again."""
    auth = others.Auth("bearer", token="file:/none/such")
    cloud = config.Cloud((others.Archive("cloud", "http://127.0.0.1:9", auth=auth),))
    with pytest.raises(ConfigError, match=r"cloud\.archive\.0\.auth\.token: the file /none/such"):
        await Appliance(settings(tmp_path, cloud=cloud)).__aenter__()
    async with Appliance(settings(tmp_path)):
        pass  # nothing is left open


async def test_status_beside_a_box_says_when_what_waits_will_have_gone(tmp_path, capsys):
    folder, dropped = tmp_path / "box", tmp_path / "edge.toml"
    dropped.write_text(
        f"""
        [appliance]
        data_dir = "{folder}"
        [dimse]
        listen = "127.0.0.1:0"
        [http]
        listen = "127.0.0.1:0"
        tls = "off"
        [[cloud.archive]]
        name = "cloud"
        url = "http://127.0.0.1:9/dicom-web"
        [sync]
        calendar = ["off", "0:00-24:00 down 800 kbps"]
        monthly_budget_mb = 2000
        """
    )
    loaded = await asyncio.to_thread(loading.load, dropped, {})
    (part,) = ct_series(1, rows=16, columns=16)
    async with Appliance(loaded) as box:
        await box.admission.store_instance(chunks(part.data), Source(Origin.DIMSE, "CT"))
        kept = '{"used": {}, "speeds": {"cloud": {"up": 250000.0}}}'
        await box.cache.database.write(lambda db: set_cursor(db, "line", kept))
        status = await asyncio.to_thread(main, ["status", "--studies", "--config", str(dropped)])
    said = capsys.readouterr().out
    assert status == 0
    assert "1 study exists only here" in said
    assert "  upload                2.0 Mbit/s (nothing may go now)\n" in said
    assert "  download              not measured yet (limit 800 kbit/s)\n" in said
    assert "2000.0 MB left of 2000 MB, anew " in said
    assert f"  waits: {part.ref.study_uid}  1 image, 0.0 MB, time not known\n" in said
