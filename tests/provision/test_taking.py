"""A box is set up by a file, or refuses it as a whole."""

from __future__ import annotations

import asyncio
import errno
import ssl

import pytest
import trustme

from edge.cache import replacing
from edge.crypto.recovery import RecoveryKey
from edge.errors import (
    AccessDenied,
    ConfigError,
    DecisionRefused,
    MachineRefused,
    NotYet,
    StorageFull,
    UserRefused,
)
from edge.loading import load
from edge.machine.asking import NoAnswer
from edge.machine.places import Places
from edge.machine.wishes import Back, Keep, Network, NetworkSettings, Trust
from edge.provision import journal
from edge.provision.file import read_setup
from edge.provision.journal import HalfTaken, read_provisioned
from edge.provision.taking import came_up
from edge.provision.text import without_token

TOKEN = "7K2M-Q0XE-41TR-ZB9D"
PLAIN = '[appliance]\nname = "radiology"\n[sync]\nsweep_minutes = 5\n'
PASSWORD = "correct horse battery staple"


async def loaded(tmp_path):
    return await asyncio.to_thread(load, tmp_path / "edge.toml", {})


def setup_of(text):
    return read_setup(text, "edge.toml")


async def test_a_page_is_kept_to_no_port_that_is_not_there(box, tmp_path):
    places = Places.under(tmp_path)
    port = places.ports / "enp2s0"
    (port / "device").mkdir(parents=True)
    (port / "type").write_text("1\n")
    with pytest.raises(MachineRefused, match="no network port eth7") as caught:
        await box(places=places).take(setup_of("[http]\ninterface = 'eth7'\n"), "stick", {})
    assert "enp2s0" in caught.value.hint
    await box(places=places).take(setup_of("[http]\ninterface = 'enp2s0'\n"), "stick", {})
    assert (await loaded(tmp_path)).http.interface == "enp2s0"


async def test_a_box_takes_a_file_once(box, cache, tmp_path, wishes):
    taken = await box().take(setup_of(PLAIN), "stick", {})
    assert {one.key for one in taken.changes} == {"appliance.name", "sync.sweep_minutes"}
    assert taken.is_new
    now = await loaded(tmp_path)
    assert (now.appliance.name, now.sync.sweep_minutes) == ("radiology", 5)
    assert wishes == []
    assert (await asyncio.to_thread(read_provisioned, cache.folder)).by == "stick"
    again = await box().take(setup_of(PLAIN), "stick", {})
    assert not again.is_new
    with pytest.raises(DecisionRefused, match="set up already, by the stick"):
        await box().take(setup_of(PLAIN.replace("5", "6")), "boot partition", {})


async def test_a_file_that_says_nothing_sets_no_box_up(box, cache):
    with pytest.raises(ConfigError, match="says nothing"):
        await box().take(setup_of("[setup]\n"), "stick", {})
    assert (await box().take(setup_of(PLAIN), "stick", {})).is_new


async def test_its_token_makes_the_first_admin_and_is_worth_nothing_then(box, cache):
    text = f'[setup]\ntoken = "{TOKEN}"\n{PLAIN}'
    taken = await box().take(setup_of(text), "stick", {})
    assert taken.code_until == await cache.users.first_code_until()
    struck = await box().take(setup_of(without_token(text, TOKEN)), "stick", {})
    assert not struck.is_new
    admin = await cache.users.redeem(TOKEN.lower(), PASSWORD, name="anna")
    assert admin.role == "admin"
    assert await cache.users.first_code_until() is None


async def test_a_box_with_people_is_set_up_by_no_file(box, cache):
    await cache.users.redeem((await cache.users.first_code()).code, PASSWORD, name="anna")
    with pytest.raises(DecisionRefused, match="has its people"):
        await box().take(setup_of(PLAIN), "stick", {})
    assert (await asyncio.to_thread(read_provisioned, cache.folder)) is None


async def test_a_secret_is_sealed_before_it_touches_the_disk(box, cache, tmp_path):
    archive = 'name = "h"\nurl = "https://a.example/dicom-web"'
    auth = 'auth = { kind = "basic", user = "edge", password = "very secret" }'
    await box().take(setup_of(f"[[cloud.archive]]\n{archive}\n{auth}\n"), "stick", {})
    [found] = (await loaded(tmp_path)).cloud.archive
    assert found.auth.password.startswith("sealed:")
    for path in cache.folder.iterdir():
        assert path.is_dir() or b"very secret" not in path.read_bytes()


