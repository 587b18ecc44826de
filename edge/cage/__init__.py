"""What a process of ours gives up before it works on what strangers wrote.

A decoder reads code streams that anybody may have made, and codecs in C and C++ have been broken by
such streams before. So this is what is assumed of one: whoever sent an image runs code of his own
in the process that decodes it. What he finds there:

    he wants                          he has
    keys, tokens, what is stored      nothing: the process is given frames alone, over one socket
    files, to read or to write        no call that opens one (seccomp); no right to any (Landlock);
                                      no free descriptor, and no byte of any file (limits)
    the network                       no call that makes a socket
    other processes                   no call that starts, reads, or signals one
    new machine code                  no memory that becomes executable
    the kernel, by a rare call        some forty calls that decoding takes, of over three hundred
    root, by a set-uid program        no program can be started, and none would gain rights
    to go on when he is done          the process ends with its socket, or when its time is over
    memory, or the processor          so much as one frame may take (limits)

A call that no decoder makes by mistake (to start a program, to make a socket, to look into another
process) ends the process at once, by SIGSYS, and is told in the log; any other that is not on the
list fails. What is left to him: a wrong picture of his own image, and, until the process ends, of
those that it is given after it, whose pixels it may hide in what it answers of later ones of his.
An answer of another kind than was asked for is not believed (`edge.pixels.answers`), and ends it.

The store's process gets study keys and plain content, so it is no place for strangers' code; it
parses nothing but our own messages. It is kept from all but its two folders, from the network, and
from other programs, so that a fault in it stays in it.

Where the kernel has no seccomp or no Landlock, the process works without it; who started it is told
what it lacks, says so once in the log, and shows it in ``edge status``. Nothing here needs root.

    entry     what is given up, and how: ``enter``
    policies  which process keeps what
    rules     which calls are let through, and when; as a program for the kernel
    bpf       the words of that program
    calls     the numbers of system calls, x86-64 and AArch64
    landlock  files and ports, by the kernel's other means
    kernel    the calls themselves, by ctypes
"""
