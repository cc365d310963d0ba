"""The target PostgreSQL where none is configured, and where it cannot be reached."""

from __future__ import annotations

import sys

import pytest

from journeyflow.config.sources import Targets
from journeyflow.errors import InputError, JourneyflowError
from journeyflow.publish import targets
from journeyflow.publish.targets import VARIABLE, require_postgres, write_postgres
from support.small_project import make_config


@pytest.fixture
def config(tmp_path):
    targets = Targets.model_validate({"postgres": {"schema": "marts"}})
    return make_config(tmp_path).model_copy(update={"targets": targets})


def test_without_a_target_nothing_is_imported_or_written(tmp_path, monkeypatch):
    monkeypatch.delenv(VARIABLE, raising=False)
    monkeypatch.setitem(sys.modules, "adbc_driver_postgresql", None)
    plain = make_config(tmp_path)
    require_postgres(plain)
    write_postgres(None, (), plain)


def test_a_missing_driver_is_named_with_its_extra(config, monkeypatch):
    monkeypatch.setitem(sys.modules, "adbc_driver_postgresql", None)
    monkeypatch.setitem(sys.modules, "adbc_driver_postgresql.dbapi", None)
    with pytest.raises(JourneyflowError, match=r"pip install 'journeyflow\[postgres\]'"):
        require_postgres(config)


@pytest.mark.parametrize("address", [None, "", "host=db password=s3cret", "mysql://u:s3cret@db/x"])
def test_the_address_comes_from_the_environment_only_and_is_not_told(config, monkeypatch, address):
    monkeypatch.setattr(targets, "_driver", lambda: None)
    monkeypatch.delenv(VARIABLE, raising=False)
    if address is not None:
        monkeypatch.setenv(VARIABLE, address)
    with pytest.raises(InputError, match=f"Set the environment variable {VARIABLE}") as caught:
        require_postgres(config)
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize("name", ["Marts", "a-b", 'x"; drop', "", "1a", "a" * 64, "pg\n"])
def test_a_schema_has_a_plain_name(name):
    with pytest.raises(ValueError, match="String should"):
        Targets.model_validate({"postgres": {"schema": name}})
    assert Targets().postgres is None