async def test_what_the_file_of_the_machine_says_wins(box, cache, tmp_path):
    with pytest.raises(ConfigError, match="fixed by"):
        await box().take(setup_of(f'{PLAIN}[page]\nlanguage = "es"\n'), "stick", {})
    assert (await loaded(tmp_path)).appliance.name == "edge"
    assert (await asyncio.to_thread(read_provisioned, cache.folder)) is None


NETWORK = '[setup.network]\naddress = ["192.168.1.10/24"]\n'
SETTINGS = NetworkSettings(address=("192.168.1.10/24",))


async def test_a_network_that_comes_up_is_kept(box, wishes):
    tries = iter([False, True, False, True, True])
    taking = box(is_up=lambda settings: settings == SETTINGS and next(tries))
    taking._patience = 20.0
    await taking.take(setup_of(NETWORK + PLAIN), "stick", {})
    assert wishes == [Network(SETTINGS), Keep()]
    assert next(tries, None) is None, "two looks in a row"


async def test_with_one_that_does_not_nothing_is_changed(box, cache, wishes, tmp_path):
    with pytest.raises(MachineRefused, match="did not come up") as caught:
        await box(is_up=lambda _: False).take(setup_of(NETWORK + PLAIN), "stick", {})
    assert "cable" in caught.value.hint
    assert wishes == [Network(SETTINGS), Back()]
    assert (await loaded(tmp_path)).appliance.name == "edge"
    assert (await asyncio.to_thread(read_provisioned, cache.folder)) is None


async def test_a_machine_that_takes_no_wishes_takes_no_network(box, cache):
    async def refuse(wish):
        raise MachineRefused("this machine takes no wishes")

    with pytest.raises(MachineRefused, match="no wishes"):
        await box(machine=refuse).take(setup_of(NETWORK + PLAIN), "stick", {})
    assert (await asyncio.to_thread(read_provisioned, cache.folder)) is None


async def test_the_clinics_authority_is_trusted_if_it_is_there(box, wishes):
    text = f'[setup]\nca = "ca.pem"\n{PLAIN}'
    with pytest.raises(ConfigError, match=r'ca = "ca\.pem" names a file that is not there'):
        await box().take(setup_of(text), "stick", {})
    with pytest.raises(ConfigError, match="no certificate"):
        await box().take(setup_of(text), "stick", {"ca.pem": b"nothing"})
    assert wishes == []
    pem = trustme.CA().cert_pem.bytes()
    await box().take(setup_of(text), "stick", {"ca.pem": pem})
    assert wishes == [Trust(pem.decode())]


async def test_what_can_not_be_written_down_is_undone_and_the_same_file_sets_it_up(
    box, cache, monkeypatch, tmp_path
):
    monkeypatch.setattr("edge.provision.journal.Journal.mark", fail)
    with pytest.raises(StorageFull, match=r"is set up can't be written down: power"):
        await box().take(setup_of(f'[setup]\ntoken = "{TOKEN}"\n{PLAIN}'), "stick", {})
    monkeypatch.undo()
    await is_as_before(cache, tmp_path)
    assert (await box().take(setup_of(PLAIN), "stick", {})).is_new
    assert (await asyncio.to_thread(read_provisioned, cache.folder)) is not None


async def fail(*_):
    raise OSError("power")


# What is there when something fails in the middle ------------------------------------------------


@pytest.mark.parametrize("form", ["utf-16", "DER"])
async def test_the_clinics_authority_is_read_as_windows_writes_it(box, wishes, form):
    pem = trustme.CA().cert_pem.bytes().decode()
    data = ssl.PEM_cert_to_DER_cert(pem) if form == "DER" else pem.encode("utf-16")
    setup = setup_of(f'[setup]\nca = "clinic.cer"\n{PLAIN}')
    await box().take(setup, "stick", {"clinic.cer": data})
    assert wishes == [Trust(pem)]


async def test_a_private_key_is_seen_in_utf_16_too(box, wishes):
    setup = setup_of(f'[setup]\nca = "clinic.pem"\n{PLAIN}')
    data = trustme.CA().private_key_pem.bytes().decode().encode("utf-16")
    with pytest.raises(ConfigError, match="has a private key"):
        await box().take(setup, "stick", {"clinic.pem": data})
    assert wishes == []


WHOLE = f'[setup]\ntoken = "{TOKEN}"\nca = "ca.pem"\n{NETWORK}{PLAIN}'


@pytest.fixture(scope="module")
def beside():
    return {"ca.pem": trustme.CA().cert_pem.bytes()}


