"""The servers that the tests of this folder start."""

from __future__ import annotations

import adbc_driver_postgresql.dbapi as adbc
import pytest


def _rows(uri: str, query: str) -> list[tuple[object, ...]]:
    with adbc.connect(uri) as connection, connection.cursor() as cursor:
        cursor.execute(query)
        return cursor.fetchall()


def test_the_database_is_new_and_empty_and_asks_for_the_password(postgres, postgres_server):
    assert _rows(postgres, "select count(*) from information_schema.tables where table_schema = 'public'") == [(0,)]
    with pytest.raises(adbc.Error, match="password authentication failed"):
        adbc.connect(postgres_server.uri("postgres", "wrong"))


def test_the_server_listens_on_its_socket_only(postgres):
    assert _rows(postgres, "select current_setting('listen_addresses')") == [("",)]
