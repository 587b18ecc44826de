"""What whoever buys a medical device asks of its security, answered: in the form of an MDS2.

    answer     a question, and what is so
    people     who may come in, what they may do, and what is recorded of it
    data       what is kept, how it is sealed, and how it comes back
    network    what speaks to whom, and how that is protected
    upkeep     what it is made of, how it is hardened, renewed and serviced
    statement  all of it, as Markdown

The sections are those of ANSI/NEMA HN 1-2019; the questions, and their numbers in a section, are
ours, and close to it. What only the maker of an appliance knows is left for him to say. Numbers in
the answers come from the code, and the tests name what shows each "yes".
"""
