"""The DICOMweb service: its resources, and who answers for each (PS3.18 10).

Owns the table of routes. Promises that everything is behind authorisation, and described. Listens
on nothing itself, and leaves errors to the root that it is mounted at.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from aiohttp import hdrs, web

from edge.dicomweb.capabilities import Capabilities
from edge.dicomweb.delete import Delete
from edge.dicomweb.middleware import Authorise, access
from edge.dicomweb.retrieve import Retrieve
from edge.dicomweb.search import MAX_RESULTS, Search
from edge.dicomweb.store import Store, expect_later

if TYPE_CHECKING:
    from edge.cache.admission import Admission
    from edge.cache.catalogue import Catalogue
    from edge.cache.deletion import Deletion
    from edge.cache.retrieval import Retrieval

__all__ = ["create_application"]


def create_application(
    *,
    retrieval: Retrieval,
    catalogue: Catalogue,
    admission: Admission,
    deletion: Deletion,
    authorise: Authorise,
    max_request_bytes: int | None = None,
    max_results: int = MAX_RESULTS,
) -> web.Application:
    """Build the application that is mounted at ``/dicom-web``.

    Args:
        retrieval: The one way out.
        catalogue: Finds.
        admission: The one way in.
        deletion: Deletes.
        authorise: Says who sends a request, by its headers, or raises ``AccessDenied``.
        max_request_bytes: Of one STOW-RS body; None sets no limit (parts are never held whole).
        max_results: In one answer to a search.
    """
    search = Search(catalogue, retrieval, max_results=max_results)
    retrieve = Retrieve(retrieval)
    store = Store(admission, max_request_bytes=max_request_bytes)
    study = "/studies/{study}"
    series = study + "/series/{series}"
    instance = series + "/instances/{instance}"

    application = web.Application(middlewares=[access(authorise)])
    application.router.add_get("/studies", search.studies, name="studies")
    application.router.add_routes(
        [
            web.get("/series", search.series),
            web.get("/instances", search.instances),
            web.get(f"{study}/series", search.series),
            web.get(f"{study}/instances", search.instances),
            web.get(f"{series}/instances", search.instances),
            web.get(study, retrieve.instances),
            web.get(series, retrieve.instances),
            web.get(instance, retrieve.instance),
            web.get(f"{study}/metadata", retrieve.metadata),
            web.get(f"{series}/metadata", retrieve.metadata),
            web.get(f"{instance}/metadata", retrieve.metadata),
            web.get(f"{instance}/frames/{{frames}}", retrieve.frames),
            web.get(f"{instance}/bulkdata/{{path:.+}}", retrieve.bulkdata),
        ]
    )
    delete = Delete(deletion)
    for path in (study, series, instance):
        application.router.add_delete(path, delete.resource)
    for path in ("/studies", study):
        application.router.add_route(
            hdrs.METH_POST, path, store.instances, expect_handler=expect_later
        )
    Capabilities(application).mount()
    return application
