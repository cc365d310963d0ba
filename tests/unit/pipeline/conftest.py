import pytest

from journeyflow.utils import files
from support import small_project


@pytest.fixture
def events(monkeypatch):
    return small_project.fake_loading(monkeypatch)


@pytest.fixture
def project(tmp_path, monkeypatch, events):
    folder = small_project.make_sql_folder(tmp_path / "built_in")
    monkeypatch.setattr(files, "sql_folder", lambda: folder)
    (tmp_path / "project").mkdir()
    return tmp_path / "project"


@pytest.fixture
def config(project):
    return small_project.make_config(project)
