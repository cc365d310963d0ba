"""The conversion of published paths, through the chain behind what-if."""

from __future__ import annotations

import csv

import pytest

from support.chains import chain_of


def test_a_published_set_of_paths_is_reproduced(external_data):
    with (external_data / "truths" / "channelattribution" / "Data.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file, delimiter=";"))
    chain, _ = chain_of(
        [(row["path"].split(" > "), int(row["total_conversions"]), int(row["total_null"])) for row in rows]
    )
    assert chain.checked_rate() == pytest.approx(19785 / 88387, abs=1e-12)
    assert chain.checked_rate() == pytest.approx(0.2238451, abs=5e-8)
