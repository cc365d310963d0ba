"""Change points of the Turing Change Point Dataset, as people marked them: hits within five, silence where none is."""

from __future__ import annotations

import json

import numpy as np
import pytest
from scipy.special import ndtri, stdtr

from journeyflow.analyses.rate_alarms import LIMIT, cumulative_sums

START = 20
"""Points after which the level and the spread are known well enough."""


def alerts_of(external_data, name):
    """Return where the cumulative sums pass the limit; each value is compared with all before it (Hawkins)."""
    text = (external_data / "truths" / "tcpd" / f"{name}.json").read_text(encoding="utf-8")
    values = np.array(json.loads(text)["series"][0]["raw"], np.float64)
    count = np.arange(1, len(values))
    mean = np.cumsum(values)[:-1] / count
    spread = np.array([values[: n + 1].std(ddof=1) if n else 1.0 for n in range(len(values) - 1)])
    distance = (values[1:] - mean) / (np.maximum(spread, 1e-12) * np.sqrt(1 + 1 / count))
    chances = np.clip(stdtr(np.maximum(count - 1.0, 1.0), distance), 1e-12, 1 - 1e-12)
    residuals = np.concatenate(([0.0], ndtri(chances)))[None]
    sums = cumulative_sums(residuals, (np.arange(len(values)) >= START)[None])
    return np.flatnonzero(np.maximum(*sums)[0] > LIMIT)


@pytest.mark.parametrize(
    ("name", "change"),
    [("quality_control_1", 143), ("quality_control_2", 97), ("quality_control_3", 178), ("nile", 28)],
)
def test_a_change_is_found_within_five_points(external_data, name, change):
    found = alerts_of(external_data, name)
    assert any(change <= at <= change + 5 for at in found), found


def test_there_is_silence_where_nothing_changed(external_data):
    assert not len(alerts_of(external_data, "quality_control_5"))
