"""What every list promises about its pages, checked of every RPC that has some.

A list that is not registered in `tests/support/lists.py` fails here.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
from google.protobuf.descriptor import MethodDescriptor

from tests.support import contract, paging
from tests.support.clusters import Cluster
from tests.support.harness import running
from tests.support.lists import LISTS, PAGE_SIZE, PAGE_SIZE_MAX, subject_of
from tests.support.paging import CHECKS, Subject

METHODS = {method.full_name: method for method in contract.methods() if paging.is_list(method)}


def test_the_registered_lists_are_those_of_the_contract() -> None:
    assert set(LISTS) == set(METHODS), "each list of the contract is in tests/support/lists.py, and nothing else"


@pytest.mark.parametrize("method", METHODS.values(), ids=METHODS.keys())
def test_a_list_has_one_shape(method: MethodDescriptor) -> None:
    """Its own filters first, then page_size and page_token; the rows and next_page_token in the response."""
    names = [field.name for field in method.input_type.fields if field.name != "skip"]
    assert names[-2:] == ["page_size", "page_token"]
    assert paging.items_of(method).message_type is not None


@pytest.fixture(scope="module")
async def subject(cluster: Cluster, request: pytest.FixtureRequest) -> AsyncIterator[Subject]:
    """A list on a database of its own."""
    method = METHODS[request.param]
    database = cluster.new_database()
    async with running(
        database.owner_url, database.service_url, page_size=PAGE_SIZE, page_size_max=PAGE_SIZE_MAX
    ) as banter:
        yield await subject_of(banter, method, LISTS[request.param])
    cluster.drop_database(database.name)


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
@pytest.mark.parametrize("subject", METHODS, indirect=True)
async def test_of_a_list(subject: Subject, check: Callable[[Subject], Awaitable[None]]) -> None:
    await check(subject)
