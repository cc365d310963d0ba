"""The tests of nights are sharp: whichever relation a renewal leaves as it was, a figure or a check shows it.

A few relations in CI, every one with `JOURNEYFLOW_EXAMPLES` (`make soak`).
"""

from __future__ import annotations

import os
import shutil
from datetime import timedelta

import pytest

from journeyflow import resources
from journeyflow.errors import JourneyflowError
from journeyflow.models import load
from journeyflow.renewing import maturing, renewer
from properties.nights_machine import Nights
from support import afresh
from support.shop_nights import ShopProject

RENEWED = sorted(model.name for model in load(resources.sql_folder()) if model.paperwork.renewed_by)
UNREAD: dict[str, str] = {}
"""Relations that no published table reads, and what reads them."""
MANY = "JOURNEYFLOW_EXAMPLES" in os.environ
SOME = [name for name in RENEWED if MANY or name in ("kernel.sessions", "journeys.identities")]


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    """A project before a night in which much happens, and the figures that it must publish."""
    walk = Nights()
    walk.open_the_shop(5)
    walk.days_pass(3)
    walk.days_pass(3)
    walk.a_late_file_comes(4)
    walk.traits_change(3)
    walk.run()
    for pick in (1, 4, 9):
        walk.two_accounts_become_one(pick)
        walk.an_event_falls_between_two(pick)
        walk.a_device_turns_out_to_be_shared(pick)
    walk.days_pass(3)
    walk.a_late_file_comes(3)
    walk.something_new_happens(3)
    place = tmp_path_factory.mktemp("sharp") / "shop"
    shutil.copytree(walk.project.folder, place, symlinks=True)
    night = walk.project.run()
    assert night.built.startswith("renewed"), night.built
    due, _ = afresh.made_afresh(walk.project.folder, walk.project.read, walk.root / "afresh")
    assert not afresh.compare(afresh.published(walk.project.folder), due).differences
    yield place, due
    walk.teardown()


def is_noticed(shop, folder):
    """Tell whether a night of a copy fails, or publishes other figures than it must."""
    place, due = shop
    shutil.copytree(place, folder / "shop", symlinks=True)
    copy = ShopProject.__new__(ShopProject)
    copy.folder, copy.read = folder / "shop", {}
    try:
        copy.run()
    except JourneyflowError:
        return True
    return bool(afresh.compare(afresh.published(copy.folder), due).differences)


def test_the_night_is_sound(shop, tmp_path):
    assert not is_noticed(shop, tmp_path)


@pytest.mark.parametrize("name", SOME)
def test_a_relation_that_is_not_renewed(shop, tmp_path, monkeypatch, name):
    exchange = renewer.exchange
    monkeypatch.setattr(renewer, "exchange", lambda base, model: model.name == name or exchange(base, model))
    assert is_noticed(shop, tmp_path) != (name in UNREAD), UNREAD.get(name)


def test_outcomes_that_time_alone_decides(shop, tmp_path, monkeypatch):
    monkeypatch.setattr(
        renewer, "mature", lambda base, config, mark: maturing.mature(base, config, mark - timedelta(9))
    )
    assert is_noticed(shop, tmp_path)
