"""Several processes on one port: a supervisor that starts, watches and replaces them.

The supervisor never touches gRPC or the database. It launches a fork server, which imports everything once; each worker
is a fork of that, and so is there at once and shares its memory. A replacement begins with a new fork server: it runs
the code that is installed then.
"""
