"""How things are done: a section for every page, written for who uses that page.

It is of the box itself, and works without any line. Nobody reads of pages that are not theirs; who
is not logged in reads how one gets in.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from edge.access.acts import Act
from edge.pages.page import Group, Page, Visit
from edge.pages.words import noted

__all__ = ["ENTERING", "PAGE", "SECTIONS"]

ENTERING: Final = (
    (
        "welcome",
        "/welcome",
        noted("Log in"),
        (
            noted(
                "Log in with your name and the password that you chose. If you made a passkey, "
                "press its button instead: nothing has to be typed then."
            ),
            noted(
                "You were given a code? Press “I was given a code”, type it as it stands on the "
                "paper, and choose a password. A code works once, and for some days."
            ),
            noted(
                "Password forgotten, telephone lost? Nobody can tell you the old password: ask "
                "whoever looks after the box for a new code. Each recovery code that you printed "
                "opens once in place of the telephone."
            ),
            noted(
                "After some wrong tries the box makes you wait, longer each time. That is not a "
                "fault: it keeps others from guessing."
            ),
        ),
    ),
    (
        "setup",
        "/setup",
        noted("A new box"),
        (
            noted(
                "A box that nobody has set up shows a code on its screen; on a machine of your "
                "own, edge user first-code prints it. With it you become the first administrator, "
                "and are led through the rest, step by step. Each step can be left for later."
            ),
        ),
    ),
    (
        "browser",
        "",
        noted("The browser warns of this page"),
        (
            noted(
                "The box proves who it is by a certificate that it made itself. Until your "
                "device knows it, the browser warns. Ask whoever looks after the box to have your "
                "device know it, and type no password before."
            ),
        ),
    ),
    (
        "link",
        "",
        noted("A link to images"),
        (
            noted(
                "Whoever sent you a link to images opened them for you: no log-in is needed. If "
                "the link opens nothing any more, its time is over: ask for another."
            ),
        ),
    ),
)
"""Name, path, title, and what there is to know, for who is not logged in."""

_S = tuple[str, str, str, Act, tuple[str, ...]]
SECTIONS: Final[tuple[_S, ...]] = (
    (
        "now",
        "/",
        noted("Now"),
        Act.READ,
        (
            noted(
                "The sentence at the top says how the box is. Green: everything that came in is "
                "safe in the cloud. Amber: something waits. Red: somebody has to do something."
            ),
            noted(
                "The red number counts the studies that exist only here. If the line is down it "
                "grows: go on working, nothing is lost, and it goes back to nought by itself "
                "when the line is back."
            ),
            noted(
                "What needs somebody stands below, with what to do about it. Call whoever looks "
                "after the box if it says so."
            ),
        ),
    ),
    (
        "studies",
        "/studies",
        noted("Studies"),
        Act.READ,
        (
            noted(
                "Type a name, a patient ID, a date or an accession number: the list narrows as "
                "you type."
            ),
            noted("A study that only the cloud has can be opened, too; it is fetched meanwhile."),
            noted(
                "The filters leave what is only here, what needs a decision, what only the "
                "cloud has, or what is pinned. The address of the page keeps them, as a "
                "bookmark does."
            ),
            noted(
                "If a patient is missing, look whether the device has sent the study: on the "
                "first page it shows as it comes in."
            ),
        ),
    ),
    (
        "study",
        "",
        noted("Study"),
        Act.READ,
        (
            noted(
                "All series of one study, where its images are, and who has proof of them. Open "
                "it in the viewer from here."
            ),
            noted(
                "Fetch now brings what only the cloud has, before a patient waits for it. Pin "
                "keeps the study on this box, so that it opens without the line. Upload first "
                "sends it to the cloud before all others."
            ),
            noted(
                "Download makes a file that any computer opens, without a password: give it to "
                "the patient, or to who treats them. A device that is known here can be sent "
                "the study, too."
            ),
            noted(
                "Erase says what follows before anything happens: whether the cloud keeps the "
                "study, and until when it can be taken back."
            ),
        ),
    ),
    (
        "worklist",
        "/worklist",
        noted("Worklist"),
        Act.READ,
        (
            noted(
                "What is ordered for today. Devices ask for this list, so that nobody types a "
                "patient’s name twice."
            ),
            noted(
                "A patient who is not in it was not ordered yet, or the ordering system can’t be "
                "reached: the first page says so."
            ),
            noted(
                "When the ordering system is down, put the patient on the list by hand: "
                "devices see the entry when they ask the next time."
            ),
        ),
    ),
    (
        "sync",
        "/sync",
        noted("Sync"),
        Act.DECIDE,
        (
            noted("What waits to go to the cloud, in its order. Most of it needs nobody."),
            noted(
                "If little goes through, test the archive: it goes step by step, and says of "
                "the step that fails what to do about it."
            ),
            noted(
                "What the archive refused waits for a decision: read the archive’s own words, "
                "mend what they name, and have it sent again."
            ),
            noted(
                "If box and cloud have different images under one name, compare the two and "
                "choose. The other one is kept aside until it is erased on purpose."
            ),
        ),
    ),
    (
        "peers",
        "/peers",
        noted("Devices"),
        Act.ADMINISTER,
        (
            noted(
                "Devices and systems that speak DICOM with the box. A new one that calls shows "
                "here, and is let in by one click."
            ),
            noted(
                "If a device can’t send, the doctor says what went wrong in its last calls, and "
                "what to change on which side."
            ),
        ),
    ),
    (
        "people",
        "/people",
        noted("People"),
        Act.ADMINISTER,
        (
            noted(
                "Invite somebody, give them the code as a print or let them scan it, and they "
                "set their own password. The code is shown once; if it is lost, make a new one."
            ),
            noted(
                "Somebody who lost their password or second proof gets a new code. Whoever "
                "leaves the clinic is kept out or removed: it holds at once, everywhere."
            ),
            noted(
                "Narrowing leaves somebody a part of their role, such as the studies of one "
                "device. In an emergency they may open the rest: you see it here, and say that "
                "you looked at it."
            ),
        ),
    ),
    (
        "tokens",
        "/tokens",
        noted("Tokens"),
        Act.ADMINISTER,
        (
            noted(
                "Programs log in with tokens. Make one for each program, as narrow and as short "
                "as it can be: then one that is stolen opens little, and can be revoked alone."
            ),
            noted(
                "A token that nobody used for months is better revoked. One that ends soon is "
                "named on the first page."
            ),
            noted(
                "Links by which studies were shown to somebody without a log-in stand below: "
                "whose study it is, who made the link, and until when it holds."
            ),
        ),
    ),
    (
        "audit",
        "/audit",
        noted("Audit"),
        Act.ADMINISTER,
        (
            noted(
                "Who looked at whose images, and who changed what. Search by patient to answer a "
                "patient’s question, by person to answer a concern."
            ),
            noted(
                "The export is a file for whoever supervises you. The check proves that no entry "
                "was changed or taken away."
            ),
        ),
    ),
    (
        "settings",
        "/settings",
        noted("Settings"),
        Act.ADMINISTER,
        (
            noted(
                "How the box works. Each setting says what follows from it before it is saved, "
                "and what can’t be is refused with a reason."
            ),
            noted(
                "A change holds as soon as no transfer is under way. If the box can’t start with "
                "it, the former settings hold again, and the page says why."
            ),
        ),
    ),
    (
        "setup",
        "/setup",
        noted("Set up"),
        Act.ADMINISTER,
        (
            noted(
                "Step by step from a new box to one that works: clinic, network, cloud, recovery "
                "key, first device, test image. What is left for later can be done later."
            ),
            noted(
                "A device that does not come through: the page says what the box heard from it, "
                "and what to change there."
            ),
        ),
    ),
    (
        "logs",
        "/logs",
        noted("Logs"),
        Act.ADMINISTER,
        (
            noted("What the service says of itself, for technicians. No patient is named in it."),
            noted(
                "Whoever helps you from afar asks for the bundle: download it here, or run edge "
                "support-bundle on the box."
            ),
        ),
    ),
    (
        "backup",
        "/backup",
        noted("Backup"),
        Act.ADMINISTER,
        (
            noted(
                "The recovery key is the one thing that only you can keep. Make it, print it, "
                "type it back, and lock the paper away in another building."
            ),
            noted(
                "Once there is a key, backups go to the archive by themselves. Look at their age "
                "now and then."
            ),
        ),
    ),
    (
        "update",
        "/update",
        noted("Update"),
        Act.ADMINISTER,
        (
            noted(
                "A newer version is fetched when the line has time, and written beside the one "
                "that runs. Install it whenever it suits: the box waits for a moment in which no "
                "device sends anything, and starts anew."
            ),
            noted(
                "The new version proves itself first: it takes a test image and gives it back. If "
                "it can’t, the one from before comes back by itself, with all images, and this "
                "page says why. Such a version is not tried again unless you say so."
            ),
        ),
    ),
    (
        "acceptance",
        "/acceptance",
        noted("Acceptance protocol"),
        Act.ADMINISTER,
        (
            noted(
                "A sheet for the day on which the box is handed over: how it is, what was tried, "
                "and room to sign. It is filled anew whenever you open it; keep it on paper."
            ),
        ),
    ),
    (
        "emergency",
        "/emergency",
        noted("Emergency access"),
        Act.READ,
        (
            noted(
                "If you may usually not see a study, and a patient is in danger, you can open "
                "everything for a short time. Say why; it is recorded, and the administrators "
                "look at it."
            ),
        ),
    ),
    (
        "account",
        "/account",
        noted("Your log-in"),
        Act.READ,
        (
            noted(
                "Change your password, add a passkey or an app as a second proof, and see where "
                "you are logged in. If a place is not yours, log it out there and change the "
                "password."
            ),
        ),
    ),
)
"""Name, path, title, act, and what there is to know, of each page."""


async def fill(visit: Visit) -> Mapping[str, Any]:
    """The sections of who reads it."""
    if visit.identity is None:
        return {
            "sections": [
                {"name": name, "path": path, "title": title, "texts": texts}
                for name, path, title, texts in ENTERING
            ]
        }
    return {
        "sections": [
            {"name": name, "path": path, "title": title, "texts": texts}
            for name, path, title, act, texts in SECTIONS
            if visit.may(act) and (name != "emergency" or visit.may_break_glass)
        ]
    }


PAGE: Final = Page("/help", "help", noted("Help"), None, Group.FOOT, fill=fill)
