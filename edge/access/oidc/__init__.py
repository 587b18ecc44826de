"""OpenID Connect: the clinic's or the cloud's identity provider says who somebody is.

Attack model, and what stands against it. Who reads this asks what somebody gets who

        plants another's code     state, in a sealed cookie of this browser; PKCE (S256): a log-in
                                  that another began, or a code that was stolen, is worth nothing
        answers for another       ``iss`` of the answer (RFC 9207), of the ID token, and in the
                                  provider's own metadata, to the letter (mix-up)
        forges an ID token        its signature by a published key, algorithms with a public key
                                  alone; iss, aud, azp, nonce, at_hash
        shows an old ID token     exp, iat, nonce; a state works once, for ten minutes
        is called as a user is    people of a provider have names that no user can have, and are
                                  known by issuer and subject alone
        leads the page elsewhere  it leads to ``/``, and no request names another place
        answers without end       bounds of bytes and of seconds; no redirect is followed
        has no second factor      admins showed one at the provider, which says so
        is disabled there         out within ``recheck_minutes``, while the provider can be asked
        cuts the line to stay     out at the end of the grace, whatever the clock is set to; an
                                  admin of the box puts them out at once
        takes the disk            refresh tokens are sealed under a key of the ring, in an index
                                  that is encrypted

A provider that is away keeps the box from nothing: it is asked for nothing at the start, who is in
stays in for the grace, and users of the box log in as ever.

Who stands for what: `channel` (HTTP), `provider` (metadata, keys, tokens), `id_token`, `meaning`
(claims to roles and names), `sealing`, `login` (begin and end), `vouching` (asking again), `people`
(what admins may do about them).
"""
