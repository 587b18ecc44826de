"""The parts of ``install``, which lies beside this folder; each knows those below it alone.

writing     the system is written to a disk, and read back
medium      what the stick says, and what it is left with
devices     the disks of the machine, and their partitions
traces      what is on a disk that no partition tells of
screen      whoever stands before the machine
programs    what is run of the system
"""
