"""`banter dev`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from banter_grpc.cli.options import DataDir, Host, OwnerUrl, Port
from banter_grpc.cli.output import working

if TYPE_CHECKING:
    from banter_grpc.server import Server


def dev(host: Host = None, port: Port = None, data_dir: DataDir = None, database_url: OwnerUrl = None) -> None:
    """Set everything up and serve, with nothing but this: for development.

    Starts a PostgreSQL of its own (no TCP port; data stays in its folder), applies the migrations, makes an admin and a
    user if there are no users, and prints the address, tokens, and lines to paste. Ctrl-C stops all of it.
    """
    import asyncio

    from pydantic import SecretStr

    from banter_grpc import resources, server
    from banter_grpc.cli.banner import Banner, with_token
    from banter_grpc.cli.environment import settings
    from banter_grpc.cli.people import find_or_make
    from banter_grpc.cli.places import dev_key, find_url, folder
    from banter_grpc.cli.running import run
    from banter_grpc.cli.targets import embedded, given
    from banter_grpc.database import access
    from banter_grpc.database.migrations import Migrations
    from banter_grpc.database.roles import SERVICE
    from banter_grpc.rpc.mint import dev_issuers

    found = settings(host=host, port=port, reflection=True)
    where = folder(data_dir, found)
    url = find_url(database_url, data_dir, found.migration_database_url)
    with given(url) if url else embedded(where) as target:
        with working("applying migrations"):
            Migrations().up(target.url)
        service_url = target.embedded.url(SERVICE) if target.embedded else access.as_service(target.url)
        key = dev_key(where)
        people = [with_token(each, key) for each in asyncio.run(find_or_make(service_url))]
        if target.embedded:
            database = f"PostgreSQL {target.embedded.installation.version} in {target.embedded.folder}"
        else:
            database = access.described(target.url)

        def started(serving: Server) -> None:
            banner = Banner(found.host, serving.port, database, people, in_checkout=resources.in_checkout())
            print("\n".join(banner.lines()), flush=True)

        made = found.model_copy(
            update={
                "database_url": SecretStr(service_url),
                "phone_hash_key": found.phone_hash_key or SecretStr(key.derive("phone numbers")),
            }
        )
        run(made, target.embedded, lambda log: server.serve(made, log, started, dev_issuers(key)))
