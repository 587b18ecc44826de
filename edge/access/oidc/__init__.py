"""OpenID Connect: the clinic's or the cloud's identity provider says who somebody is.

Attack model, and what stands against it; each line is a test in ``tests/access/oidc/test_attacks``:

    another's code is planted in a browser    state, in a sealed cookie of this browser; PKCE (S256)
    (login CSRF), or a code was stolen
    an answer comes from another provider     ``iss`` of the answer (RFC 9207), of the ID token,
    (mix-up)                                  and the issuer in its own metadata, to the letter
    an ID token is forged, or another's       its signature by a published key, algorithms with a
                                              public key alone; iss, aud, azp, nonce, at_hash
    it is old, or was used                    exp, iat, nonce; a state works once
    somebody calls themselves as a user does  its people have names that no user can have, and are
                                              known by issuer and subject alone
    the page leads elsewhere afterwards       it leads to ``/``, and no request names another place
    the provider sends without end, or slowly bounds of bytes and seconds; no redirect is followed
    the provider is away                      nothing waits for it at the start; sessions go on for
                                              the grace, and not a second longer
    somebody is disabled there                they are out within ``recheck_minutes``, while it can
                                              be asked
    somebody cuts the line to stay in         they are out at the end of the grace; an admin here
                                              disables them at once
    the disk is stolen                        refresh tokens are sealed under a key of the ring, in
                                              an index that is encrypted

Who stands for what: `channel` (HTTP), `provider` (metadata, keys, tokens), `id_token`, `meaning`
(claims to roles and names), `sealing`, `login` (begin and end), `vouching` (asking again).
"""
