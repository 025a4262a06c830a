"""What the service does by the clock, in one process at a time of all that serve a database.

A job only writes down what is true already, each item on its own and any number of times to the same effect, and passes
over rows that another holds (`FOR UPDATE SKIP LOCKED`). So two processes that work at once for a moment do no harm: the
lease saves work, nothing depends on it.
"""
