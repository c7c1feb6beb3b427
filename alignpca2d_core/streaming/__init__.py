"""Classification while particles still come: what ``update`` does, one idea a file.

=============  ==========================================================================
``journal``    what lies in DIR/state: batches, assignments, classes; one commit at a time
``living``     classes that take particles in and give them back
``stream``     the order of an update: new particles, revisiting, new views
``novelty``    views that were not there when the classes were made
``delivery``   the files of DIR, at a cost that does not grow with the stream
=============  ==========================================================================
"""
