"""Classification while particles still come: what ``update`` does, one idea a file.

======================  ==========================================================================
``update``              from a file of new particles to the files of DIR
``update_schedule``     the order of an update: new particles, new views, revisiting
``assignment_updates``  which particles are in which classes
``running_classes``     classes that take particles in and give them back
``rmsprop_classes``     the same with the paper's RMSProp
``new_view_policy``     when to look for views that were not there, and where they go
``new_view_search``     how to find them
``losses``              particles whose images are gone or have changed
``row_files``           the files of DIR, at a cost that hardly grows with the stream
``store``               what lies in DIR/state: batches, assignments, classes; one commit at a time
======================  ==========================================================================
"""
