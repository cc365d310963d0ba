"""The configuration of the small shop: a funnel of every kind, and switches that change one rule each."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

ZONE = "Europe/Berlin"
SWITCHES: dict[str, tuple[Any, Any]] = {
    "window": ("3d", "5d"),
    "loyal": (2, 1),
    "rename": ({}, {"wish": "add_to_cart"}),
    "where": ({}, {"event": {"not": "hover"}}),
    "session": ("30m", "10m"),
    "journey": ("30d", "10d"),
    "label": ("/p/lamp", "/p/desk"),
    "after": ("14d", "3d"),
    "promise": ("3d", "2d"),
    "zone": (ZONE, "UTC"),
    "internal": ("nobody", "u3"),
    "count": ("best", "attempts"),
    "plan": ("gold", "basic"),
    "ties": ("same_instant", "strictly_later"),
}
"""What may be changed about the rules, and its two settings."""
SOURCE_SWITCHES = ("rename", "where")
"""Those that let all files of a source be read again."""

_TIMES = {"event_id": "id", "occurred_at": "at", "received_at": "received"}
_WEB = {
    "anonymous_id": "cookie",
    "user_id": "customer",
    "event_name": "event",
    "page_path": "page",
    "utm_medium": "medium",
    "target": "target",
    "user_agent": "agent",
    "revenue_amount": "amount",
    "currency": {"constant": "EUR"},
}
_APP = {
    "event_id": "id",
    "occurred_at": {"column": "ts", "unit": "ms"},
    "received_at": {"column": "got", "unit": "ms"},
    "anonymous_id": "device.id",
    "user_id": "user.id",
    "session_id": "visit",
    "event_name": "name",
    "page_path": "screen",
    "utm_medium": "utm.medium",
    "revenue_amount": "price",
    "currency": {"constant": "EUR"},
}
_CART = {"name": "cart", "when": {"event": "add_to_cart"}}
_CHECKOUT = {"name": "checkout", "when": {"event": "checkout_started"}}
_PAID = {"name": "paid", "when": {"event": "purchase"}}
_PRODUCT = {"name": "product", "when": {"event": "product_view"}}
_FAILED = {"event": "payment_error"}


def rules_text(settings: Mapping[str, int] | None = None, retention: Mapping[str, Any] | None = None) -> str:
    """Return `journeyflow.yml` with the switches set as told, each 0 (where it is not named) or 1."""
    chosen = {name: values[(settings or {}).get(name, 0)] for name, values in SWITCHES.items()}
    rules = {
        "project": "shop",
        "timezone": chosen["zone"],
        "sources": _sources(chosen),
        "people": [
            {"path": "crm/plans.csv", "user_id": "customer", "traits": ["plan"], "valid_from": "changed_at"},
            {"path": "crm/segments.csv", "user_id": "customer", "traits": ["segment"]},
        ],
        "sessions": {"timeout": chosen["session"]},
        "journeys": {"timeout": chosen["journey"], "window": "20d"},
        "touchpoints": [
            {"label": "Campaign", "when": {"utm_medium": ["cpc", "social"]}},
            {"label": "Star product", "when": {"event": "product_view", "page_path": {"glob": chosen["label"]}}},
        ],
        "exclude_traffic": {"internal": {"any": [{"user_id": chosen["internal"]}]}},
        "models": _models(chosen),
        "personas": [
            {"name": "loyal", "as_of": "now", "when": {"count.purchase": {"at_least": chosen["loyal"]}}},
            {"name": "subscriber", "when": {"trait.plan": chosen["plan"]}},
            {"name": "business", "when": {"trait.segment": "business"}},
            {"name": "asleep", "as_of": "now", "when": {"days_since_last": {"above": 25}}},
            {"name": "campaign", "when": {"first.utm_medium": ["cpc", "social"]}},
        ],
        "funnels": _funnels(chosen),
        "goals": {"order": {"when": {"event": "purchase"}, "value": "revenue_amount"}},
        "currency": {"report": "EUR"},
        "min_count": 2,
        "promises": [
            _promise("Delivered", "purchase", "delivered", chosen["promise"], match="order_id"),
            _promise("Answered", "payment_error", "purchase", "1d"),
            {"name": "Calls satisfy", "stage": "post_purchase", "measure": "csat", "target": {"at_least": 4}},
        ],
        "surveys": _surveys(),
        "friction": [{"name": "Payment failed", "when": _FAILED}],
        "retention": retention or {},
    }
    return json.dumps(rules, indent=1)


def _sources(chosen: Mapping[str, Any]) -> dict[str, Any]:
    desk = {"user_id": "customer", "event_name": "event"}
    return {
        "web": {
            "format": "csv",
            "path": "in/web-*.csv*",
            "channel": "web",
            "columns": _TIMES | _WEB,
            "properties": ["plan", "order_id", "previous_id"],
            "where": chosen["where"],
            "rename": chosen["rename"],
        },
        "app": {
            "format": "jsonl",
            "path": "in/app-*.jsonl*",
            "channel": "app",
            "records": "events",
            "columns": _APP,
            "properties": ["plan", "order_id"],
        },
        "calls": {
            "format": "csv",
            "path": "in/calls-*.csv",
            "delimiter": ";",
            "encoding": "latin-1",
            "timezone": ZONE,
            "channel": "call_centre",
            # Neither an id nor a time of arrival: what a record is, its content says.
            "columns": desk | {"occurred_at": {"column": "beginn", "format": "%d.%m.%Y %H:%M:%S"}},
            "properties": ["topic"],
        },
        "deliveries": {
            "format": "jsonl",
            "path": "in/deliveries-*.jsonl",
            "channel": "delivery",
            "columns": _TIMES | desk,
            "properties": ["order_id"],
        },
        "surveys": {
            "format": "csv",
            "path": "in/surveys-*.csv",
            "channel": "survey",
            "columns": _TIMES | desk,
            "properties": ["score", "comment"],
        },
        "store": {
            "format": "parquet",
            "path": "in/store-*.parquet",
            "channel": "store",
            "timezone": ZONE,
            "columns": desk | {"event_id": "id", "occurred_at": "at", "revenue_amount": "amount"},
        },
    }


def _models(chosen: Mapping[str, Any]) -> dict[str, Any]:
    after = {"event": "purchase", "within": chosen["after"]}
    loyal = [
        {"id": "second_order", "when": {"event": "purchase"}, "nth": {"at_least": 2}},
        {"id": "came_back", "when": {"event": "review"}, "after": after},
    ]
    service = [{"id": "soon_after", "when": {"event": ["support_call", "csat_answer"]}, "after": after}]
    stages = [{"name": "awareness"}, {"name": "consideration"}, {"name": "decision"}]
    own = {"extends": "four_stage", "stages": [*stages, {"name": "post_purchase", "rules": service}]}
    own["stages"].append({"name": "loyal", "rules": loyal})  # type: ignore[attr-defined]
    return {"four_stage": "builtin", "value_journey": "builtin", "shop": own}


def _funnels(chosen: Mapping[str, Any]) -> dict[str, Any]:
    window = {"window": chosen["window"]}
    research = [{"name": name, "when": {"event": name}} for name in ("compare", "review_read", "search")]
    delivered = {"name": "delivered", "when": {"event": "delivered"}}
    return {
        "checkout": window
        | {"goal": "order", "ties": chosen["ties"], "steps": [_PRODUCT, _CART | {"within": "1d"}, _CHECKOUT, _PAID]},
        "strict": window | {"order": "strict", "steps": [_PRODUCT, _CART]},
        "researched": window | {"order": "any_order", "steps": research},
        "at_once": {"unit": "session", "window": "2h", "steps": [{"name": "any", "when": {}}, _PAID]},
        "parcels": {"unit": {"property": "order_id"}, "window": "4d", "steps": [_PAID, delivered]},
        "smooth": window
        | {"count": chosen["count"], "steps": [_CHECKOUT, _PAID]}
        | {"exclusions": [{"between": ["checkout", "paid"], "when": _FAILED, "then": "drop"}]},
        "tries": {"count": "attempts", "window": "2d", "steps": [_PRODUCT, _CART]},
        "settled": {"model": "shop", "window": "20d", "grace": "1h", "goal": "order"}
        | {"steps": [{"name": "decided", "when": {"stage": "decision"}}, _PAID, delivered]}
        | {"exclusions": [{"between": ["paid", "delivered"], "when": {"event": "refund"}, "then": "person"}]},
    }


def _promise(name: str, made: str, kept: str, within: str, **more: Any) -> dict[str, Any]:
    timed = {"from": {"event": made}, "to": {"event": kept}, "within": within}
    return {"name": name, "stage": "post_purchase"} | timed | more


def _surveys() -> dict[str, Any]:
    told = {"score": "properties.score", "text": "properties.comment"}
    return {
        "csat": {"event": "csat_answer", "scale": [1, 5]} | told,
        "nps": {"event": "nps_answer", "scale": [0, 10], "kind": "nps"} | told,
        "reviews": {"event": "review", "scale": [1, 5]} | told,
    }
