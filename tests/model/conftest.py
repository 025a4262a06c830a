"""What the tests of money run on."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.support.clusters import Cluster
from tests.support.harness import Running, running


@pytest.fixture(scope="session")
async def market(cluster: Cluster) -> AsyncIterator[Running]:
    """A server of their own, to which who is erased is unknown at once, on a database where time may be moved."""
    database = cluster.new_database()
    async with running(database.owner_url, database.service_url, caller_cache=0) as server:
        yield server
    cluster.drop_database(database.name)
