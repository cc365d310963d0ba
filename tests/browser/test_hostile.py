"""Untrusted texts stay texts."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

from playwright.sync_api import Page

from journeyflow.report.formatting import display_text, label_text
from support.map_tables import BIDI, CONTROLS, FORMULA, LINK, LONG, MARKUP, SCRIPT, TEMPLATE, UNBROKEN
from support.page_reader import show_all

Opener = Callable[..., Page]
KNOWN_GLOBALS = "window.before = new Set(Object.getOwnPropertyNames(window));"
# What the page may be made of: anything else was smuggled in.
ALLOWED = {
    *("html", "head", "meta", "title", "link", "style", "script", "noscript", "body", "header", "main", "nav"),
    *("section", "article", "div"),
    *("p", "h1", "h2", "h3", "span", "bdi", "i", "b", "wbr", "a", "ul", "ol", "li", "dl", "dt", "dd"),
    *("details", "summary", "form", "label", "select", "option", "button", "textarea"),
    *("table", "caption", "colgroup", "col", "thead", "tbody", "tr", "th", "td"),
    *("svg", "g", "line", "path", "rect", "text", "polygon", "circle", "code"),
}
WATCHED = """window.refused = [];
document.addEventListener('securitypolicyviolation', (event) => window.refused.push(event.violatedDirective));"""
SMUGGLED = '<img src="data:," onerror="window.pwned = 1"><b style="color: red">x</b>'


def test_hostile_texts_appear_as_text_and_as_nothing_else(opened: Opener) -> None:
    page = opened("#model=shop", script=KNOWN_GLOBALS)
    expected = (
        ("shop", MARKUP, (MARKUP, FORMULA, SCRIPT, BIDI, CONTROLS)),
        ("shop", "unassigned", (LINK, TEMPLATE, LONG, UNBROKEN)),
        (FORMULA, "all", (FORMULA, SCRIPT)),
    )
    for model, persona, hostiles in expected:
        page.select_option("#choose-model", label=label_text(model))
        page.select_option("#choose-persona", label="Everybody" if persona == "all" else label_text(persona))
        show_all(page)
        text = page.evaluate("document.querySelector('main').textContent")
        for hostile in hostiles:
            assert display_text(hostile, 60).rstrip("…") in text
        names = set(page.evaluate("[...document.querySelectorAll('*')].map((node) => node.localName)"))
        assert names <= ALLOWED
    assert page.evaluate("document.scripts.length") == 2
    grown = page.evaluate(
        "Object.getOwnPropertyNames(window).filter((name) => !window.before.has(name) && name !== 'before')"
    )
    assert [name for name in grown if re.search("pwned|evil", name)] == []


def test_hidden_signs_are_shown_as_codes(opened: Opener) -> None:
    page = opened("#model=shop")
    text = page.evaluate("document.documentElement.outerHTML")
    assert not set("\u202e\u2066\x07\x1b\x00") & set(text)
    assert "invoice\\u202egnp.exe\\u2066" in page.evaluate("document.body.textContent")


def test_links_lead_nowhere_but_into_the_page(opened: Opener) -> None:
    page = opened("#model=shop", is_whole=False)
    targets = page.evaluate(
        "[...document.querySelectorAll('[href], [src], [action]')].map((node) => node.getAttribute('href'))"
    )
    assert [target for target in targets if not target.startswith("#")] == ["data:,"]
    assert page.locator("[style]").evaluate_all(
        "(nodes) => nodes.every((node) => /^(--|-webkit-line-clamp|left|top)/.test(node.getAttribute('style')))"
    )


def test_nothing_but_the_page_s_own_script_may_run(opened: Opener, page_file: Path) -> None:
    page = opened("#model=shop", script=WATCHED, is_faulty=True)
    page.evaluate("(markup) => document.body.insertAdjacentHTML('beforeend', markup)", SMUGGLED)
    page.wait_for_function("window.refused.length >= 2")
    assert page.evaluate("window.pwned") is None
    policy = page.locator("meta[http-equiv]").get_attribute("content")
    assert policy is not None
    assert policy.startswith("default-src 'none'; script-src 'sha256-")
    for rule in ("base-uri 'none'", "form-action 'none'", "img-src data:"):
        assert rule in policy
    assert "unsafe" not in policy
    assert page.evaluate("fetch('data:,x').then(() => 'sent', () => 'refused')") == "refused"


def test_the_data_cannot_end_its_element(page_file: Path) -> None:
    html = page_file.read_text(encoding="utf-8")
    [data] = re.findall(r'<script type="application/json" id="data">(.*?)</script>', html, re.DOTALL)
    assert not re.search("[<>&\u2028\u2029]", data)
    assert SCRIPT in "".join(json.loads(data)["texts"])
    assert len(html.encode()) < 2_000_000
