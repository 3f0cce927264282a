"""A database server for the tests of this folder."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator

import pytest

from benchmarks.postgres_server import PostgresServer, programs
from tests.search.conftest import clo, small_data, small_search

__all__ = ["clo", "small_data", "small_search"]


@pytest.fixture(scope="session")
def server() -> Iterator[PostgresServer]:
    """PostgreSQL, started by the tests."""
    if programs() is None:
        pytest.skip("needs a PostgreSQL server: apt-get install postgresql")
    pytest.importorskip("psycopg", reason="needs psycopg: pip install 'clo-nas[postgres]'")
    with PostgresServer() as server:
        yield server


@pytest.fixture
def new_storage(server: PostgresServer) -> Callable[[], str]:
    """Makes empty databases; their URLs."""
    return lambda: server.database(f"test_{next(_NUMBERS)}")


_NUMBERS = itertools.count()
