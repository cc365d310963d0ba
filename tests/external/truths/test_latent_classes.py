"""The likelihoods that poLCA reports for its own data sets, by the function behind discovered personas."""

from __future__ import annotations

import csv

import numpy as np
import pytest

from journeyflow.statistics.latent_classes import Answers, choose_classes, fit_classes

CHEATING = ("LIEEXAM", "LIEPAPER", "FRAUD", "COPYEXAM")
SETS = {"carcinoma": None, "values": None, "cheating": CHEATING}


@pytest.fixture(scope="module")
def answers(external_data):
    def read(name):
        with (external_data / "truths" / "polca" / f"{name}.csv").open(encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
        columns = SETS[name] or list(rows[0])
        levels = [sorted({row[column] for row in rows}) for column in columns]
        values = [[known.index(row[column]) for column, known in zip(columns, levels, strict=True)] for row in rows]
        patterns, counts = np.unique(values, axis=0, return_counts=True)
        return Answers.of(patterns, [len(known) for known in levels], counts.astype(np.float64))

    return {name: read(name) for name in SETS}


@pytest.mark.parametrize(
    ("name", "likelihoods"),
    [
        ("carcinoma", [-524.4648, -317.2568, -293.7050]),
        ("values", [None, -504.4677]),
        ("cheating", [None, -440.0271]),
    ],
)
def test_the_published_likelihoods_are_reached(answers, name, likelihoods):
    for classes, expected in enumerate(likelihoods, 1):
        if expected is not None:
            assert fit_classes(answers[name], classes).log_likelihood == pytest.approx(expected, abs=5.1e-5)


def test_the_criterion_of_carcinoma(answers):
    found = [fit_classes(answers["carcinoma"], classes).bic(answers["carcinoma"]) for classes in (1, 2, 3)]
    assert found == pytest.approx([1082.32, 706.07, 697.14], abs=0.0051)


@pytest.mark.parametrize(
    ("name", "shares"),
    [("carcinoma", [0.1817, 0.3736, 0.4447]), ("values", [0.2792, 0.7208]), ("cheating", [0.1606, 0.8394])],
)
def test_the_number_of_classes_and_their_shares(answers, name, shares):
    """The likelihood is flat at its top: shares differ by some 1e-4 where EM ends earlier."""
    assert np.sort(choose_classes(answers[name]).shares) == pytest.approx(shares, abs=5e-4)
