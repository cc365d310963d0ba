"""What events say of the consent of persons, where audiences read it from a property."""

from __future__ import annotations

from typing import TYPE_CHECKING

from journeyflow.compile.conditions import sql, text
from journeyflow.compile.staging_events import json_path
from journeyflow.models.python_models import python_model

if TYPE_CHECKING:
    from journeyflow.config import Config

_NOTHING = """
select cast(null as ubigint) as user_key, cast(null as varchar) as property, cast(null as varchar) as property_value,
    cast(null as timestamp) as occurred_at
where false
"""


@python_model("analyses.audience_properties")
def audience_properties(config: Config) -> str:
    """Return a SELECT of the values of the properties that are read as consents, of events with a user id."""
    found = dict.fromkeys(each.consent_property for each in config.audiences if each.consent_property is not None)
    selects = [
        f"select user_key, {sql(text(name))} as property, "
        f"json_extract_string(properties, {sql(text(json_path(name)))}) as property_value, occurred_at "
        "from sources.events where user_key is not null "
        f"and json_extract_string(properties, {sql(text(json_path(name)))}) is not null"
        for name in found
    ]
    return " union all ".join(selects) or _NOTHING
