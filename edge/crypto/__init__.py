"""Keys, and the sealed form of bytes.

Who is expected, what he tries, and what he finds:

    a thief with the disk, or a copy of it
        reads it                nothing: objects, index, records, certificates and secrets are
                                sealed by what follows from the root secret (`sealed`, `keys`)
        looks for leftovers     temporary files and WAL are sealed like all else; a study's key is
                                destroyed with the study
        guesses a passphrase    Argon2id, for each guess (`providers`)
        has a key of former days
                                it opens nothing that was wrapped after a rotation (`keys`)
    a thief with the box
        switches it on          it stays shut without the passphrase, or outside of its network;
                                with a key file in it, it opens: as its provider says (`providers`)
        gives it another network
                                at its screen, where it waits for one: a server there that is not
                                the right one opens nothing, and the record hears of it
    who can write to the disk
        changes a byte, cuts, swaps or renames
                                found when it is read: every chunk is authenticated with its place
                                and its object's name, as is each page of the index and each
                                wrapped key. It is never served: what has a second copy (`twin`,
                                `escrow`) is mended from it, what the archive has is fetched
                                again, an index is rebuilt from the objects, and the rest is
                                called lost
        puts an older file back
                                what was erased stays so, what is missing is told, and so is a ring
                                of before a rotation (`edge.cache.recovery`)
    a cloud that is in others' hands
        reads what it is sent   images, for it is the archive; backups are sealed for the recovery
                                key
        gives other bytes back  known by the digests of what is here; nothing of ours is replaced
    who has a courier's disk
        reads or changes it     sealed for its recipients, and signed (`courier`)
    who reads this process's memory
        has it dumped           no core dumps, and no look by others of its user
        finds it in swap        the unit forbids swapping; ``edge status`` names swap in the clear
        comes after a lock-down
                                the process was replaced: its memory is the kernel's again

What is not kept from him: a whole disk set back to an older copy of itself opens as it was; so does
a single page of the index, as long as it fits the others, and the end of its write-ahead log can be
cut off, which takes back what was committed last, though no image. Root of the running box can read
its memory, of which Python can't wipe every copy, and in which the root secret stays while the box
is open: backups and the recovery key are made with it. What a TPM keeps, of a root secret or of a
disk, it gives to whatever system is started on the box where Secure Boot is off, as it is for the
disk image: that keeps the disk, and not the box that is carried away as a whole. The drop folder
is in the clear, as are messages on a DICOM port without TLS. ``tests/attack/model.txt`` names the
tests of each line.
"""
