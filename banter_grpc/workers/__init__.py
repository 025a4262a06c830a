"""Several processes on one port: a supervisor that starts, watches and replaces them.

The supervisor never touches gRPC or the database. Each worker is a process of its own, started from nothing, and waits
fully imported until it is told to serve: so a dead one is replaced at once by the one that stands by, and a replaced
one runs the code that is installed now.
"""
