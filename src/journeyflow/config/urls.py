"""Paths of input files: in the file system, or at a URL of an object store or a web server."""

from __future__ import annotations

import glob
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated
from urllib.parse import parse_qsl, urlsplit

from pydantic import PlainSerializer, PlainValidator, SerializationInfo, ValidationInfo, WithJsonSchema
from pydantic_core import PydanticCustomError

OBJECT_STORES = ("s3", "gs", "az")
HTTPS = "https"
POSTGRES = "postgres"
"""`postgres://schema/table`: rows by a watermark, see `Source.watermark`."""
SCHEMES = (*OBJECT_STORES, HTTPS, POSTGRES)
SECRET_IN_URL = "secret_in_url"
SERVER_ADDRESS = "server_address"
"""Codes of the errors whose messages do not show the value."""
_URL = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://(.*)", re.DOTALL)
_PLACE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_SECRET = re.compile(
    r"(^|[-_.])(sig|auth|key|pwd|passwd|pass|pw|jwt)($|[-_.])|token|secret|signature|password|credential|apikey", re.I
)
_PLAIN_PORT = re.compile(r"[^@:\[\]]*(:[0-9]{1,5})?|\[[0-9A-Fa-f:.]+\](:[0-9]{1,5})?")


@dataclass(frozen=True)
class RemotePath:
    """A URL of input files; as text without its query, which may be long and is nobody's business.

    `place` is the bucket, the container, the server or the schema; `key` is what follows it. The key of an object store
    may be a glob.
    """

    scheme: str
    place: str
    key: str

    @property
    def url(self) -> str:
        """The whole URL."""
        return f"{self.scheme}://{self.place}/{self.key}"

    def __str__(self) -> str:
        shown = self.key.partition("?")[0] if self.scheme == HTTPS else self.key
        return f"{self.scheme}://{self.place}/{shown}"


def is_url(text: str) -> bool:
    """Return whether a text is a URL and no path of the file system."""
    return _URL.fullmatch(text) is not None


def remote_path(text: str) -> RemotePath:
    """Return the parts of a URL; PydanticCustomError for one that is not supported or holds a secret."""
    found = _URL.fullmatch(text)
    scheme, rest = (found[1].lower(), found[2]) if found else ("", text)
    # A key of an object store may hold the sign; elsewhere it ends a password, which may hold a slash.
    if "@" in (rest.partition("/")[0] if scheme in OBJECT_STORES else rest.partition("?")[0]) or _has_secret(text):
        allowed = "a URL without password, key or token: they are read from the environment"
        raise PydanticCustomError(SECRET_IN_URL, "holds a secret", {"allowed": allowed})
    if scheme not in SCHEMES:
        allowed = ", ".join(f"{each}://" for each in SCHEMES)
        raise PydanticCustomError("url_scheme", "is a URL of another kind", {"allowed": f"a path, {allowed}"})
    place, _, key = rest.partition("/")
    if scheme == HTTPS:
        is_place = _PLAIN_PORT.fullmatch(place) is not None and bool(urlsplit(text).hostname)
        is_key = not glob.has_magic(key.partition("?")[0]) and "#" not in key
        allowed = "https://<server>/<path> of one file, without a glob"
    elif scheme == POSTGRES:
        is_place, is_key = bool(place), bool(key) and "/" not in key
        allowed = "postgres://<schema>/<table>; the environment names server, database and user (PGHOST, PGDATABASE, …)"
    else:
        is_place, is_key = _PLACE.fullmatch(place) is not None, bool(key) and not key.endswith("/")
        allowed = f"{scheme}://<{'container' if scheme == 'az' else 'bucket'}>/<key or glob>"
    if not is_place or not is_key or _CONTROL.search(rest):
        raise PydanticCustomError("url", "is no URL of files", {"allowed": allowed})
    return RemotePath(scheme, place, key)


def _has_secret(url: str) -> bool:
    return any(_SECRET.search(name) for name, _ in parse_qsl(urlsplit(url).query, keep_blank_values=True))


def _input_path(raw: object, info: ValidationInfo) -> Path | RemotePath:
    if isinstance(raw, RemotePath):
        return raw
    if not isinstance(raw, str | Path):
        raise PydanticCustomError("path_type", "is not a path", {"allowed": "a path, a glob or a URL"})
    if isinstance(raw, str) and is_url(raw):
        return remote_path(raw)
    folder = (info.context or {}).get("folder")
    return Path(os.path.normpath(folder / raw)) if folder else Path(raw)


def _written(path: Path | RemotePath, info: SerializationInfo) -> str:
    if isinstance(path, RemotePath):
        return path.url
    folder = (info.context or {}).get("folder")
    return Path(os.path.relpath(path, folder)).as_posix() if folder else str(path)


InputPath = Annotated[
    Path | RemotePath,
    PlainValidator(_input_path),
    PlainSerializer(_written),
    WithJsonSchema({"type": "string", "format": "path"}),
]
"""A path or glob, written relative to the folder of the configuration and absolute as a value; or a URL."""
