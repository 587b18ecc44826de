"""What is kept, how it is sealed, how it comes back: MPII, DIDT, DTBK, IGAU, STCF, TXCF, TXIG."""

from __future__ import annotations

from typing import Final

from edge.config import Sync
from edge.disclosure.answer import Answer, maker, no, none, yes

__all__ = ["DATA"]

_USUAL: Final = Sync()

DATA: Final[tuple[Answer, ...]] = (
    yes("MPII-1", "It shows, sends or keeps personal data of patients"),
    yes("MPII-2", "It keeps them", "DICOM instances, index, worklist, record of access."),
    yes(
        "MPII-2.1", "… in memory, while it works on them", "No core dumps; the unit takes no swap."
    ),
    yes("MPII-2.2", "… on its disk", "Sealed, all of it: see STCF."),
    yes("MPII-2.3", "… until they are deleted", "Eviction takes what the archive provably has."),
    yes("MPII-2.4", "It makes databases of them", "The encrypted index."),
    yes("MPII-2.5", "… and deletes them by rule, once they are elsewhere", "`cache.keep_days`"),
    yes("MPII-2.6", "It takes them in and gives them out", "DICOM, DICOMweb, files."),
    no("MPII-2.7", "It keeps them in the clear when power fails"),
    yes("MPII-2.8", "The disk can be taken out", "It stays shut: see STCF."),
    maker("MPII-2.9", "Data lie in a part of their own", "One folder, `data_dir`."),
    yes("MPII-3", "It exchanges them with other devices"),
    no("MPII-3.1", "It displays them itself", "It gives pictures to whoever may have them."),
    no("MPII-3.2", "It prints them"),
    yes(
        "MPII-3.3",
        "It reads or writes them by removable media",
        "The drop folder reads; `edge courier` writes, sealed for its recipient.",
    ),
    no("MPII-3.4", "… by cables of their own, such as serial ones"),
    yes("MPII-3.5", "… over a wired network"),
    maker("MPII-3.6", "… over a wireless network"),
    yes("MPII-3.7", "… over the internet, with an archive", "Over HTTPS alone."),
    no("MPII-3.8", "… by scanning or import of other kinds"),
    none("MPII-3.9", "… by cards or the like"),
    no("DIDT-1", "It makes data anonymous", "Bytes that came in go out as they were."),
    no("DTBK-1", "It keeps patient data for good", "The archive does; the box is a cache of it."),
    yes(
        "DTBK-2",
        "Its settings and keys can be restored",
        "`edge backup`, and daily to the archive, sealed by the recovery key; `edge restore`.",
    ),
    yes("DTBK-3", "Its data have a copy elsewhere", "The archive; custody says of each instance."),
    yes(
        "DTBK-4", "… which can be restored", "The index is rebuilt from the store, or the archive."
    ),
    yes("DTBK-5", "… and are checked", "Every object and page is authenticated when it is read."),
    yes(
        "DTBK-6",
        "What was deleted by mistake comes back",
        f"What the archive deleted stays {_USUAL.trash_days:g} days in the trash.",
    ),
    yes("IGAU-1", "Data have means to find a change", "Authenticated encryption of every chunk."),
    yes("IGAU-2", "… which mend it", "Damage is quarantined and fetched again from the archive."),
    yes(
        "STCF-1",
        "Data are encrypted where they lie",
        "AES-256-GCM or ChaCha20-Poly1305, a key for each study; the index by SQLCipher. Nothing"
        " in `data_dir` or in temporary files can be read without the root key.",
    ),
    yes("STCF-1.1", "All of them", "But the drop folder, where others put files."),
    yes("STCF-1.2", "… by default"),
    yes("STCF-1.3", "How is documented", "`edge/crypto`, the manual"),
    yes(
        "STCF-2",
        "Keys can be changed",
        "`edge key rotate`; the root secret and who keeps it: `edge key change`. No image is"
        " touched.",
    ),
    yes("STCF-3", "… and are documented", "What opens the box, Keys: in the manual."),
    yes("STCF-4", "The database is encrypted", "SQLCipher, by a key that follows from the root."),
    yes("TXCF-1", "Data travel only encrypted", "By default, over HTTP; DICOM: see TXCF-2."),
    no(
        "TXCF-2",
        "… always",
        "Plain DICOM is spoken to named peers in the LAN, as most modalities know nothing else."
        ' It can be left out: `dimse.listen = ""`, with `dimse.tls_listen`.',
    ),
    yes("TXCF-2.1", "Encryption can be enforced"),
    yes("TXCF-3", "… to chosen destinations alone", "Peers and archives are configured."),
    yes("TXCF-4", "… and by which connections", "See CONN."),
    yes(
        "TXCF-5", "Those who receive are known", "Certificates are checked, by name and authority."
    ),
    yes("TXIG-1", "A change on the way is found", "TLS; digests of what the archive has."),
    yes(
        "TXIG-2",
        "… in parts of what is sent, too",
        "An answer that breaks off is never taken whole.",
    ),
)
