"""The DICOMweb service: its resources, and who answers for each (PS3.18 10).

Owns the table of routes. Promises that everything is behind authorisation, and described. Listens
on nothing itself, and leaves errors to the root that it is mounted at.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from aiohttp import hdrs, web

from edge.access.acts import Service
from edge.dicomweb.bulkdata import Bulkdata
from edge.dicomweb.capabilities import Capabilities
from edge.dicomweb.delete import Delete
from edge.dicomweb.frames import Frames
from edge.dicomweb.instances import Instances
from edge.dicomweb.metadata import Metadata
from edge.dicomweb.middleware import Authorise, Witness, access
from edge.dicomweb.rendered import Rendered
from edge.dicomweb.renditions import Renditions
from edge.dicomweb.search import MAX_RESULTS, Search
from edge.dicomweb.sight import Sees
from edge.dicomweb.store import Store, expect_later
from edge.dicomweb.weighing import Weighing

if TYPE_CHECKING:
    from edge.cache.admission import Admission
    from edge.cache.catalogue import Catalogue
    from edge.cache.deletion import Deletion
    from edge.cache.rendering import Rendering
    from edge.cache.retrieval import Retrieval
    from edge.cache.transcoding import Transcoding
    from edge.pixels.workers import PixelWorkers

__all__ = ["create_application"]


def create_application(
    *,
    retrieval: Retrieval,
    rendering: Rendering,
    transcoding: Transcoding,
    catalogue: Catalogue,
    admission: Admission,
    deletion: Deletion,
    workers: PixelWorkers,
    authorise: Authorise,
    witness: Witness | None = None,
    sees: Sees | None = None,
    max_request_bytes: int | None = None,
    max_results: int = MAX_RESULTS,
) -> web.Application:
    """Build the application that is mounted at ``/dicom-web``.

    Args:
        retrieval: The one way out.
        rendering: Makes pictures.
        transcoding: Makes what is not stored so.
        catalogue: Finds.
        admission: The one way in.
        deletion: Deletes.
        workers: Decode pictures that come in.
        authorise: Says who sends a request, by its headers, or raises ``AccessDenied``.
        witness: Sees every request.
        sees: Which studies are whose, for who was narrowed to some.
        max_request_bytes: Of one STOW-RS body; None sets no limit (parts are never held whole).
        max_results: In one answer to a search.
    """
    search = Search(catalogue, retrieval, max_results=max_results)
    weighing = Weighing(retrieval, transcoding)
    frames = Frames(retrieval, transcoding, weighing)
    bulkdata = Bulkdata(retrieval, frames)
    instances = Instances(retrieval, transcoding, weighing, bulkdata)
    metadata = Metadata(retrieval)
    rendered = Rendered(retrieval, Renditions(retrieval, rendering))
    store = Store(admission, workers, max_request_bytes=max_request_bytes)
    study = "/studies/{study}"
    series = study + "/series/{series}"
    instance = series + "/instances/{instance}"

    application = web.Application(middlewares=[access(authorise, Service.DICOMWEB, witness, sees)])
    application.router.add_get("/studies", search.studies, name="studies")
    application.router.add_routes(
        [
            web.get("/series", search.series),
            web.get("/instances", search.instances),
            web.get(f"{study}/series", search.series),
            web.get(f"{study}/instances", search.instances),
            web.get(f"{series}/instances", search.instances),
            web.get(study, instances.instances),
            web.get(series, instances.instances),
            web.get(instance, instances.instance),
            web.get(f"{study}/metadata", metadata.instances),
            web.get(f"{series}/metadata", metadata.instances),
            web.get(f"{instance}/metadata", metadata.instance),
            web.get(f"{instance}/frames/{{frames}}", frames.frames),
            web.get(f"{instance}/bulkdata/{{path:.+}}", bulkdata.value),
            web.get(f"{study}/rendered", rendered.instances),
            web.get(f"{series}/rendered", rendered.instances),
            web.get(f"{instance}/rendered", rendered.instance),
            web.get(f"{instance}/frames/{{frames}}/rendered", rendered.frames),
            web.get(f"{instance}/frames/{{frames}}/thumbnail", rendered.thumbnail_of_frames),
        ]
    )
    for path in (study, series, instance):
        application.router.add_get(f"{path}/bulkdata", bulkdata.all_values)
        application.router.add_get(f"{path}/pixeldata", bulkdata.pixel_data)
        application.router.add_get(f"{path}/thumbnail", rendered.thumbnail)
    delete = Delete(deletion)
    for path in (study, series, instance):
        application.router.add_delete(path, delete.resource)
    for path in ("/studies", study):
        application.router.add_route(
            hdrs.METH_POST, path, store.instances, expect_handler=expect_later
        )
    Capabilities(application).mount()
    return application
