"""The machine under the box: its network, its clock, its power, its disks, its lights.

The service has no rights over the machine that it runs on, and gets none. What it wants of it, it
writes down: a *wish* is a file in ``/run/edge-machine/requests``. A unit of systemd sees that, and
runs ``edge machine carry-out`` as root, which takes the file, reads it as strictly as anything that
a stranger sent, does what it says by the machine's own means (systemd-networkd, systemd, the
kernel), and leaves an *answer* beside. Root runs for the time of a wish, and listens on nothing.

    wishes      what can be wished, and that it is nothing else
    wishers     who may wish what
    asking      the service's side: leave a wish, wait for the answer
    carrying    root's side: take wishes, carry them out, answer
    networks    addresses, VLAN, DNS, time servers; a wrong setting comes back by itself
    trust       the clinic's own authority, beside those that the system trusts
    booting     what holds at every start, before there is a network
    health      disks and heat: root looks, everybody reads
    disks       the disks, and what each is to the box
    chosen      which of them was chosen, found again after a restart
    layout      a disk that is divided as the box's is
    copying     a copy of all that lies in a file system, in passes
    copies      copies of the data on other disks, and the end of one
    moves       what is kept and told of a move to another disk
    moving      the data moves to a bigger disk, while people work
    switching   … the last step of that, at a start
    disk_key    a second way into data that a TPM opens
    power       whether the mains are there
    ups         an UPS on USB is found
    lights      status LEDs
    sticks      what the screen says of a stick that is in
    former_name what it was called on the LAN until somebody renamed it
    part        what the service itself wishes
    places      where all of it is
    tools       the machine's programs

Who is the service can do what is said here: change the network, restart, power off, erase the box,
have its data move to another disk that is attached, which is erased; who reads an UPS says what its
battery says, and no more. The service can stop the clinic's images in other ways, too; it can't
become root by this, nor read a file, run a program or keep a foothold, since no wish holds a path,
a command or a unit.
"""
