"""The journey map as one HTML file that needs nothing but itself."""

from __future__ import annotations

from base64 import b64encode
from hashlib import sha256
from pathlib import Path
from typing import Final

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from journeyflow.report.atlas import Atlas
from journeyflow.report.page_data import page_json

TEMPLATES: Final = Path(__file__).parent / "templates"
STYLES: Final = ("page.css", "map.css", "print.css")
SCRIPTS: Final = ("dom.js", "data.js", "words.js", "tip.js", "map.js", "curve.js", "flow.js", "tables.js", "page.js")


def render(atlas: Atlas) -> str:
    """Return the page of an atlas.

    Parameters
    ----------
    atlas : Atlas
        Of one generation.

    Returns
    -------
    str
        An HTML document with its styles, its script and its data inside. Its content-security policy allows these by
        their hash, and nothing from anywhere else.

    References
    ----------
    Content Security Policy Level 3, W3C: ``hash-source``.
    """
    environment = Environment(loader=FileSystemLoader(TEMPLATES), autoescape=True, undefined=StrictUndefined)
    style, script = _joined(STYLES), '"use strict";\n' + _joined(SCRIPTS)
    return environment.get_template("page.html.j2").render(
        atlas=atlas,
        policy=content_policy(style, script),
        # These three are the page's own files and JSON made safe for its place; everything else is escaped.
        style=Markup(style),
        script=Markup(script),
        data=Markup(page_json(atlas)),
    )


def content_policy(style: str, script: str) -> str:
    """Return the content-security policy that allows one style sheet and one script.

    Examples
    --------
    >>> content_policy("", "")[:75]
    "default-src 'none'; script-src 'sha256-47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG"
    """
    rules = {
        "default-src": "'none'",
        "script-src": _hash_source(script),
        "style-src": _hash_source(style),
        "img-src": "data:",
        "base-uri": "'none'",
        "form-action": "'none'",
    }
    return "; ".join(f"{name} {value}" for name, value in rules.items())


def _joined(names: tuple[str, ...]) -> str:
    return "".join((TEMPLATES / name).read_text(encoding="utf-8") for name in names)


def _hash_source(text: str) -> str:
    return f"'sha256-{b64encode(sha256(text.encode()).digest()).decode()}'"
