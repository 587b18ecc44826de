"""``edge peer doctor``, in processes of its own, beside a box that runs."""

from __future__ import annotations

import json

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
        assert "last called without trouble" in lines[-1]
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


async def test_nobody_of_that_name_ends_with_a_status(loaded, peer):  # noqa: F811
    async with Appliance(loaded):
        pass
    status, _, complaint = await peer("doctor", "MR7")
    assert status == 1
    assert "nobody is called MR7" in complaint
    assert json.loads((await peer("doctor", "MR7", "--json"))[1])["is_known"] is False
