"""Classification while particles still come: what ``update`` does, one idea a file.

==============  ==========================================================================
``update``      from a file of new particles to the files of DIR
``stream``      the order of an update: new particles, new views, revisiting
``membership``  which particles are in which classes
``living``      classes that take particles in and give them back
``moving``      the same with the paper's RMSProp
``newcomers``   when to look for views that were not there, and where they go
``novelty``     how to find them
``journal``     what lies in DIR/state: batches, assignments, classes; one commit at a time
``history``     figures of each delivery
``merging``     many small batches become one
``delivery``    the files of DIR, at a cost that hardly grows with the stream
==============  ==========================================================================
"""
