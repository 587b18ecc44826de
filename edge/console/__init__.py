"""The page on the screen of the box: for who stands before it, with a keyboard or without.

    view    what it shows, as one value
    box     the box behind it: looked at, and asked, as any command does
    person  who logs in there
    page    the page itself
    facts   what stands on it, laid out
    advice  what is said of what failed
    entering how somebody logs in
    keys    what is typed, in its order
    forms   what is asked on it
    network … of the network
    disks   … of disks
    first_day … before a factory reset
    style   how it looks
    times   moments, as its clocks have them
    updating what is done with an update
    picture a code to be scanned, of characters

Whoever stands before the box sees how it is and where its web page is; on a new one, the code that
makes the first admin. Restarting and powering off is for everybody, as by the button; what else is
changed here is for admins who log in, once there are any.
"""
