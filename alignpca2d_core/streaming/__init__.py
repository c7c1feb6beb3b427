"""Classification while particles are still being acquired: what ``update`` does.

======================  ==========================================================================
``update``              from a file of new particles to a stream that has taken them in
``update_schedule``     the order of an update: new particles, new views, revisiting
``assignment_updates``  which particles are in which classes
``running_classes``     classes that take particles in and give them back
``rmsprop_classes``     the same with the paper's RMSProp
``new_view_policy``     when to look for views that were not there, and where they go
``new_view_search``     how to find them
``losses``              particles whose images are gone or have changed
``delivery``            what an update hands over, and the commit that goes with it
``final_figures``       what averages show at the end: the stated resolution, and detail up to Nyquist
``row_files``           the files of DIR, at a cost that hardly grows with the stream
``store``               what lies in DIR/state: batches, assignments, classes; one commit at a time
======================  ==========================================================================
"""
