"""The keyed hash that stands for addresses: its keys are derived from the project's and live in session variables."""

from __future__ import annotations

import hashlib
import hmac

from journeyflow.engines import DuckDBEngine


def derived_key(secret: str, purpose: str) -> str:
    """Return a key for one purpose, 64 hexadecimal digits, from which the secret cannot be found.

    Examples
    --------
    >>> derived_key("secret", "outer") == derived_key("secret", "inner")
    False
    """
    return hmac.new(secret.encode(), purpose.encode(), hashlib.sha256).hexdigest()


def set_hash_keys(warehouse: DuckDBEngine, secret: str) -> None:
    """Give the connection the two keys that `mapping.keyed_hash` and the adapters use."""
    for name in ("inner_key", "outer_key"):
        warehouse.execute(f"set variable {name} = '{derived_key(secret, name)}'")
