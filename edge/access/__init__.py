"""Who may come in, and what they may do there.

Who is expected, what he tries, and what he finds:

    a stranger on the clinic's network
        listens                 TLS 1.2 and later with forward secrecy, by default (`tls`)
        has a weaker TLS agreed on
                                no older version, no suite without AEAD, no renegotiation
        stands in between       a certificate authority of the box's own, which can vouch for this
                                box alone, and whose fingerprint can be compared (`authority`)
        answers for a server that is called
                                archives, providers, log servers and peers are believed by their
                                certificate, over TLS 1.2 and later with forward secrecy
        guesses                 waits that double, by name and by address (`throttle`); hashes that
                                cost (`passwords`); tokens of 256 bits (`tokens`)
        proves again what was proved before
                                codes and challenges count once (`factors`, `challenges`)
        asks which names exist  one answer, after the same time, whatever is wrong (`proving`)
        shuts somebody out by guessing
                                who comes from where they were has a count of their own
        calls as a modality     AE title, address, or a certificate of its own (`dicom_tls`)
        forges lines of the log
                                names and addresses are shown as text
        writes headers of an answer
                                nothing that came is sent back as one
        names files of the machine
                                paths name resources, and what is stored has names of its own:
                                nothing outside of the drop folder is opened by a name that came
    a page of somebody else's, open in a browser of the clinic
        sends forms and requests
                                origins are checked (`edge.dicomweb.origins`); the cookie is for
                                this host and its own pages (`sessions`)
        takes the box for itself by DNS
                                it answers to its own names alone (`edge.dicomweb.hosts`)
        plants a session        every log-in, and every further proof, makes another secret
    a curious employee
        looks at what is none of his business
                                roles (`roles`); every look is in the record (`audit`)
        looks at studies of others
                                who was narrowed to some sees no other one by any door; a door
                                that is new is shut to them (`scope`, `edge.dicomweb.sight`)
        breaks the glass without need
                                that needs a reason and a fresh proof, opens reading alone, ends by
                                itself, and is an alarm until another admin has looked (`emergency`)
        stays behind the broken glass
                                it ends with its time, its session, a hand; no clock, restart or
                                full disk keeps it open, and no token gets there
        changes the record      entries are sealed, numbered and chained
        uses another's session  it ends when it is idle, and at its end (`sessions`)
        changes its log-in      that needs the password again (`factors`)
        was an admin            disabled, removed or reset, he is logged out at once (`users`)
    who has a stolen token
        uses it                 it ends, is for what it is for, and opens nothing from elsewhere;
                                revoked, it is nobody's within seconds (`scope`, `tokens`)
        makes himself a better one
                                it makes no token at all, changes nobody, and invites nobody
    who has a link to a study
        opens others with it    it is for the images of that one; every other door is shut (`links`)
        proves more by it       it is nobody's log-in: it changes none, and breaks no glass
        uses it for longer      it ends at its time, by a hand, and with what its maker may do
    who reads the index
        takes proofs out of it  hashes: of passwords, tokens, sessions and codes

What is not kept from him: who has the machine's console makes the first admin; root of the running
box can do whatever the box can; who knows a password and the second factor is taken for its user.

Who takes the disk, or the box, is `edge.crypto`'s; who sends images that break a decoder,
`edge.cage`'s; who sends too much, the manual's table's. ``tests/attack/model.txt`` names the tests
of each line.
"""
