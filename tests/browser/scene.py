"""A clinic's day for the web page: made-up patients in a box of its own, with a cloud beside it.

Owns who they are: nobody. Promises the same studies every time, stored by the one way in.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import pydicom
from pydicom.dataset import Dataset
from pydicom.filebase import DicomBytesIO

from edge import config, others
from edge.access.roles import Role
from edge.access.sessions import Proved, Visitor, cookie_name
from edge.app import Appliance
from edge.cache.admission import Source
from edge.dicom.instance import Origin
from edge.loading import OWN
from edge.overlay import to_toml
from tests import samples
from tests.browser.portraits import portrait
from tests.fakes.edge import EdgeServer

NAME = "St. Brigid Clinic"
PASSWORD = "seven quiet lamps"
PATIENTS = (
    ("Okafor^Ada^N", "P-20417", "F", "CT", "Thorax with contrast", 12),
    ("Lindqvist^Erik", "P-20398", "M", "CR", "Hand, left, two views", 2),
    ("Haddad^Samira", "P-20391", "F", "US", "Abdomen", 6),
    ("Moreau^Jean^Luc", "P-20377", "M", "MR", "Knee, right", 9),
    ("García^Lucía", "P-20365", "F", "MG", "Screening", 4),
    ("Tanaka^Yuki", "P-20352", "F", "CT", "Head, without contrast", 10),
    ("Novak^Petr", "P-20340", "M", "DX", "Chest, two views", 2),
    ("Mwangi^Grace", "P-20333", "F", "US", "Obstetric, second trimester", 5),
)
"""Names as they are spelt in many places; of nobody."""


@dataclass
class Scene:
    """A box that runs, and what the browser needs to get in."""

    box: Appliance
    loaded: config.Config
    cloud: EdgeServer | None = None
    is_drawn: bool = False
    """Its studies look like what they are called; that takes its time."""

    @property
    def base(self) -> str:
        return f"http://127.0.0.1:{self.box.http_port}"

    async def store(self, number: int, sender: str = "CT1") -> str:
        """A patient's study comes in; its Study Instance UID."""
        for data in files(number, is_drawn=self.is_drawn):
            await self.box.admission.store_instance(
                samples.chunks(data), Source(Origin.DIMSE, sender)
            )
        return samples.sample_uid("page", number)

    async def user(self, name: str, role: Role) -> None:
        handed = await self.box.cache.users.add(name, role)
        await self.box.cache.users.redeem(handed.code, PASSWORD)

    async def cookie(self, name: str, role: Role) -> dict[str, str]:
        """What a browser has that somebody of this role logged in with; the user is made, too."""
        await self.user(name, role)
        visitor = Visitor("127.0.0.1", "a browser")
        secret, _ = await self.box.cache.sessions.open(name, role, Proved.PASSKEY, visitor)
        return {"name": cookie_name(tls=False), "value": secret, "url": self.base}


def files(number: int, *, is_drawn: bool = False) -> list[bytes]:
    """The Part 10 files of a patient's study."""
    name, patient_id, sex, modality, description, count = PATIENTS[number % len(PATIENTS)]
    day = date(2026, 11, 27) - timedelta(days=number // 3)
    made = []
    for at, one in enumerate(
        samples.ct_series(count, rows=64, columns=64, seed=number, pixels="smooth")
    ):
        dataset = pydicom.dcmread(DicomBytesIO(one.data))
        dataset.SpecificCharacterSet = "ISO_IR 192"
        dataset.PatientName, dataset.PatientID, dataset.PatientSex = name, patient_id, sex
        dataset.Modality, dataset.StudyDescription = modality, description
        dataset.StudyDate, dataset.StudyTime = f"{day:%Y%m%d}", f"{8 + number % 9:02}1500"
        dataset.AccessionNumber = f"A{73100 + number}"
        dataset.StudyInstanceUID = samples.sample_uid("page", number)
        if is_drawn:
            _draw(dataset, portrait(description, at / count))
        out = DicomBytesIO()
        dataset.save_as(out, enforce_file_format=True)
        made.append(out.getvalue())
    return made


def _draw(dataset: Dataset, drawn: np.ndarray) -> None:
    dataset.Rows, dataset.Columns = drawn.shape
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 16, 12, 11
    dataset.PixelRepresentation, dataset.RescaleIntercept, dataset.RescaleSlope = 0, "0", "1"
    dataset.WindowCenter, dataset.WindowWidth = "2048", "4096"
    dataset.SeriesDescription = dataset.StudyDescription
    dataset.PixelData = drawn.tobytes()


def _set_up(box: Path, archives: Sequence[others.Archive]) -> None:
    """Have the settings of the box say what it runs with, as if they had been set on its page."""
    box.mkdir(mode=0o700, parents=True, exist_ok=True)
    said = [
        {"name": one.name, "url": one.url}
        | ({"auth": {"kind": one.auth.kind, "token": one.auth.token}} if one.auth.token else {})
        for one in archives
    ]
    tree = {"appliance": {"name": NAME}, "cloud": {"archive": said}}
    (box / OWN).write_text(to_toml(tree), encoding="utf-8")


@contextlib.asynccontextmanager
async def clinic(
    folder: Path, *, cloud: str = "up", is_drawn: bool = False, **sections: object
) -> AsyncIterator[Scene]:
    """A box that is called like a clinic.

    Args:
        folder: Of everything.
        cloud: ``up``, ``down`` or ``none``.
        is_drawn: Its studies look like what they are called.
        sections: Of the configuration.
    """
    archives: tuple[others.Archive, ...] = ()
    async with contextlib.AsyncExitStack() as stack:
        server = None
        if cloud == "up":
            server = EdgeServer(folder / "cloud")
            await server.start()
            stack.push_async_callback(server.stop)
            auth = others.Auth(kind="bearer", token=server.token)
            archives = (others.Archive("cloud", server.dicomweb, auth=auth),)
        elif cloud == "down":
            archives = (others.Archive("cloud", "http://127.0.0.1:9/dicom-web"),)
        _set_up(folder / "box", archives)
        loaded = config.Config(
            **{
                "appliance": config.Appliance(name=NAME, data_dir=folder / "box"),
                "dimse": config.Dimse(listen="127.0.0.1:0", unknown_peers="accept"),
                "http": config.Http(listen="127.0.0.1:0", tls="off"),
                "cache": config.Cache(reserve_bytes=0),
                "cloud": config.Cloud(archives),
            }
            | sections
        )
        box = await stack.enter_async_context(Appliance(loaded))
        yield Scene(box, loaded, server, is_drawn)
