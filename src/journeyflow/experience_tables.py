"""What people were asked and promised, as small relations beside those of `config_tables`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pyarrow as pa

from journeyflow.config import Config
from journeyflow.config.durations import microseconds
from journeyflow.config.experience import Promise

_SURVEYS = pa.schema(
    {
        "survey": pa.string(),
        "survey_index": pa.int32(),
        "event": pa.string(),
        "kind": pa.string(),
        "least": pa.float64(),
        "most": pa.float64(),
        "is_low_good": pa.bool_(),
        "has_score": pa.bool_(),
        "has_text": pa.bool_(),
    }
)
_PROMISES = pa.schema(
    {
        "promise": pa.string(),
        "promise_index": pa.int32(),
        "kind": pa.string(),
        "model": pa.string(),
        "model_index": pa.int32(),
        "stage": pa.string(),
        "stage_index": pa.int32(),
        "is_last_stage": pa.bool_(),
        "within_us": pa.int64(),
        "match_property": pa.string(),
        "survey": pa.string(),
        "target": pa.float64(),
        "is_at_most": pa.bool_(),
    }
)


def tables(config: Config) -> dict[str, pa.Table]:
    """Return the relations of surveys and promises.

    Parameters
    ----------
    config : Config

    Returns
    -------
    dict of str to Table
        ``config.surveys`` and ``config.promises``: one row per thing, in the order of the configuration; columns as in
        `sql/config/<name>.yml`.
    """
    return {
        "config.surveys": pa.Table.from_pylist(list(_surveys(config)), schema=_SURVEYS),
        "config.promises": pa.Table.from_pylist(list(_promises(config)), schema=_PROMISES),
    }


def _surveys(config: Config) -> Iterator[dict[str, Any]]:
    for index, (name, survey) in enumerate(config.surveys.items(), 1):
        least, most = survey.scale or (None, None)
        yield {
            "survey": name,
            "survey_index": index,
            "event": survey.event,
            "kind": survey.kind,
            "least": least,
            "most": most,
            "is_low_good": survey.is_low_good,
            "has_score": survey.score is not None,
            "has_text": survey.text is not None,
        }


def _promises(config: Config) -> Iterator[dict[str, Any]]:
    for index, promise in enumerate(config.promises, 1):
        yield {"promise": promise.name, "promise_index": index} | _place(config, promise) | _terms(promise)


def _place(config: Config, promise: Promise) -> dict[str, Any]:
    """Find the first model where people can go on from the promise's stage; else the first that has the stage."""
    places = [
        (stage_index == len(model.stages), model, stage_index)
        for model in config.journey_models
        for stage_index, stage in enumerate(model.stage_names, 1)
        if stage == promise.stage
    ]
    is_last, model, stage_index = min(places, key=lambda place: place[0])
    return {
        "model": model.model,
        "model_index": model.model_index,
        "stage": promise.stage,
        "stage_index": stage_index,
        "is_last_stage": is_last,
    }


def _terms(promise: Promise) -> dict[str, Any]:
    """Say what keeps the promise: an event within a time, or a score on the good side of a bound."""
    if promise.within is not None:
        terms = {"within_us": microseconds(promise.within), "match_property": promise.match, "target": 1.0}
        return {"kind": "timed", **terms}
    target = promise.target
    is_at_most = target is not None and target.at_most is not None
    bound = None if target is None else target.at_most if is_at_most else target.at_least
    return {"kind": "measured", "survey": promise.measure, "target": bound, "is_at_most": is_at_most}
