"""A night in proportion to what is new: of what the last one built, only the rows of people touched are made anew."""

from __future__ import annotations

from journeyflow.renewing.choosing import choose, settle
from journeyflow.renewing.renewer import Renewer

__all__ = ["Renewer", "choose", "settle"]
