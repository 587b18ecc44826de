"""A box is set up with nobody at a keyboard: by a file on a stick, or on the boot partition.

The first that is found wins: a stick, the boot partition, the web page's wizard, the page on the
screen; and once a box is set up, no file sets it up again. Whoever can plug a stick into a new box
may make it theirs, as whoever reads its screen may; of one that is in use, nobody may.

    file        what such a file says, checked as a whole
    faults      what is wrong with it, as much of that at once as can be
    reach       whether anybody would find the box then
    taking      a box takes it, or refuses it
    journal     what was changed for a file is undone, unless it set the box up
    ports       which addresses the machine has, and on which port
    medium      the folder on the stick: read, answered, and the token struck out
    clock       what time it is, from the archive, where nobody else tells
"""
