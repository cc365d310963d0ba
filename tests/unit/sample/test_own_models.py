"""The sample's own models are good examples to copy from."""

import pytest

from journeyflow import models
from journeyflow.models import checks
from journeyflow.utils.files import sample_folder, sql_folder

GRAPH = models.load_graph(sql_folder(), own=sample_folder() / "sql")
OWN = [model for model in GRAPH if model.is_own]


def test_the_sample_shows_a_table_of_ones_own():
    assert [model.name for model in OWN] == ["marts.first_touches"]


@pytest.mark.parametrize("model", OWN, ids=lambda model: model.name)
def test_they_keep_to_the_style(model):
    own = [finding for finding in checks.lint(GRAPH) if finding.model == model.name]
    assert not own, "\n".join(str(finding) for finding in own)
