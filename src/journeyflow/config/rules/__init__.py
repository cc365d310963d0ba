"""Rules across sections: one small function, one code, one row of the tests each."""

from __future__ import annotations

from journeyflow.config.root import Config
from journeyflow.config.rules import funnels, models, people, sources
from journeyflow.config.rules.finding import Finding, Rule

RULES: tuple[Rule, ...] = (*sources.RULES, *models.RULES, *funnels.RULES, *people.RULES)


def findings(config: Config) -> list[Finding]:
    """Return what every rule finds in `config`."""
    return [finding for rule in RULES for finding in rule(config)]


__all__ = ["Finding", "findings"]
