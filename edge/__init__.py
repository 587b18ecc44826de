"""The edge cache: a clinic's images, sealed on a small box, equal with a cloud archive.

The index knows everything; the store holds some of it. From the outside in; imports go down only:

    __main__    the command line; commands, one module each; demo is the longest of them, console
                the page on the screen of the box; disclosure: what buyers ask of security
    app         builds every part, owns the one task group; opening: keys, store and index;
                locked: the service until its root secret can be had; holding: while it has it;
                syncing and dimsing: what makes equal with archives, what speaks DICOM;
                witnessing: what the box does by itself becomes entries of the audit;
                updating: newer versions of the machine; proving: whether the box does its work;
                applying: other settings come into force; serving: what is asked for over HTTP;
                entering: where people log in; resetting: the box is as on its first day;
                replacing: it takes the place of another;
                closing: who has ended intake for that;
                screening: what the screen asks
    dimse | dicomweb | dropfolder | sync | admin | pages | viewer | provision
                the doors: DICOM, DICOMweb, files, the archive, programs, people, eyes, and the file
                that sets a new box up. They know nothing of files and tables, and go through the
                cache
    cache | access | updates
                cache is the only writer of store and index: one way in (``store_instance``), one
                way out (``open_instance``). access says who may; updates: signed bundles, slots,
                the trial of a version
    store | index | cloud | machine | pixels
                objects, sealed by a process of their own; the encrypted database; the archive, by
                its protocol; the machine under the box, by wishes; frames decoded and rendered, in
                processes of their own
    crypto      keys, and the sealed form of bytes
    dicom       the vocabulary: values and codecs, no I/O
    config      what can be set; others, whom that is about; addresses, where to listen; loading
                reads it, by settings, from file and environment, and has it checked (checking);
                changing, what of it may be changed on the page; overlay, how that is written;
                rules, how one writes what is to be here ahead of time
    systemd     what the service's manager is told, and by what proof
    cage        what a process of ours gives up before it works on what strangers wrote
    errors      what can go wrong; week, how a technician writes when the line may be used;
                written, how keys are written on paper; swap, whether memory may get to a disk;
                logs, what stands in the log in place of a UID
"""

__version__ = "0.1.0"
