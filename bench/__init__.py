"""The bench: what calls cost through everything, beside a floor and a ceiling measured in the same run.

    uv run python -m bench --quick

The *floor* is a bare grpc.aio server that answers as many bytes, the *ceiling* pgbench with the same statements; the
rest is in docs/performance.md. Linux only: it reads ``/proc``, and h2load is expected from the system.
"""
