"""Pixels: decoded, shown and encoded in processes of their own, within limits.

`ImageDescription` says what the pixels of an instance are, and whether they fit into the budget.
`PixelWorkers` has them decoded, rendered or encoded. Codecs read what strangers wrote, so none of
them runs in the service: what is the worker's below is imported by child processes only.

    syntaxes      transfer syntaxes, by what they mean     both
    description   what the pixels are                      both
    presentation  how they are wanted, display: how the    both
                  data set says they are shown
    messages      what the two say to each other           both
    workers       the pool, process: one of it             service
    answers       how far one of them is believed          service
    turns         who of those who ask is next             service
    failures      what is not tried again for a while      service
    worker        one of them, from within                 worker
    codestream    headers, read before a codec sees them   worker
    decoding      from a stored frame to an array          worker
    raster        from a PNG or a GIF to native frames     worker
    encoding      and back, without loss (native: cells)   worker
    rendering     from an array to a picture               worker
                  (tables: greys and colours, profiles)
"""
