"""Input files at URLs: their listing, and their download outside the database."""

from __future__ import annotations

import fnmatch
import glob
import hashlib
import os
import re
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path, PurePosixPath
from typing import Any, TypeVar
from urllib.parse import urlsplit

from journeyflow.config.urls import HTTPS, RemotePath
from journeyflow.errors import InputError
from journeyflow.ingest.files import BLOCK_BYTES, RefusedFileError, RemoteFile, Version, kind_of
from journeyflow.ingest.https import TransientError, web_file
from journeyflow.ingest.parser.transfer import ParserLimits
from journeyflow.utils.formatting import escaped

ATTEMPTS = 3
FIRST_WAIT_SECONDS = 1.0
CONNECT_SECONDS, REQUEST_SECONDS = 10, 60
HEAD_BYTES = 64 << 20
"""Bytes of a text that a trial reads at most, unpacked."""
WHOLE = ("parquet", "zip")
"""Containers that can only be read as a whole."""
SETTLED = timedelta(minutes=1)
"""A store states the time of a change in seconds: of a younger object the time does not prove the version."""
CHANGED = "it changed while it was downloaded; the next run reads it again"
VANISHED = "it was removed after it was listed"
_CODE = re.compile(r"AWS Error ([A-Z_]{3,40})|\b(PERMISSION_DENIED|UNAUTHENTICATED|NOT_FOUND|UNAVAILABLE)\b")
_STATUS = re.compile(r"(?:HTTP status|status code:?|Azure Error: \[\w*\]) ?(\d{3})|^(\d{3}) ", re.IGNORECASE)
_DENIED = ("ACCESS_DENIED", "PERMISSION_DENIED", "UNAUTHENTICATED", "401", "403")
T = TypeVar("T")


def listing(path: RemotePath, owner: str) -> list[RemoteFile]:
    """Return the files at a URL, sorted by name; empty where there is none.

    `owner` is the source, whose name the variable with its credentials has. RefusedFileError when the store cannot be
    listed, or only a part of it.
    """
    if path.scheme == HTTPS:
        return attempted(lambda: web_file(path, owner))
    return attempted(lambda: ObjectStore(path, object_system(path, os.environ)).files())


def attempted(action: Callable[[], T]) -> T:
    """Return the result of an action that is tried again after a failure that may pass."""
    for attempt in range(1, ATTEMPTS + 1):
        try:
            return action()
        except TransientError:
            if attempt == ATTEMPTS:
                raise
            time.sleep(FIRST_WAIT_SECONDS * 4 ** (attempt - 1))
    raise AssertionError


@dataclass(frozen=True)
class Downloaded:
    """A downloaded content; `version` is None where the store may change it without a sign."""

    sha256: str
    byte_count: int
    version: Version | None


def download(file: RemoteFile, target: int, limits: ParserLimits, most_bytes: int | None = None) -> Downloaded:
    """Write a remote file to the descriptor `target`, or its beginning of about `most_bytes`.

    RefusedFileError when it is too large, too slow, gone, or changes meanwhile; OSError when it cannot be written.
    """
    until = time.monotonic() + limits.seconds

    def once() -> Downloaded:
        os.ftruncate(target, 0)
        os.lseek(target, 0, os.SEEK_SET)
        digest, count, start = hashlib.sha256(), 0, b""
        version, blocks = file.download()
        for block in blocks:
            count += len(block)
            if count > limits.file_bytes:
                raise RefusedFileError("too_large", "it is larger than `limits.file` allows")
            if time.monotonic() > until:
                raise RefusedFileError("too_slow", f"downloading it takes longer than {limits.seconds} s (limits.time)")
            digest.update(block)
            rest = memoryview(block)
            while rest:
                rest = rest[os.write(target, rest) :]
            start = start or block[:4]
            if most_bytes is not None and count >= most_bytes and kind_of(start) not in WHOLE:
                break
        return Downloaded(digest.hexdigest(), count, _provable(version, count))

    if (file.version.byte_count or 0) > limits.file_bytes:
        raise RefusedFileError("too_large", "it is larger than `limits.file` allows")
    return attempted(once)


