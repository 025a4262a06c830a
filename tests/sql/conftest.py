"""A whole ledger to be maltreated, in transactions that are rolled back."""

from __future__ import annotations

from collections.abc import Iterator

import psycopg
import pytest

from tests.support.clusters import Cluster
from tests.support.ledger import BUSINESS, MOVES, USERS


@pytest.fixture(scope="session")
def whole_ledger(cluster: Cluster) -> Iterator[str]:
    """A database of its own with rows in every table of money; its URL for the owner."""
    database = cluster.new_database()
    with psycopg.connect(database.owner_url, autocommit=True) as connection:
        connection.execute((USERS + MOVES + BUSINESS).encode())
    yield database.owner_url
    cluster.drop_database(database.name)


@pytest.fixture
def ledger(whole_ledger: str) -> Iterator[psycopg.Connection]:
    """The owner's connection to it; all that is done there is undone."""
    with psycopg.connect(whole_ledger) as connection:
        yield connection
        connection.rollback()
