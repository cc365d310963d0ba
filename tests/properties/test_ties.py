"""Events of several sources that claim the same id at the same instant come in one order, whatever arrived first."""

import pytest

from external.projects import run_project, scratch

SOURCE = """
  {name}:
    format: csv
    path: input/{name}*.csv
    channel: {name}
    columns: {{event_id: id, occurred_at: at, anonymous_id: cookie, event_name: event}}
    properties: [cart]
"""
CONFIG = """
project: twins
models: {four_stage: builtin}
sources: @sources@
funnels:
  then:
    steps: [{name: seen, when: {event: product_view}}, {name: cart, when: {event: add_to_cart}}]
    window: 1d
  by_cart:
    steps: [{name: seen, when: {event: product_view}}, {name: cart, when: {event: add_to_cart}}]
    unit: {property: cart}
    window: 1d
"""
EVENTS = {"web": "search", "app": "compare", "kiosk": "review_read"}


def published(root, arrivals):
    """Publish after a run for the first and one for the rest; all look at a product, then leave in twin events."""
    folder = scratch(root)
    (folder / "input").mkdir()
    sources = "".join(SOURCE.format(name=name) for name in EVENTS)
    path = folder / "journeyflow.yml"
    path.write_text(CONFIG.replace("@sources@", sources), encoding="utf-8")
    for source in arrivals:
        (folder / "input" / f"{source}0.csv").write_text("id,at,cookie,event,cart\n", encoding="utf-8")
    for number, source in enumerate(arrivals):
        rows = [f"{n},2026-03-01 10:00:00,c{n},{EVENTS[source]},k{n}" for n in range(40)]
        if source == "web":
            rows += ["z,2026-03-20 09:00:00,z,page_view,"]  # by then no outcome is pending
            rows += [f"v{n},2026-03-01 09:00:00,c{n},product_view,k{n}" for n in range(40)]
        text = "\n".join(["id,at,cookie,event,cart", *rows, ""])
        (folder / "input" / f"{source}1.csv").write_text(text, encoding="utf-8")
        if number != 1:
            project = run_project(path)
    return project


@pytest.mark.parametrize("arrivals", [["web", "app", "kiosk"], ["kiosk", "app", "web"]])
def test_twins_of_several_sources_come_in_the_order_of_the_configuration(tmp_path, arrivals):
    followed = published(tmp_path, arrivals).table("drop_off_next").filter(persona="all", period="all")
    assert followed.select("funnel", "next_action", "drop_off_count").sort("funnel").rows() == [
        ("by_cart", "web: search", 40),
        ("then", "web: search", 40),
    ]
