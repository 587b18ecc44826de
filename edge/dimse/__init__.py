"""The DICOM upper layer and the DIMSE services (PS3.7, PS3.8).

From the outside in:

    server          puts these together, and owns every association's task
    listener        the port; connections says who stays when there are too many
    association     one association: the order of things, deadlines, dispatch
    negotiation     A-ASSOCIATE; peers says who may
    upper_layer     PDUs, from bytes and to bytes; deadline is its clock
    data_set        the bytes of a message under way, with the memory bound
    messages        command sets
    quiet           the log, where strangers could flood it
    services        the registry of what is offered: verification, storage
"""
