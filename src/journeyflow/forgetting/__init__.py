"""Forgetting people: who is meant, what is known of them, and the note that lets a night erase it."""

from __future__ import annotations

from journeyflow.forgetting.files import Found
from journeyflow.forgetting.ids import Id, read_ids
from journeyflow.forgetting.plan import Forgotten, Plan, forget, plan_erasure

__all__ = ["Forgotten", "Found", "Id", "Plan", "forget", "plan_erasure", "read_ids"]
