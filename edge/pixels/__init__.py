"""Pixels: decoded, shown and encoded in processes of their own, within limits.

`ImageDescription` says what the pixels of an instance are, and whether they fit into the budget.
`PixelWorkers` has them decoded, rendered or encoded. Codecs read what strangers wrote, so none of
them runs in the service: everything below ``worker`` is imported by child processes only.

    description   what the pixels are                      service and worker
    presentation  how they are wanted, display: how the    service and worker
                  data set says they are shown
    messages      what the two say to each other           service and worker
    workers       the pool of processes                    service
    worker        one of them                              worker
    codestream    headers, read before a codec sees them   worker
    decoding      from a stored frame to an array          worker
    encoding      and back, without loss                   worker
    rendering     from an array to a picture               worker
"""
