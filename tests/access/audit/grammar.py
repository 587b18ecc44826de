"""The grammar of audit messages (PS3.15 A.5.1), to hold ours against; it knows nothing of ours.

An element is: its attributes, each with a pattern of its value and whether it must be there; and
its children in their order, each with how often it may come.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from xml.etree import ElementTree as ET

ANY = ".*"
BASE64 = "([A-Za-z0-9+/]{4})*([A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?"
INTEGER = "[0-9]+"
UID = r"[0-2](\.(0|[1-9][0-9]*))+"
MOMENT = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)"

CODED = {
    "csd-code": (".+", True),
    "codeSystemName": (".+", True),
    "displayName": (".+", False),
    "originalText": (".+", True),
}


@dataclass(frozen=True)
class Rule:
    attributes: dict[str, tuple[str, bool]] = field(default_factory=dict)
    children: tuple[tuple[str, int, int | None], ...] = ()
    """Name, least and most."""
    text: str = ""
    """Pattern of its text."""


RULES = {
    "AuditMessage": Rule(
        children=(
            ("EventIdentification", 1, 1),
            ("ActiveParticipant", 1, None),
            ("AuditSourceIdentification", 1, 1),
            ("ParticipantObjectIdentification", 0, None),
        )
    ),
    "EventIdentification": Rule(
        {
            "EventActionCode": ("[CRUDE]", False),
            "EventDateTime": (MOMENT, True),
            "EventOutcomeIndicator": ("0|4|8|12", True),
        },
        (("EventID", 1, 1), ("EventTypeCode", 0, None), ("EventOutcomeDescription", 0, 1)),
    ),
    "EventID": Rule(CODED),
    "EventTypeCode": Rule(CODED),
    "EventOutcomeDescription": Rule(text=ANY),
    "ActiveParticipant": Rule(
        {
            "UserID": (".+", True),
            "AlternativeUserID": (".+", False),
            "UserName": (".+", False),
            "UserIsRequestor": ("true|false", True),
            "NetworkAccessPointID": (".+", False),
            "NetworkAccessPointTypeCode": ("[1-5]", False),
        },
        (("RoleIDCode", 0, None), ("MediaIdentifier", 0, 1)),
    ),
    "RoleIDCode": Rule(CODED),
    "MediaIdentifier": Rule(children=(("MediaType", 1, 1),)),
    "MediaType": Rule(CODED),
    "AuditSourceIdentification": Rule(
        {"AuditEnterpriseSiteID": (".+", False), "AuditSourceID": (".+", True)},
        (("AuditSourceTypeCode", 0, None),),
    ),
    "AuditSourceTypeCode": Rule({"csd-code": ("[1-9]", True)}),
    "ParticipantObjectIdentification": Rule(
        {
            "ParticipantObjectID": (ANY, True),
            "ParticipantObjectTypeCode": ("[1-4]", False),
            "ParticipantObjectTypeCodeRole": ("[1-9]|1[0-9]|2[0-6]", False),
            "ParticipantObjectDataLifeCycle": ("[1-9]|1[0-5]", False),
            "ParticipantObjectSensitivity": (ANY, False),
        },
        (
            ("ParticipantObjectIDTypeCode", 1, 1),
            ("ParticipantObjectName|ParticipantObjectQuery", 1, 1),
            ("ParticipantObjectDetail", 0, None),
            ("ParticipantObjectDescription", 0, None),
        ),
    ),
    "ParticipantObjectIDTypeCode": Rule(CODED),
    "ParticipantObjectName": Rule(text=ANY),
    "ParticipantObjectQuery": Rule(text=BASE64),
    "ParticipantObjectDetail": Rule({"type": (".+", True), "value": (BASE64, True)}),
    "ParticipantObjectDescription": Rule(
        children=(
            ("MPPS", 0, None),
            ("Accession", 0, None),
            ("SOPClass", 0, None),
            ("ParticipantObjectContainsStudy", 0, 1),
            ("Encrypted", 0, 1),
            ("Anonymized", 0, 1),
        )
    ),
    "Accession": Rule({"Number": (".+", True)}),
    "SOPClass": Rule({"UID": (UID, False), "NumberOfInstances": (INTEGER, True)}),
}


def faults(element: ET.Element, path: str = "") -> list[str]:
    """What is not as the grammar wants it."""
    rule, path = RULES.get(element.tag), f"{path}/{element.tag}"
    if rule is None:
        return [f"{path}: is no element"]
    found = [f"{path}@{name}: is no attribute" for name in element.keys() - rule.attributes.keys()]
    for name, (pattern, is_needed) in rule.attributes.items():
        value = element.get(name)
        if value is None:
            found += [f"{path}@{name}: is missing"] if is_needed else []
        elif not re.fullmatch(pattern, value, re.DOTALL):
            found.append(f"{path}@{name}: {value!r}")
    if not re.fullmatch(rule.text or r"\s*", element.text or "", re.DOTALL):
        found.append(f"{path}: text {element.text!r}")
    left = list(element)
    for names, least, most in rule.children:
        count = 0
        while left and left[0].tag in names.split("|") and (most is None or count < most):
            found += faults(left.pop(0), path)
            count += 1
        if count < least:
            found.append(f"{path}: {names} is missing")
    return found + [f"{path}: {child.tag} is one too many, or in the wrong place" for child in left]
