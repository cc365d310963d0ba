"""Words of event names."""

from __future__ import annotations

import pytest

from journeyflow.config.models_and_funnels import vocabulary
from journeyflow.setup.columns import known_exports
from journeyflow.setup.stages import Words, choose_template, phrases, posterior, stems, templates


@pytest.mark.parametrize(
    "names",
    [("Product Viewed", "product_view", "productViews"), ("SignUp", "sign_up"), ("Order Shipped", "order_ship")],
)
def test_case_number_and_tense_make_no_difference(names):
    assert len({stems(name) for name in names}) == 1


@pytest.mark.parametrize(
    ("names", "template"),
    [
        (("view", "cart", "purchase"), "shop"),
        (("clicks", "carts", "orders"), "shop"),
        (("signup", "workspace_created", "teammate_invited"), "saas"),
        (("page_view", "article_view", "scroll"), "content"),
        (("page_view",), "content"),
        (("first_open", "level_up", "in_app_purchase"), "app"),
        (("doctor_viewed", "appointment_booked", "no_show"), "appointments"),
        (("impression", "click", "lead", "qualified", "converted"), "leads"),
        (("xyzzy",), "shop"),
    ],
)
def test_the_kind_of_business_is_known_by_its_names(names, template):
    assert choose_template(names).name == template


def test_a_short_name_means_what_the_business_makes_of_it():
    assert templates()["shop"].meaning("view") == "product_view"
    assert templates()["shop"].meaning("addToCart") == "add_to_cart"
    assert templates()["leads"].meaning("click") == "ad_click"
    assert templates()["shop"].meaning("xyzzy") is None


def test_a_ticket_is_a_contact_and_no_complaint():
    assert templates()["shop"].meaning("Support Ticket") == "support_ticket"
    assert templates()["shop"].meaning("complaint filed") == "complaint"


# The stages that Salesforce and HubSpot give to a new account.
STANDARD = {
    "lead": ("Prospecting",),
    "qualified": ("Qualification", "Needs Analysis", "Value Proposition", "Id. Decision Makers"),
    "proposal": ("Perception Analysis", "Proposal/Price Quote", "Negotiation/Review"),
}


def test_the_standard_stages_of_a_sale_have_a_stage():
    template = templates()["leads"]
    sources = [source for export in known_exports() for source in export.sources.values()]
    renamed = {old: new for source in sources for old, new in source.get("rename", {}).items()}
    for stage, names in STANDARD.items():
        for name in names:
            known = renamed.get(name, name)
            assert template.stage_of(template.meaning(known)) == stage, name
    deals = ("appointmentscheduled", "qualifiedtobuy", "presentationscheduled", "decisionmakerboughtin", "contractsent")
    stages = [template.stage_of(template.meaning(renamed[name])) for name in deals]
    assert stages == ["lead", "qualified", "qualified", "proposal", "proposal"]


def test_templates_name_known_words_only_and_each_once():
    for template in templates().values():
        names = [name for found in template.stages.values() for name in found]
        assert len(names) == len(set(names))
        assert not {*names, *template.signs, *template.goal, *template.readings} - set(phrases())
    assert {word.event for word in vocabulary()} <= set(phrases())


def test_words_of_a_stage_make_it_likely_and_unknown_words_say_nothing():
    words = Words(templates()["shop"].stages)
    assert next(iter(posterior(words.scores("cart_emptied")))) == "decision"
    assert not words.knows("xyzzy")
    assert set(words.scores("xyzzy").values()) == {0.0}


def test_a_hidden_name_gives_no_words():
    stages = {"a": ["purchase"], "b": ["page_view"]}
    assert Words(stages).knows("transaction")
    assert not Words(stages, frozenset(("purchase",))).knows("transaction")