def download_heads(path: RemotePath, owner: str, folder: Path, most_files: int) -> dict[Path, str]:
    """Download the beginnings of the first files at a URL into `folder`; return their names. InputError on failure."""
    try:
        heads: dict[Path, str] = {}
        for index, file in enumerate(listing(path, owner)[:most_files]):
            head = folder / f"{index}-{PurePosixPath(file.name).name[-80:]}"
            heads[head] = file.name
            target = os.open(head, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
            try:
                download(file, target, ParserLimits(), HEAD_BYTES)
            finally:
                os.close(target)
    except RefusedFileError as error:
        raise InputError(f"{escaped(path)}: {error.detail}.") from error
    return heads


def _provable(version: Version, byte_count: int) -> Version | None:
    """Leave out a time that a later change may have too."""
    is_settled = version.modified_at is not None and version.modified_at + SETTLED < _now()
    kept = Version(byte_count, version.etag, version.modified_at if is_settled else None)
    return kept if kept.is_same(kept) else None


def _now() -> datetime:
    return datetime.now(UTC).replace(tzinfo=None)


@dataclass(frozen=True)
class ObjectStore:
    """The objects of a bucket or container that a URL names, through a file system of pyarrow."""

    path: RemotePath
    system: Any

    def files(self) -> list[RemoteFile]:
        """List the objects that match, with their sizes and times: a glob as `matching_paths` matches files."""
        from pyarrow import fs

        whole = f"{self.path.place}/{self.path.key}"
        with store_errors("listed"):
            if not glob.has_magic(whole):
                found = self.system.get_file_info([whole])
            else:
                parts = whole.split("/")
                fixed = next(index for index, part in enumerate(parts) if glob.has_magic(part))
                is_deep = fixed < len(parts) - 1
                folder = "/".join(parts[:fixed])
                found = self.system.get_file_info(fs.FileSelector(folder, allow_not_found=True, recursive=is_deep))
                found = [info for info in found if matches(info.path.split("/"), parts)]
        infos = sorted((info for info in found if info.type == fs.FileType.File), key=lambda info: info.path)
        return [self._file(info) for info in infos]

    def _file(self, info: Any) -> RemoteFile:  # noqa: ANN401 - pyarrow has no types
        version = _version(info)
        return RemoteFile(
            escaped(f"{self.path.scheme}://{info.path}"), version, lambda: self._download(info.path, version)
        )

    def _download(self, key: str, listed: Version) -> tuple[Version, Iterator[bytes]]:
        with store_errors("downloaded"):
            stream = self.system.open_input_stream(key, compression=None)
            version = Version(listed.byte_count, _etag(stream), listed.modified_at)
        return version, self._blocks(key, stream, version)

    def _blocks(self, key: str, stream: Any, version: Version) -> Iterator[bytes]:  # noqa: ANN401
        """Yield the content, which several requests may read: at the end the version must still be the listed one."""
        count = 0
        with store_errors("downloaded"), stream:
            while block := stream.read(BLOCK_BYTES):
                count += len(block)
                yield block
        with store_errors("downloaded"):
            after = _version(self.system.get_file_info([key])[0])
            if version.etag:
                with self.system.open_input_stream(key, compression=None) as again:
                    after = Version(after.byte_count, _etag(again), after.modified_at)
        if count != version.byte_count or after != version:
            raise RefusedFileError("changed", CHANGED)


def _version(info: Any) -> Version:  # noqa: ANN401
    changed = info.mtime.astimezone(UTC).replace(tzinfo=None) if info.mtime else None
    return Version(info.size, None, changed)


def _etag(stream: Any) -> str | None:  # noqa: ANN401
    facts = {str(key).lower(): str(value) for key, value in (stream.metadata() or {}).items()}
    return facts.get("etag")


def matches(names: list[str], pattern: list[str]) -> bool:
    """Return whether a path matches a glob: `**` is any number of folders, a leading point is hidden.

    Examples
    --------
    >>> matches(["b", "2026", "03", "a.csv"], ["b", "**", "*.csv"])
    True
    """
    if not pattern:
        return not names
    if pattern[0] == "**":
        is_hidden = bool(names) and names[0].startswith(".")
        return matches(names, pattern[1:]) or (bool(names) and not is_hidden and matches(names[1:], pattern))
    if not names or (names[0].startswith(".") and not pattern[0].startswith(".")):
        return False
    return fnmatch.fnmatchcase(names[0], pattern[0]) and matches(names[1:], pattern[1:])


@contextmanager
def store_errors(what: str) -> Iterator[None]:
    """Refuse a file in place of an error of a store, whose message may quote keys and addresses."""
    import pyarrow as pa

    try:
        yield
    except FileNotFoundError as error:
        raise RefusedFileError("vanished", VANISHED) from error
    except (OSError, pa.ArrowException) as error:
        text = str(error)
        code = next((each[1] or each[2] for each in (_CODE.search(text), _STATUS.search(text)) if each), None)
        if isinstance(error, PermissionError) or code in _DENIED:
            detail = f"it cannot be {what}: access is denied; see the credentials in the environment of the run"
            raise RefusedFileError("denied", detail) from None
        known = f" ({code})" if code else f" ({type(error).__name__})"
        raise TransientError("unreachable", f"it cannot be {what}{known}; see network, region and endpoint") from None


def object_system(path: RemotePath, environment: Mapping[str, str]) -> Any:  # noqa: ANN401
    """Return pyarrow's file system for a URL; its credentials come from the environment and from nowhere else."""
    from pyarrow import fs

    with store_errors("reached"):
        if path.scheme == "s3":
            return fs.S3FileSystem(**_s3_settings(path, environment))
        if path.scheme == "gs":
            is_open = environment.get("GOOGLE_ANONYMOUS") == "true"
            emulator = _endpoint(environment.get("STORAGE_EMULATOR_HOST"), "scheme", "endpoint_override")
            limit = timedelta(seconds=REQUEST_SECONDS)
            return fs.GcsFileSystem(anonymous=is_open or bool(emulator), retry_time_limit=limit, **emulator)
        account = environment.get("AZURE_STORAGE_ACCOUNT") or environment.get("AZURE_STORAGE_ACCOUNT_NAME")
        if not account:
            raise RefusedFileError("denied", "AZURE_STORAGE_ACCOUNT in the environment does not name the account")
        key = environment.get("AZURE_STORAGE_KEY") or environment.get("AZURE_STORAGE_ACCOUNT_KEY")
        token = None if key else environment.get("AZURE_STORAGE_SAS_TOKEN")
        address = environment.get("AZURE_STORAGE_ENDPOINT")
        services = {
            name: value
            for service in ("blob", "dfs")
            for name, value in _endpoint(address, f"{service}_storage_scheme", f"{service}_storage_authority").items()
        }
        return fs.AzureFileSystem(account, account_key=key, sas_token=token, **services)


def _endpoint(address: str | None, scheme: str, place: str) -> dict[str, str]:
    """Return the arguments for another server than the provider's; ``host:port`` alone is asked without TLS."""
    if not address:
        return {}
    found = urlsplit(address if "//" in address else f"http://{address}")
    return {scheme: found.scheme, place: found.netloc}


def _s3_settings(path: RemotePath, environment: Mapping[str, str]) -> dict[str, Any]:
    from pyarrow import fs

    endpoint = environment.get("AWS_ENDPOINT_URL_S3") or environment.get("AWS_ENDPOINT_URL")
    region = environment.get("AWS_REGION") or environment.get("AWS_DEFAULT_REGION")
    settings: dict[str, Any] = {
        "anonymous": environment.get("AWS_SKIP_SIGNATURE") == "true",
        "connect_timeout": CONNECT_SECONDS,
        "request_timeout": REQUEST_SECONDS,
    }
    if endpoint:
        settings |= {**_endpoint(endpoint, "scheme", "endpoint_override"), "region": region or "us-east-1"}
    else:
        settings["region"] = region or fs.resolve_s3_region(path.place)
    return settings
