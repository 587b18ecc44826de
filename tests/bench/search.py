"""Searches over QIDO-RS in indexes of growing size, by one client and by sixteen; then by C-FIND.

Every request asks for another study. Latency is that of one client, of every request from its
first byte to the last of the answer; it is measured while nothing else happens, and in the largest
index also while a study comes in over DIMSE, once. Who holds less than the others is asked for
what it holds, and the table says so.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from functools import partial

from tests.bench import find
from tests.bench.crowd import Outcome, Request
from tests.bench.filling import Made, fill
from tests.bench.retrieval import CLIENTS, by_clients
from tests.bench.sender import send
from tests.bench.servers import Server, Web
from tests.bench.stand import Stand
from tests.bench.table import Line, Unit
from tests.bench.workplace import BenchError, Catalogue

__all__ = ["measure"]

_JSON = "application/dicom+json"
_ASKED = 500
"""Requests of one script."""
_PAGE = 100
_LATENCY = 10.0
"""Milliseconds within which 99 of 100 searches for a patient or a day shall be answered."""
_LATENCY_STUDIES = 100_000
"""In an index of so many studies."""


def measure(stand: Stand) -> None:
    """Measure it."""
    largest = max(catalogue.instances for catalogue in stand.scale.catalogues)
    for catalogue in stand.scale.catalogues:
        for name in stand.web_servers:
            with stand.server(name) as server:
                filled = fill(server, catalogue, stand.scale.filling)
                if filled < catalogue.studies:
                    stand.note(
                        f"Of {catalogue.instances:,} instances {name} had"
                        f" {filled * catalogue.instances_each:,} after {stand.scale.filling:.0f} s."
                    )
                if server.web is None:
                    raise BenchError(f"{name} speaks no DICOMweb")
                _idle(stand, name, server.web, catalogue, filled)
                find.measure_in(stand, name, server, catalogue, filled)
                if catalogue.instances == largest:
                    _while_a_study_comes_in(stand, name, server, server.web, catalogue, filled)


def _idle(stand: Stand, name: str, web: Web, catalogue: Catalogue, filled: int) -> None:
    section = _section(catalogue)
    for _ in range(stand.scale.rounds):
        for title, make in _SEARCHES.items():
            for clients in CLIENTS:
                outcome = stand.ask(web, _scripts(make, clients, filled))
                line = by_clients(section, title, Unit.FREQUENCY, clients)
                stand.add(line, name, outcome.per_second)
                if clients == 1 and title in _QUICK:
                    _add_latency(stand, section, title, name, catalogue, outcome)


def _while_a_study_comes_in(
    stand: Stand, name: str, server: Server, web: Web, catalogue: Catalogue, filled: int
) -> None:
    section = f"{_section(catalogue)}, while a study comes in"
    for number, title in enumerate(_QUICK, 1):
        study, before = stand.workplace.study(number), server.count()
        study.warm()
        coming = partial(send, [study.paths], server)
        outcome = stand.crowd.ask(web, _scripts(_SEARCHES[title], 1, filled), during=coming)
        if server.count() - before != len(study.paths):
            raise BenchError(f"{name} does not have the study that came in")
        _add_latency(stand, section, title, name, catalogue, outcome)


def _add_latency(
    stand: Stand, section: str, title: str, name: str, catalogue: Catalogue, outcome: Outcome
) -> None:
    is_goal = catalogue.studies >= _LATENCY_STUDIES
    for share in (50, 99):
        limit = _LATENCY if is_goal and share == 99 else None
        line = Line(section, f"{title}, p{share}", Unit.MILLISECONDS, ahead=True, at_most=limit)
        stand.add(line, name, outcome.percentile(share))


def _section(catalogue: Catalogue) -> str:
    return f"QIDO-RS: {catalogue.instances:,} instances of {catalogue.studies:,} studies"


def _scripts(make: Callable[[int], Request], clients: int, filled: int) -> list[list[Request]]:
    """For each client what it asks, of studies that the server has."""
    return [
        [make(number) for number in random.Random(client).choices(range(filled), k=_ASKED)]
        for client in range(clients)
    ]


def _by_patient(number: int) -> Request:
    return _search(f"studies?PatientID={Made(number).patient_id}")


def _by_date(number: int) -> Request:
    return _search(f"studies?StudyDate={Made(number).study_date}")


def _page(number: int) -> Request:
    """One of the first ten pages of everything."""
    return _search(f"studies?limit={_PAGE}&offset={number // _PAGE * _PAGE % (10 * _PAGE)}")


def _instances(number: int) -> Request:
    return _search(f"studies/{Made(number).study_uid}/instances")


def _search(words: str) -> Request:
    return Request(f"/dicom-web/{words}", _JSON, least=100)


_SEARCHES: dict[str, Callable[[int], Request]] = {
    "by patient": _by_patient,
    "by date": _by_date,
    f"pages of {_PAGE} studies": _page,
    "instances of a study": _instances,
}
_QUICK: Sequence[str] = ("by patient", "by date")
"""Those whose latency is a goal."""
