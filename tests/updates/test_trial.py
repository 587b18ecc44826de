"""A version on trial proves itself, or the one from before says that it did not."""

from __future__ import annotations

from dataclasses import replace

import pytest

from edge.updates.history import Cause, Deed, has_failed
from edge.updates.journal import Folder, Order, Trial
from edge.updates.trial import NotProven, Verdict, judge
from tests.updates.makers import place_of

pytestmark = pytest.mark.blocks  # the tests look at files themselves


@pytest.fixture
def trial(folder):
    made = Trial(version="1.1", before="1.0", boot_id="first", reached=("cloud",), at=1.0)
    folder.write_trial(made)
    folder.note(Deed.WRITTEN, "1.1", before="1.0")
    return made


def place(tmp_path, version, boot="second", model=""):
    return place_of(tmp_path / f"machine-{version}-{boot}", version, boot=boot, model=model)


async def works(_):
    pass


def fails(error):
    async def prove(_):
        raise error

    return prove


async def test_without_a_trial_there_is_nothing_to_prove(folder, tmp_path):
    verdict = await judge(folder, place(tmp_path, "1.0"), fails(NotProven("x")))
    assert verdict == (Verdict.NOTHING, "")


@pytest.fixture
def counted(tmp_path):
    """A machine whose loader counts the tries of what it started."""
    machine = place(tmp_path, "1.1")
    made = replace(machine, counted_file=tmp_path / "LoaderBootCountPath")
    made.counted_file.touch()
    return made


@pytest.mark.parametrize("lost", ["gone", "damaged"])
async def test_what_the_loader_counts_is_judged_though_its_trial_was_lost(folder, counted, lost):
    folder.make()
    if lost == "damaged":
        (folder.path / "trial.json").write_bytes(b"\0" * 40)
    verdict, why = await judge(folder, counted, fails(NotProven("images: no answer")))
    assert (verdict, why) == (Verdict.BAD, "images: no answer")
    last = folder.history()[-1]
    assert (last.deed, last.version, last.why) == (Deed.BAD, "1.1", "images: no answer")
    assert folder.order() is None, "root finds itself what to go back to"
    assert await judge(folder, counted, works) == (Verdict.GOOD, "")
    assert folder.history()[-1].deed is Deed.GOOD
    assert not (folder.path / "trial.json").exists()


async def test_a_version_that_works_is_kept(folder, tmp_path, trial):
    asked = []

    async def prove(on):
        asked.append(on)

    assert await judge(folder, place(tmp_path, "1.1"), prove) == (Verdict.GOOD, "")
    assert asked == [trial]
    assert folder.trial() is None
    assert folder.order() is None
    assert folder.history()[-1].deed is Deed.GOOD


async def test_a_pi_is_told_to_keep_it(folder, tmp_path, trial):
    machine = place(tmp_path, "1.1", model="Raspberry Pi 5 Model B")
    await judge(folder, machine, works)
    assert folder.order().act == "keep"


@pytest.mark.parametrize(
    ("error", "why", "cause"),
    [
        (NotProven("images: C-STORE was not answered"), "images: C-STORE", Cause.ITSELF),
        (NotProven("archives: away", Cause.LINE), "archives: away", Cause.LINE),
        (RuntimeError("a defect"), "the gate met a defect: RuntimeError", Cause.ITSELF),
    ],
)
async def test_one_that_does_not_is_gone_back_from_and_it_is_said(
    folder, tmp_path, trial, error, why, cause
):
    verdict, said = await judge(folder, place(tmp_path, "1.1"), fails(error))
    assert verdict is Verdict.BAD
    assert why in said
    assert folder.order().act == "return"
    folder.drop_order()
    # The version from before runs again, and finds the trial.
    verdict, said = await judge(folder, place(tmp_path, "1.0", "third"), works)
    assert verdict is Verdict.WENT_BACK
    assert why in said
    assert folder.trial() is None
    assert [entry.deed for entry in folder.history()] == [Deed.WRITTEN, Deed.BAD, Deed.WENT_BACK]
    failed = has_failed(folder.history(), "1.1")
    assert (failed is None) == (cause is Cause.LINE)


async def test_one_that_never_got_so_far_is_gone_back_from_all_the_same(folder, tmp_path, trial):
    verdict, said = await judge(folder, place(tmp_path, "1.0"), works)
    assert (verdict, said) == (Verdict.WENT_BACK, "it did not get as far as to say why")
    assert has_failed(folder.history(), "1.1").cause is Cause.ITSELF


async def test_while_it_is_still_being_written_nothing_is_judged(folder, tmp_path, trial):
    folder.write_order(Order(act="install", version="1.1", file="1.1.edgeupdate"))
    assert (await judge(folder, place(tmp_path, "1.0"), works))[0] is Verdict.NOT_YET
    assert folder.trial() == trial


async def test_before_the_machine_was_started_anew_nothing_is_judged(folder, tmp_path, trial):
    machine = place(tmp_path, "1.0", boot="first")
    assert (await judge(folder, machine, works))[0] is Verdict.NOT_YET
    assert folder.trial() == trial


async def test_a_disk_that_takes_nothing_costs_no_verdict(folder, tmp_path, trial):
    (folder.path / "history.jsonl").unlink()
    (folder.path / "history.jsonl").mkdir()
    error = NotProven("images: C-STORE was not answered")
    assert (await judge(folder, place(tmp_path, "1.1"), fails(error)))[0] is Verdict.BAD
    assert folder.order().act == "return"
    folder.drop_order()
    assert (await judge(folder, place(tmp_path, "1.1"), works))[0] is Verdict.GOOD
    assert folder.trial() is None
    folder.write_trial(trial)
    assert (await judge(folder, place(tmp_path, "1.0", "third"), works))[0] is Verdict.WENT_BACK
    assert folder.trial() is None


async def test_the_order_to_go_back_takes_the_room_of_bundles(folder, tmp_path, trial):
    class Full(Folder):
        """A disk that a bundle fills."""

        def _write(self, name, what):
            if self.whole():
                raise OSError(28, "No space left on device")
            super()._write(name, what)

        def note(self, *words, **more):
            raise OSError(28, "No space left on device")

    full = Full(folder.path.parent)
    full.bundle("1.1").write_bytes(b"x")
    error = NotProven("images: C-STORE was not answered")
    assert (await judge(full, place(tmp_path, "1.1"), fails(error)))[0] is Verdict.BAD
    assert (folder.order().act, folder.whole()) == ("return", [])
