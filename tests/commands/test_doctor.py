"""``edge peer doctor``, in processes of its own, beside a box that runs."""

from __future__ import annotations

import json
from dataclasses import replace

from edge import others
from edge.app import Appliance
from tests.commands.test_peer import folder, loaded, peer  # noqa: F401 - fixtures
from tests.dimse import dcmtk


async def test_the_doctor_says_what_went_wrong_and_what_to_change(loaded, peer, free_port):  # noqa: F811
    async with Appliance(loaded) as box:
        status, said, _ = await peer("doctor", "CT, ground floor")
        assert status == 0
        assert "KNOWN (CT, ground floor): it has never called, as far as is known" in said
        assert "on the device: enter this box there" in said
        of_all = (await peer("doctor"))[1]
        assert of_all == "KNOWN (CT, ground floor): it has never called, as far as is known\n"
        await dcmtk.run("echoscu", box.dimse_port, "-aet", "KNOWN", called="PACS")
        await dcmtk.run("echoscu", box.dimse_port, "-aet", "KNOWN")
        await box.cache.associations.write()
        status, said, _ = await peer("doctor", "KNOWN")
        assert status == 0
        lines = said.splitlines()
        assert lines[0].startswith("KNOWN at 127.0.0.1 [OFFIS_DCMTK_")
        assert "called this box (once, " in lines[0]
        assert lines[1] == '   it called the AE title "PACS", but this box is "EDGE"'
        assert lines[2].startswith('   on the device: enter "EDGE" as the AE title of this box')
        assert "since then there was an association without trouble" in said
        assert "last called without trouble" in lines[-3]
        assert lines[-1].endswith("holds after: systemctl restart edge")
        await peer("approve", "GONE", "--host", "127.0.0.1", "--port", free_port())
        assert (await peer("echo", "GONE"))[0] == 1
        status, said, _ = await peer("doctor", "GONE")
        assert "this box called GONE at 127.0.0.1:" in said
        assert "testing it with C-ECHO: 127.0.0.1:" in said
        document = json.loads((await peer("doctor", "--json"))[1])
        assert {one["ae_title"] for one in document["troubles"]} == {"KNOWN", "GONE"}
    async with Appliance(loaded) as box:
        rows = await box.cache.associations.all()
        assert {one.kind for one in rows if one.ae_title == "KNOWN"} == {
            "fine",
            "rejected: called AE title",
        }


async def test_a_destination_and_a_level_that_nobody_knows_are_named(loaded, peer):  # noqa: F811
    may = ("query", "retrieve")
    known = replace(loaded.dimse.peer[0], may=may)
    there = others.Peer("WS1", "127.0.0.1", 11113)
    dimse = replace(loaded.dimse, peer=(known, there))
    async with Appliance(replace(loaded, dimse=dimse)) as box:
        asking = ("-aet", "KNOWN", "-k", "QueryRetrieveLevel=STUDY", "-k", "StudyInstanceUID=1.2")
        for destination in ("NOWHERE", "ws1", "NOWHERE"):
            said = await dcmtk.run("movescu", box.dimse_port, "-S", "-aem", destination, *asking)
            assert said.status != 0
        for level in ("PATIENT", "study"):
            await dcmtk.run(
                "findscu",
                box.dimse_port,
                "-S",
                "-aet",
                "KNOWN",
                "-k",
                f"QueryRetrieveLevel={level}",
            )
        await box.cache.associations.write()
        status, said, _ = await peer("doctor", "NOWHERE")
        assert status == 0
        assert said.startswith("KNOWN at 127.0.0.1")
        assert "called this box (2 times, " in said
        assert 'the destination "NOWHERE" is not known here' in said
        assert "ws1" not in said
        status, said, _ = await peer("doctor", "ws1")
        assert status == 0
        assert 'on the device: have it name "WS1", which is known' in said
        status, said, _ = await peer("doctor", "KNOWN")
        assert "(Level is PATIENT; allowed: STUDY, SERIES, IMAGE)" in said
        assert "(Level is study; allowed: STUDY, SERIES, IMAGE)" in said
        assert "with what edge conformance says" in said


async def test_nobody_of_that_name_ends_with_a_status(loaded, peer):  # noqa: F811
    async with Appliance(loaded):
        pass
    status, _, complaint = await peer("doctor", "MR7")
    assert status == 1
    assert "nobody is called MR7" in complaint
    assert "there is" not in complaint
    assert "there is KNOWN: small" in (await peer("doctor", "known"))[2]
    assert json.loads((await peer("doctor", "MR7", "--json"))[1])["is_known"] is False
