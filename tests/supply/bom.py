"""The bill of materials (CycloneDX 1.6, JSON) of what runs, from the lock and what is installed.

Promises that the same lock makes the same bytes: no time, no machine and no index is in it.
"""

from __future__ import annotations

import base64
import json
import uuid
from typing import Any
from urllib.parse import quote

import edge
from edge.viewer import package
from tests.supply.licences import Licence, licences
from tests.supply.lock import Locked, locked, needs

__all__ = ["VIEWER", "bill", "written"]

VIEWER = f"pkg:npm/{quote(package.NAME, safe='/')}@{package.VERSION}"
_NAMESPACE = uuid.UUID("6f0a1f52-7a5c-5d0e-9a3f-0d9b9d6e4c11")


def bill() -> dict[str, Any]:
    """It, as JSON would have it."""
    packages, known = locked(), licences()
    ours = f"pkg:pypi/edge-cache@{edge.__version__}"
    by_name: dict[str, list[str]] = {}
    for one in packages:
        by_name.setdefault(one.name, []).append(one.purl)

    def refs(names: list[str]) -> list[str]:
        return sorted(ref for name in names for ref in by_name.get(name, ()))

    document = {
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {
            "lifecycles": [{"phase": "pre-build"}],
            "component": {
                "type": "application",
                "bom-ref": ours,
                "name": "edge-cache",
                "version": edge.__version__,
                "purl": ours,
                "licenses": [{"license": {"id": "Apache-2.0"}}],
            },
        },
        "components": [*(_component(one, known[one.name]) for one in packages), _viewer()],
        "dependencies": [
            {"ref": ours, "dependsOn": [*refs(needs("edge-cache")), VIEWER]},
            {"ref": VIEWER, "dependsOn": []},
            *({"ref": one.purl, "dependsOn": refs(needs(one.name))} for one in packages),
        ],
    }
    serial = uuid.uuid5(_NAMESPACE, json.dumps(document, sort_keys=True))
    return {"serialNumber": serial.urn, **document}


def written() -> str:
    """It, as text."""
    return json.dumps(bill(), indent=2, sort_keys=True) + "\n"


def _component(one: Locked, licence: Licence) -> dict[str, Any]:
    properties = []
    if one.marker:
        properties.append({"name": "edge:installed-where", "value": one.marker})
    if licence.holds:
        properties.append({"name": "edge:compiled-in", "value": licence.holds})
        properties.append({"name": "edge:compiled-in-licences", "value": licence.held})
    files = [{"alg": "SHA-256", "content": digest} for digest in one.hashes]
    return {
        "type": "library",
        "bom-ref": one.purl,
        "name": one.name,
        "version": one.version,
        "purl": one.purl,
        "scope": "required",
        "licenses": [_licence(licence.expression)],
        # One digest for each file that may be installed: of the source, and of each processor.
        "externalReferences": [{"type": "distribution", "url": one.purl, "hashes": files}],
        **({"properties": properties} if properties else {}),
    }


def _viewer() -> dict[str, Any]:
    """OHIF, which is served to browsers and runs there; without it there is a simple view."""
    name, digest = package.NAME.split("/"), package.INTEGRITY.removeprefix("sha512-")
    hashes = [{"alg": "SHA-512", "content": base64.b64decode(digest).hex()}]
    return {
        "type": "library",
        "bom-ref": VIEWER,
        "group": name[0],
        "name": name[1],
        "version": package.VERSION,
        "purl": VIEWER,
        "scope": "optional",
        "licenses": [_licence(package.LICENCE)],
        "externalReferences": [{"type": "distribution", "url": VIEWER, "hashes": hashes}],
    }


def _licence(expression: str) -> dict[str, Any]:
    is_one = " " not in expression
    return {"license": {"id": expression}} if is_one else {"expression": expression}