async def is_as_before(cache, tmp_path):
    """Whether it is a new box, as far as it knows itself."""
    assert (await asyncio.to_thread(read_provisioned, cache.folder)) is None
    assert (await loaded(tmp_path)).appliance.name == "edge"
    assert not (cache.folder / "settings.toml.former").exists()
    with pytest.raises(AccessDenied):
        await cache.users.redeem(TOKEN, PASSWORD, name="anna")


async def test_each_step_comes_after_the_one_before(box, wishes, beside):
    await box().take(setup_of(WHOLE), "stick", beside)
    assert wishes == [Network(SETTINGS), Trust(beside["ca.pem"].decode()), Keep()]


@pytest.mark.parametrize("failing", [Network, Trust, Keep])
async def test_whatever_the_machine_refuses_everything_is_undone(
    box, cache, wishes, beside, tmp_path, failing
):
    async def machine(wish):
        if isinstance(wish, failing) and wish != Trust(""):
            raise MachineRefused(f"no {failing.__name__}")
        wishes.append(wish)

    with pytest.raises(MachineRefused, match=rf"^no {failing.__name__}$"):
        await box(machine=machine).take(setup_of(WHOLE), "stick", beside)
    undone = {Network: [], Trust: [Back()], Keep: [Trust(""), Back()]}[failing]
    assert wishes[len(wishes) - len(undone) :] == undone
    await is_as_before(cache, tmp_path)


async def test_somebody_who_sets_it_up_meanwhile_wins(box, cache, wishes, beside, tmp_path):
    """On its page, while the network is waited for."""
    looks = []

    def is_up(_):
        looks.append(1)
        return len(looks) > 1

    async def machine(wish):
        wishes.append(wish)
        if isinstance(wish, Trust) and wish.pem:
            handed = await cache.users.first_code()
            await cache.users.redeem(handed.code, PASSWORD, name="anna")

    taking = box(is_up=is_up, machine=machine)
    taking._patience = 20.0
    with pytest.raises(DecisionRefused, match="has its people"):
        await taking.take(setup_of(WHOLE), "stick", beside)
    assert wishes[-2:] == [Trust(""), Back()]
    assert (await loaded(tmp_path)).appliance.name == "edge"
    assert [user.name for user in await cache.users.list()] == ["anna"]


async def test_a_token_that_can_not_be_one_leaves_no_settings(box, cache, tmp_path, monkeypatch):
    async def refuse(*_):
        raise UserRefused("there is an admin")

    monkeypatch.setattr(cache.users, "first_code", refuse)
    with pytest.raises(UserRefused, match=r"^there is an admin$"):
        await box().take(setup_of(f'[setup]\ntoken = "{TOKEN}"\n{PLAIN}'), "stick", {})
    monkeypatch.undo()
    await is_as_before(cache, tmp_path)


async def test_what_could_not_be_undone_is_said(box, cache, wishes, beside):
    async def machine(wish):
        if isinstance(wish, Keep | Back) or wish == Trust(""):
            raise NoAnswer("the machine does not answer")
        wishes.append(wish)

    with pytest.raises(HalfTaken) as caught:
        await box(machine=machine).take(setup_of(WHOLE), "stick", beside)
    said = str(caught.value)
    perhaps = "perhaps the authority's trust, perhaps the network"
    assert f"does not answer; what holds all the same: {perhaps}" in said
    assert "settings" not in said


async def test_two_files_are_taken_one_after_the_other(box, cache, wishes):
    """A stick is in while the box starts with a file on its boot partition."""
    begun, released = asyncio.Event(), asyncio.Event()

    async def machine(wish):
        wishes.append(wish)
        if isinstance(wish, Network):
            begun.set()
            await released.wait()

    first = asyncio.create_task(
        box(machine=machine).take(setup_of(NETWORK + PLAIN), "boot partition", {})
    )
    await begun.wait()
    second = asyncio.create_task(box(machine=machine).take(setup_of(PLAIN), "stick", {}))
    await asyncio.wait([second], timeout=0.2)
    assert not second.done()
    released.set()
    assert (await first).is_new
    with pytest.raises(DecisionRefused, match="by the boot partition"):
        await second


async def test_the_authoritys_file_is_found_as_fat_finds_it(box, wishes, beside):
    text = f'[setup]\nca = "Clinic-Root.PEM"\n{PLAIN}'
    await box().take(setup_of(text), "stick", {"CLINIC-ROOT.PEM": beside["ca.pem"]})
    assert wishes == [Trust(beside["ca.pem"].decode())]


