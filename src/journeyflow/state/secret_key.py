"""The secret key of a project, and keyed hashes derived from it."""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
import stat
from typing import TYPE_CHECKING

from journeyflow.engines import DuckDBEngine
from journeyflow.errors import InputError

if TYPE_CHECKING:
    from journeyflow.config import Config


def person_secret(config: Config) -> str:
    """Return the key in `privacy.key_file`, created by the first run for its owner only."""
    path = config.privacy.key_file
    try:
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
                file.write(secrets.token_hex(32) + "\n")
        if path.stat().st_mode & stat.S_IWOTH:
            raise InputError(f"Everybody may write to the key file {path}, and so change who is who: chmod o-w {path}")
        key = path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"The key file {path} of privacy.key_file cannot be read or made.") from error
    if not key:
        raise InputError(
            f"The key file {path} of privacy.key_file is empty; put a long random text in it, or remove it."
        )
    return key


def derived_key(secret: str, purpose: str) -> str:
    """Return a key for one purpose, 64 hexadecimal digits, that does not reveal the secret.

    Examples
    --------
    >>> derived_key("secret", "outer") == derived_key("secret", "inner")
    False
    """
    return hmac.new(secret.encode(), purpose.encode(), hashlib.sha256).hexdigest()


def set_hash_keys(warehouse: DuckDBEngine, secret: str) -> None:
    """Set the two session variables that `mapping.keyed_hash` and the adapters use."""
    for name in ("inner_key", "outer_key"):
        warehouse.execute(f"set variable {name} = '{derived_key(secret, name)}'")
