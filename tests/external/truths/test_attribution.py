"""Published and recomputed figures of attribution, through the methods of the product."""

from __future__ import annotations

import csv
import gzip
import json

import numpy as np
import pytest

from journeyflow.analyses.attribution import Chain, Subpaths, path_shares, removal_effects


def parsed(paths):
    """Return paths as rows of numbers, and the channels in the order of their numbers."""
    split = [path.split(" > ") for path in paths]
    names = sorted({name for path in split for name in path})
    channels = np.zeros((len(split), max(map(len, split))), np.uint8)
    for row, path in enumerate(split):
        channels[row, : len(path)] = [names.index(name) + 1 for name in path]
    return channels, names


def floats(values):
    return np.array([float(value) for value in values])


@pytest.fixture(scope="module")
def log(external_data):
    folder = external_data / "truths" / "channelattribution"
    with (folder / "Data.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file, delimiter=";"))
    channels, names = parsed([row["path"].strip() for row in rows])
    converted, value, ended = (
        floats(row[f"total_{name}"] for row in rows) for name in ("conversions", "conversion_value", "null")
    )
    return channels, names, converted, value, ended, json.loads((folder / "expected_computed.json").read_text())


@pytest.mark.parametrize(
    ("method", "expected"),
    [("first", "first"), ("last_non_direct", "last"), ("linear", "linear")],
)
def test_channel_attribution_by_place(log, method, expected):
    channels, names, converted, value, _, truths = log
    shares = path_shares(method, channels, len(names))
    for weights, key in ((converted, expected), (value, f"{expected}_value")):
        assert dict(zip(names, (shares.T @ weights)[1:], strict=True)) == pytest.approx(truths[key], rel=1e-9)


def test_channel_attribution_by_shapley_on_counts(log):
    channels, names, converted, *_ = log
    found = dict(zip(names, (path_shares("shapley_on_counts", channels, len(names)).T @ converted)[1:], strict=True))
    assert [round(found[name], 3) for name in ("alpha", "eta", "iota")] == [7627.944, 3613.656, 3505.044]
    assert sum(found.values()) == pytest.approx(19785)


def test_channel_attribution_by_markov(log):
    """The chain reproduces the observed share exactly, and collapsing repeats changes nothing."""
    channels, names, converted, _, ended, truths = log
    expected = truths["markov"]["with_null_order1"]
    chance, effects = removal_effects(Chain(channels, len(names)).counts(converted, ended))
    assert chance == pytest.approx(19785 / 88387, abs=1e-12)
    assert dict(zip(names, effects, strict=True)) == pytest.approx(expected["removal_effect"], rel=1e-9)
    shared = effects / effects.sum() * 19785
    assert dict(zip(names, shared, strict=True)) == pytest.approx(expected["conversions"], rel=1e-9)
    rows = [[number for place, number in enumerate(row) if place == 0 or row[place - 1] != number] for row in channels]
    collapsed = np.array([row + [0] * (channels.shape[1] - len(row)) for row in rows], np.uint8)
    _, same = removal_effects(Chain(collapsed, len(names)).counts(converted, ended))
    assert same == pytest.approx(effects, rel=1e-9)


def test_fractribution_is_leave_one_out(external_data):
    truth = json.loads((external_data / "truths" / "fractribution" / "expected.json").read_text())
    channels, names = parsed(truth["paths"])
    converted, ended = (floats(counts[place] for counts in truth["paths"].values()) for place in (0, 1))
    credits = Subpaths(channels, len(names)).shares(converted, ended).T @ converted
    found = dict(zip(names, credits[1:], strict=True))
    assert found == pytest.approx(truth["leave_one_out"], rel=1e-12)
    published = {name: truth["published_fixture"][name] for name in ("Direct", "Organic_Search")}
    assert {name: found[name] for name in published} == pytest.approx(published, abs=1e-8)
    counts = path_shares("shapley_on_counts", channels, len(names)).T @ converted
    wanted = truth["shapley_on_counts_equal_split_over_distinct_channels"]
    assert dict(zip(names, counts[1:], strict=True)) == pytest.approx(wanted)


def test_chains_to_check_by_hand(external_data):
    folder = external_data / "truths" / "markov_tiny"
    truth = json.loads((folder / "expected.json").read_text())
    with (folder / "paths.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    channels, names = parsed([row["path"] for row in rows])
    converted, ended = floats(row["conversions"] for row in rows), floats(row["nulls"] for row in rows)
    chance, effects = removal_effects(Chain(channels, len(names)).counts(converted, ended))
    assert chance == pytest.approx(truth["p_conversion"])
    assert dict(zip(names, effects, strict=True)) == pytest.approx(truth["removal_effect"])
    checks = truth["hand_checks_from_eeghor_mta_tests_MIT"]
    for name in ("shapley", "shapley4"):
        channels, names = parsed(checks[name]["paths"])
        credits = path_shares("shapley_on_counts", channels, len(names)).T @ floats(checks[name]["paths"].values())
        assert dict(zip(names, credits[1:], strict=True)) == pytest.approx(checks[name]["expected"])
    paths = checks["markov transitions"]["paths"]
    channels, names = parsed(paths)
    counts = Chain(channels, 3).counts(*(floats(each[place] for each in paths.values()) for place in (0, 1)))
    chances = counts / counts.sum(axis=1, keepdims=True).clip(1)
    assert names == ["a", "b", "c"]
    assert chances[1, 2:4] == pytest.approx([2 / 3, 1 / 3])
    assert chances[2, 4:] == pytest.approx([0.75, 0.25])
    assert chances[3, 4] == pytest.approx(0.5)


def test_the_same_paths_of_another_package(external_data, log):
    with gzip.open(external_data / "truths" / "mta_eeghor" / "data.csv.gz", "rt", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    channels, names = parsed([row["path"].strip() for row in rows])
    converted, ended = floats(row["total_conversions"] for row in rows), floats(row["total_null"] for row in rows)
    assert names == log[1]
    _, effects = removal_effects(Chain(channels, len(names)).counts(converted, ended))
    wanted = log[-1]["markov"]["with_null_order1"]["removal_effect"]
    assert dict(zip(names, effects, strict=True)) == pytest.approx(wanted, rel=1e-9)
