"""Who may come in, what they may do, what is recorded of it: ALOF, AUDT, AUTH, EMRG, PAUT, NAUT."""

from __future__ import annotations

from typing import Final

from edge.access.audit.recorder import SOON
from edge.access.passwords import SHORTEST
from edge.access.roles import Role
from edge.access.throttle import LIMITS
from edge.access.tokens import LIFETIME_DAYS
from edge.access.users import INVITATION_SECONDS, RESET_SECONDS
from edge.config import Access
from edge.disclosure.answer import Answer, maker, no, none, yes

__all__ = ["PEOPLE"]

_USUAL: Final = Access()
_ROLES: Final = ", ".join(Role)
_HOURS: Final = 3600.0

PEOPLE: Final[tuple[Answer, ...]] = (
    yes(
        "ALOF-1",
        "Who is logged in and does nothing is logged out",
        f"A session ends after {_USUAL.idle_minutes:g} minutes without a request that a person"
        f" caused, and after {_USUAL.session_hours:g} hours in any case.",
    ),
    yes(
        "ALOF-2",
        "The time until then can be set",
        "`access.idle_minutes`, `access.session_hours`.",
    ),
    yes("AUDT-1", "It keeps a record of its own, beside the system's", "`data_dir/audit`"),
    yes("AUDT-1.1", "The record names the user", "With role, token, and how that was proven."),
    yes(
        "AUDT-1.2",
        "The record holds personal data of patients",
        "The patient's name and ID as known then; the record is sealed for that reason.",
    ),
    yes("AUDT-2", "Events are recorded"),
    yes("AUDT-2.1", "… log-ins and log-outs"),
    yes("AUDT-2.2", "… log-ins that fail"),
    yes("AUDT-2.3", "… changes of rights"),
    yes("AUDT-2.4", "… users made, changed, removed"),
    yes("AUDT-2.5", "… patient data shown", "Who opened and searched what; one act is one entry."),
    yes("AUDT-2.6", "… data made, changed, deleted"),
    yes(
        "AUDT-2.7",
        "… import and export by removable media",
        "What the drop folder takes in, and what a courier's disk takes away.",
    ),
    yes("AUDT-2.8", "… what comes and goes over a network"),
    none("AUDT-2.8.1", "… remote service", "There is none: see RMOT."),
    yes("AUDT-2.8.2", "… requests of programs"),
    yes("AUDT-2.9", "… access in an emergency", "Beginning, reason, all that was read, end."),
    yes("AUDT-2.10", "… other events", "Starts, keys, peers, decisions, looks into the record."),
    yes("AUDT-2.11", "That is documented", "The manual, and `edge audit --help`."),
    no("AUDT-3", "The owner chooses which events are recorded", "All are."),
    yes("AUDT-4", "What is recorded of an event is documented", "`edge/access/audit/entry.py`"),
    yes("AUDT-4.1", "Date and time are recorded"),
    maker("AUDT-4.1.1", "The clock is set by a time server", "That is the system's task."),
    yes("AUDT-5", "The record can be exported"),
    yes("AUDT-5.1", "… to a file", "`edge audit export`: CSV, JSON, or DICOM audit messages."),
    yes(
        "AUDT-5.2",
        "… to a collector, by IHE ATNA",
        "`audit.syslog`: each entry as a DICOM audit message (PS3.15 A.5) by syslog over TLS (RFC"
        " 5425). What a line that is down holds up is sent later; nothing is left out.",
    ),
    yes("AUDT-5.3", "… otherwise", "`/api/v1/audit`, for admins."),
    yes(
        "AUDT-5.4",
        "It is encrypted on the way and where it lies",
        "TLS; sealed files. What an admin exports to a file is in the clear, and for its owner"
        " alone.",
    ),
    yes("AUDT-6", "The owner can look through it", "`edge audit search`"),
    yes(
        "AUDT-7",
        "It is protected from change",
        "Entries are numbered, sealed and chained; `edge check audit` names what was changed. An"
        f" access is on the disk within {SOON:g} s of its answer.",
    ),
    yes("AUDT-7.1", "It is protected from being read", "Sealed; for admins; looks are recorded."),
    yes("AUDT-8", "It can be analysed on the device", "By user, patient, study, address, time."),
    yes(
        "AUTH-1",
        "Nobody comes in without saying who he is",
        "Without, there are `/healthz`, `/readyz`, the certificate of the box's authority, and what"
        " logs people in. A link that somebody made shows one study to whoever has it, for"
        f" {_USUAL.link_days:g} days at the most (`access.link_days`; 0: there are none).",
    ),
    yes("AUTH-1.1", "Users of a directory or identity provider can be used", "By OpenID Connect."),
    no("AUTH-1.2", "Group policies of a directory are taken over"),
    none("AUTH-1.3", "Groups of a directory are needed"),
    yes("AUTH-2", "Users have roles", f"{_ROLES}; people and tokens can be narrowed."),
    maker(
        "AUTH-3",
        "The owner can give himself all rights, of the system, too",
        "In the software: who has the machine's console makes the first admin.",
    ),
    yes("AUTH-4", "Every access of a program is controlled", "By token, role and scope."),
    maker("AUTH-5", "It runs in a restricted mode", "The service has no shell and no desktop."),
    yes(
        "EMRG-1",
        "There is an access for emergencies",
        "Who was narrowed opens everything to read, with a reason and their proof again, for"
        f" {_USUAL.emergency.minutes:g} minutes; an alarm until an admin has looked"
        " (`access.emergency`). Modalities go on storing, with or without the internet.",
    ),
    yes("PAUT-1", "Users and programs have names, and prove that they are it"),
    yes("PAUT-1.1", "… by a directory or identity provider", "By OpenID Connect."),
    yes(
        "PAUT-2",
        "Who fails again and again is slowed down",
        f"Of one name after {LIMITS['name'].free} wrong passwords, of one address after"
        f" {LIMITS['address'].free}; up to {LIMITS['name'].most_seconds:g} s a try. Nobody is"
        " locked out for ever, and strangers lock out nobody.",
    ),
    no("PAUT-3", "There are accounts or passwords by default"),
    yes(
        "PAUT-4", "All passwords can be changed", "They are set by who uses them, by one-time code."
    ),
    yes(
        "PAUT-5",
        "Passwords have rules",
        f"{SHORTEST} characters at least, none that is guessed first (NIST SP 800-63B).",
    ),
    no("PAUT-6", "Passwords end by the calendar", "Deliberately: NIST SP 800-63B."),
    yes("PAUT-7", "There is a second factor", "TOTP or passkeys; admins need one."),
    yes("PAUT-8", "There is single sign-on", "For people, by the identity provider."),
    yes(
        "PAUT-9",
        "Accounts can be disabled",
        "At once: `edge user disable`, `edge token revoke`; and whom an identity provider vouches"
        " for can be kept out.",
    ),
    no("PAUT-10", "Biometric proof", "A passkey's device may ask for it; the box does not."),
    yes("PAUT-11", "Physical tokens", "Security keys, as passkeys (FIDO2). No badges."),
    no(
        "PAUT-12",
        "Users of a group share one account",
        "Each has his own; tokens are for programs.",
    ),
    yes(
        "PAUT-13",
        "Proofs are stored safely",
        "Passwords: Argon2id. Tokens, sessions, codes: hashes. All in the encrypted index."
        f" Tokens end after {LIFETIME_DAYS:g} days; invitations after"
        f" {INVITATION_SECONDS / _HOURS / 24:g} days, reset codes after"
        f" {RESET_SECONDS / _HOURS:g} hours.",
    ),
    yes(
        "NAUT-1",
        "Other devices must prove who they are",
        "Over DICOM by AE title and address, or by certificate over TLS (`dimse.tls_ca`); over"
        " HTTP by token. Unknown DICOM peers are refused.",
    ),
    yes("NAUT-2", "Who may connect can be restricted", "`[[dimse.peer]]`; addresses of tokens."),
    yes("NAUT-2.1", "… and every attempt is on the record"),
    yes(
        "NAUT-3",
        "Certificates are used between devices",
        "TLS for DICOM, for archives, and for the collector of the record.",
    ),
)
