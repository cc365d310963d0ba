"""The small parts of the kernel: compiled code and its cache, classification keys, events from Arrow."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import numba
import numpy as np
import pyarrow as pa
import pytest

from journeyflow.errors import JourneyflowError
from journeyflow.kernel import jit
from journeyflow.kernel.events import COLUMNS, NO_SEQUENCE, concatenated, from_arrow
from journeyflow.kernel.plan import ModelPlan, RulePlan
from journeyflow.kernel.sessions import cut_sessions
from journeyflow.kernel.stages import number_classifications, pack_classifications, unpack_stages
from support.kernel_logs import arrays_of, plan_with


def _doubled(values):
    total = 0
    for value in values:
        total += 2 * value
    return total


def test_where_nothing_can_be_cached_code_is_compiled_all_the_same(monkeypatch):
    def refusing(*, cache: bool = False, **options):
        if cache:
            raise RuntimeError("cannot cache function: no locator available")
        return numba.njit(**options)

    monkeypatch.setattr(jit, "numba", SimpleNamespace(njit=refusing))
    assert jit.compiled(_doubled)(np.arange(4)) == 12


def test_inner_functions_become_machine_code_in_what_calls_them_only():
    doubled = jit.inner(_doubled)

    def more(values):
        return doubled(values) + 1

    assert jit.compiled(more)(np.arange(4)) == 13
    (found,) = doubled.overloads.values()
    engine = found.target_context.codegen()._engine
    assert not engine.is_symbol_defined(found.fndesc.mangled_name)


def test_progress_says_that_code_is_compiled():
    seen = []
    with jit.reporting_compilation(lambda *facts: seen.append(facts)):
        numba.njit(_doubled)(np.arange(4))
    assert seen[0] == ("compile", "the kernel, once per machine", 0)
    assert seen[-1][2] >= 1
    numba.njit(_doubled)(np.arange(4.0))
    assert seen[-1][2] == max(count for *_, count in seen)


def test_cached_code_is_stamped_with_all_sources_of_the_loops():
    stamp = cut_sessions._cache._cache_file._source_stamp
    assert stamp[-1] == jit._sources()
    assert len(stamp[-1]) == 64


def _model(model_index: int, rules: int) -> ModelPlan:
    when = np.ones(5, np.bool_)
    return ModelPlan(
        f"model_{model_index}", model_index, 3, tuple(RulePlan(n, 1 + n % 3, when) for n in range(1, rules + 1))
    )


def test_classification_keys_hold_the_stage_of_every_model():
    plan = plan_with(models=(_model(1, 4), _model(2, 2)))
    event_type = np.array([0, 4, 2], np.int32)
    rule = np.array([[0, 4, 2], [1, 0, 2]], np.int16)
    keys = pack_classifications(event_type, rule, plan)
    assert len(set(keys.tolist())) == 3
    assert (keys % plan.event_type_room).tolist() == event_type.tolist()
    assert unpack_stages(keys, plan).tolist() == [[0, 2, 3], [2, 0, 3]]


def test_classification_keys_that_do_not_fit_are_an_error():
    plan = plan_with(models=tuple(_model(n, 30) for n in range(1, 14)))
    with pytest.raises(JourneyflowError, match="13 models do not fit into one classification key"):
        pack_classifications(np.zeros(1, np.int32), np.zeros((13, 1), np.int16), plan)


def test_many_classifications_are_numbered_in_the_order_of_first_sight():
    keys = np.random.default_rng(1).integers(0, 5_000, 40_000) * 7_919
    number, example = number_classifications(keys)
    seen = list(dict.fromkeys(keys.tolist()))
    assert keys[example].tolist() == seen
    assert [seen[n] for n in number.tolist()] == keys.tolist()


def test_absent_keys_are_zero_and_an_absent_sequence_is_marked():
    types = {name: pa.from_numpy_dtype(dtype) for name, dtype in COLUMNS.items()}
    absent = {"device_key", "user_key", "session_key", "sequence"}
    columns = {name: pa.array([None if name in absent else 1, 1]).cast(type_) for name, type_ in types.items()}
    events = from_arrow(pa.table(columns))
    assert events.device_key.tolist() == [0, 1]
    assert events.sequence.tolist() == [NO_SEQUENCE, 1]
    assert events.is_offline.dtype == np.bool_


def test_parts_of_a_log_join_up_again():
    row = dict.fromkeys(COLUMNS, 1) | {"is_offline": False, "is_undecided": False}
    events = arrays_of([row | {"event_ix": n} for n in range(5)])
    joined = concatenated([events.slice(0, 2), events.slice(2, 5)])
    assert joined.event_ix.tolist() == [0, 1, 2, 3, 4]
    assert len(replace(joined)) == 5
