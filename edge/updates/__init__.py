"""Updates of the whole machine: what one is, how it comes here, and how it proves itself.

The box has its system twice, in two slots; an update is written into the one that does not run, and
the machine starts from that. From the bottom up:

    versions    which of two versions is the newer one
    manifest    what an update says of itself: version, parts, notes
    signature   by whom it is said: Ed25519, under the present key or the next one
    bundle      the file ``*.edgeupdate``: manifest, signatures, parts
    history     what was done, and whether a version that failed is tried again
    journal     what lies in ``data_dir/update``: orders, the trial, the history; held, the same as
                root has it
    machine     what this machine is: its version, its kind, this start of it
    server      where bundles are, by HTTPS: asked, and read in pieces
    stick       one that somebody brought
    fetching    one comes over the line, and is taken in
    standing    how it stands, in one value
    updater     of the service: looks, fetches, waits for a quiet moment, orders; means, by what
    trial       of a start: whether the version on trial has proven itself
    partitions  the slots of a disk; loaders, what the machine starts from
    helper      the only part that is root: carries out an order
    signing     makes updates, where images are built

The service never writes a slot, and root never believes the service: it proves the signature
itself, with keys that are part of the system that runs, takes no version that is not newer, starts
none that it did not put there itself, and follows no link into which the service could lead it.
"""
