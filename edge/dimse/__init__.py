"""The DICOM upper layer and the DIMSE services (PS3.7, PS3.8).

From the outside in:

    server          puts these together, and owns every association's task
    listener        the port; connections says who stays when there are too many
    association     one association that a peer asked for: the order of things, deadlines, dispatch
    requestor       one that we ask for
    negotiation     A-ASSOCIATE as acceptor; proposal as requestor; peers says who may,
                    names where those are that are configured by name
    dialogue        requests of ours on either, and their answers
    assembly        messages, from fragments; data_set is their bytes, with the memory bound
    upper_layer     the states of a connection; framing: PDUs; deadline is its clock
    messages        command sets
    casebook        has written down what goes wrong: doctor, doctor_lost, doctor_ours and
                    doctor_statuses find the words; examination reads it again
    quiet           the log, where strangers could flood it
    services        the registry of what is offered: verification, storage, mpps, worklist,
                    find (query_model reads for it), get and move,
                    storage_commitment (commitment_reports brings its answers)
    outbox          tells peers what waits for them: performed procedure steps, availability
    worklist_poll   asks other worklists, for ours

    retrieve        what get and move share: the instances that an identifier names
    progress        their counts and answers
    sending         C-STORE as SCU, on the associations of either

    conformance     what all of this offers, as tables; statement writes conformance.md of them
"""