def test_an_address_is_up_once_it_is_ours():
    assert came_up(NetworkSettings(address=("127.0.0.1/8",)))
    assert not came_up(NetworkSettings(address=("192.0.2.77/24",)))


def test_it_is_up_by_the_very_port_that_was_set():
    """Whatever else this machine is connected by: none of these is there."""
    assert not came_up(NetworkSettings(interface="nosuchport0"))
    assert not came_up(NetworkSettings(interface="lo", vlan=7))
    assert not came_up(NetworkSettings(interface="lo"))
    assert not came_up(NetworkSettings(interface="nosuchport0", address=("127.0.0.1/8",)))


def test_a_mark_that_was_damaged_is_still_one(tmp_path):
    assert read_provisioned(tmp_path) is None
    (tmp_path / "provisioned.json").write_bytes(b"{")
    assert "can't be read" in read_provisioned(tmp_path).by


@pytest.mark.parametrize("number", [1, 2, 3])
async def test_what_can_not_be_written_down_first_is_not_done(
    box, cache, wishes, monkeypatch, number
):
    """Before, it was said that the box was set up in part, and the code on the screen ended."""
    code, count, write = await cache.users.first_code(), [0], journal.write_file

    def full(path, content):
        count[0] += 1
        if count[0] >= number:
            raise OSError(errno.ENOSPC, "No space left on device")
        write(path, content)

    monkeypatch.setattr(journal, "write_file", full)
    text = f'[setup]\ntoken = "{TOKEN}"\n{NETWORK}{PLAIN}'
    with pytest.raises(StorageFull, match="written down: No space left on device"):
        await box().take(setup_of(text), "stick", {})
    assert [type(one) for one in wishes] == [Network, Back][: 2 * (number > 1)]
    assert not (cache.folder / "provisioning.json").exists()
    await cache.users.redeem(code.code, PASSWORD, name="anna")


RESTORE = """
[setup.restore]
key = "{}"
file = "backup.edge"
[setup.network]
address = ["192.168.1.10/24"]
gateway = ["192.168.1.1"]
""".format(" ".join(RecoveryKey(bytes(32)).to_groups()))


class Other:
    """Says what it is asked, and is the place of the key, too."""

    def __init__(self, done, fails=""):
        self.done = done
        self.fails = fails

    def __getattr__(self, name):
        async def act(*_):
            self.done.append(name)
            if name == self.fails:
                raise ConfigError("it can't be so")
            return "radiology"

        return act


async def test_another_box_takes_its_place_once_all_of_it_is_there(box, cache, wishes, tmp_path):
    other = Other(wishes)
    taken = await box(restorer=other).take(setup_of(RESTORE), "stick", {}, other)
    assert taken.restored == "radiology"
    network = wishes[1]
    assert isinstance(network, Network)
    order = ["refuse_unless_empty", network, "refuse_unless_empty", "stage", Keep()]
    assert wishes == [*order, "strike_out", "decide"]
    assert await asyncio.to_thread(read_provisioned, cache.folder) is None


@pytest.mark.parametrize("step", ["stage", "strike_out", "decide"])
async def test_where_another_box_can_not_take_its_place_all_is_undone(
    box, cache, wishes, step, tmp_path
):
    other = Other(wishes, fails=step)
    with pytest.raises(ConfigError, match="can't be so"):
        await box(restorer=other).take(setup_of(RESTORE), "stick", {}, other)
    behind = wishes[wishes.index(step) + 1 :]
    assert Back() in behind
    assert {"put_back", "drop"} < {one for one in behind if isinstance(one, str)} | {""}
    assert not (cache.folder / "provisioning.json").exists()


async def test_no_file_sets_a_box_up_whose_place_is_taken_at_the_next_start(
    box, cache, wishes, tmp_path
):
    """Before, it was said to be set up, its token was struck out, and all of it was gone."""

    def decide():
        with replacing.held(cache.folder):
            replacing.decide(cache.folder, replacing.Replacing("radiology", 1.0, "stick"))

    await asyncio.to_thread(decide)
    for text in (PLAIN, NETWORK, RESTORE):
        with pytest.raises(NotYet, match="another box takes this one's place already"):
            await box(restorer=Other(wishes)).take(setup_of(text), "stick", {}, Other(wishes))
    assert wishes == []


async def test_a_box_with_people_becomes_no_other(box, cache, wishes):
    await cache.users.redeem((await cache.users.first_code()).code, PASSWORD, name="anna")
    with pytest.raises(DecisionRefused, match="has its people"):
        await box(restorer=Other(wishes)).take(setup_of(RESTORE), "stick", {})
    assert wishes == []
