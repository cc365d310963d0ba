"""Input files at URLs: their listing, and their download outside the database; web servers at public addresses only."""

from __future__ import annotations

import fnmatch
import glob
import hashlib
import http.client
import ipaddress
import os
import re
import socket
import ssl
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import SplitResult, urljoin, urlsplit

from journeyflow.config.sources import HTTPS, RemotePath, remote_path
from journeyflow.errors import InputError
from journeyflow.ingest.files import BLOCK_BYTES, RefusedFileError, RemoteFile, Version, kind_of
from journeyflow.ingest.parser.transfer import ParserLimits
from journeyflow.state.folder import derived_key, person_secret
from journeyflow.utils.formatting import escaped

TIMEOUT_SECONDS = 60
MOST_REDIRECTS = 5
PRIVATE_HOSTS = "JOURNEYFLOW_PRIVATE_HOSTS"
"""Environment variable: hosts, joined by commas, that may have an address inside a private network."""
_NAT64 = ipaddress.ip_network("64:ff9b::/96")
_TRANSIENT = (408, 425, 429, 500, 502, 503, 504)
_GONE = (404, 410)
_REDIRECTS = (301, 302, 303, 307, 308)


class TransientError(RefusedFileError):
    """A refusal that may pass: the same request may succeed soon."""


def web_file(path: RemotePath, owner: str) -> list[RemoteFile]:
    """Return the file at a URL with what its server says of it; none where there is none."""
    site = WebSite(path.url, authorization(owner, os.environ))
    version = Version()
    with site.response("HEAD") as answer:
        if answer.status in _GONE:
            return []
        if answer.status == http.client.OK:  # A server that answers a download only says what it is then.
            version = _https_version(answer)
    return [RemoteFile(escaped(path), version, site.download)]


def authorization(owner: str, environment: Mapping[str, str]) -> str | None:
    """Return the header `Authorization` for a source, from the variable of its name."""
    return environment.get(f"JOURNEYFLOW_AUTHORIZATION_{re.sub('[^A-Z0-9]', '_', owner.upper())}")


@dataclass(frozen=True)
class WebSite:
    """A URL of a web server and the header that authorizes its requests; redirects elsewhere are without it."""

    url: str
    authorization: str | None = None

    def download(self) -> tuple[Version, Iterator[bytes]]:
        """Return version and content of the file."""
        blocks = self._blocks()
        version = next(blocks)
        assert isinstance(version, Version)
        return version, blocks  # type: ignore[return-value]

    def _blocks(self) -> Iterator[Version | bytes]:
        """Yield the version, then the content."""
        with self.response("GET") as answer:
            _require_file(answer)
            expected, count = answer.length, 0
            yield _https_version(answer)
            while block := answer.read1(BLOCK_BYTES):
                count += len(block)
                yield block
            if expected is not None and count != expected:
                raise TransientError("unreachable", "its server ended the download early")

    @contextmanager
    def response(self, method: str) -> Iterator[http.client.HTTPResponse]:
        """Ask the server, and whomever it redirects to: each by an encrypted connection to an address that is public.

        The connection is made to the address that was checked, so that a name cannot change it in between.
        """
        url, origin = urlsplit(self.url), urlsplit(self.url)
        with _network_errors():
            for _ in range(MOST_REDIRECTS + 1):
                connection = _connection(url)
                try:
                    is_same = (url.hostname, url.port) == (origin.hostname, origin.port)
                    connection.request(method, _target(url), headers=self._headers(with_secret=is_same))
                    answer = connection.getresponse()
                    if answer.status not in _REDIRECTS:
                        yield answer
                        return
                    url = urlsplit(urljoin(url.geturl(), answer.headers.get("Location", "")))
                finally:
                    connection.close()
        raise RefusedFileError("unreachable", f"its server redirects more than {MOST_REDIRECTS} times")

    def _headers(self, *, with_secret: bool) -> dict[str, str]:
        headers = {"Accept-Encoding": "identity", "User-Agent": "journeyflow"}
        return headers | ({"Authorization": self.authorization} if with_secret and self.authorization else {})


def _target(url: SplitResult) -> str:
    target = f"{url.path or '/'}{'?' if url.query else ''}{url.query}"
    return "".join(each if "!" <= each <= "~" else "".join(f"%{byte:02X}" for byte in each.encode()) for each in target)


def _https_version(answer: http.client.HTTPResponse) -> Version:
    if answer.length is None and not answer.chunked:
        # Its end is that of the connection, which may have been cut off: such a file is read again.
        return Version(None, None, None)
    length, changed = answer.headers.get("Content-Length", ""), None
    try:
        changed = parsedate_to_datetime(answer.headers["Last-Modified"]).astimezone(UTC).replace(tzinfo=None)
    except (TypeError, ValueError, OverflowError):
        changed = None
    return Version(int(length) if re.fullmatch("[0-9]{1,18}", length) else None, answer.headers.get("ETag"), changed)


def _require_file(answer: http.client.HTTPResponse) -> None:
    if answer.status == http.client.OK:
        if answer.headers.get_content_type() == "text/html":
            raise RefusedFileError("no_file", "its server sends a web page and no file; it may want a log-in")
        return
    if answer.status in _GONE:
        raise RefusedFileError("vanished", "it was removed after it was listed")
    kind = TransientError if answer.status in _TRANSIENT else RefusedFileError
    hint = "; see JOURNEYFLOW_AUTHORIZATION_<SOURCE> in the environment" if answer.status in (401, 403) else ""
    raise kind("unreachable", f"its server answers {answer.status}{hint}")


@contextmanager
def _network_errors() -> Iterator[None]:
    """Refuse the file in place of an error of the network, whose message may quote the URL."""
    try:
        yield
    except ssl.SSLCertVerificationError:
        raise RefusedFileError("unreachable", "the certificate of its server cannot be verified") from None
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise TransientError("unreachable", f"its server cannot be reached ({type(error).__name__})") from None


class _Connection(http.client.HTTPSConnection):
    """A connection to an address that was checked; the certificate must be that of the name."""

    def __init__(self, name: str, address: str, port: int) -> None:
        super().__init__(name, port, timeout=TIMEOUT_SECONDS)
        self._address = address
        self._trusted = ssl.create_default_context()

    def connect(self) -> None:
        """Connect to the address."""
        plain = socket.create_connection((self._address, self.port), TIMEOUT_SECONDS)
        try:
            self.sock = self._trusted.wrap_socket(plain, server_hostname=self.host)
        except BaseException:
            plain.close()
            raise


def _connection(url: SplitResult) -> http.client.HTTPSConnection:
    if url.scheme != HTTPS or not url.hostname:
        raise RefusedFileError("unreachable", "its server redirects to an address that is not https://")
    port = url.port or http.client.HTTPS_PORT
    return _Connection(url.hostname, _checked_address(url.hostname, port), port)


def _checked_address(name: str, port: int) -> str:
    """Return the first address of a server; RefusedFileError when one of them is inside a private network."""
    found = [str(each[4][0]) for each in socket.getaddrinfo(name, port, type=socket.SOCK_STREAM)]
    allowed = {host.strip().lower() for host in os.environ.get(PRIVATE_HOSTS, "").split(",")}
    if name.lower() not in allowed and not all(is_public(address) for address in found):
        raise RefusedFileError(
            "private_address",
            f"its server has an address inside a private network; the environment may allow it by {PRIVATE_HOSTS}",
        )
    return found[0]


def is_public(address: str) -> bool:
    """Return whether an address is one of the public internet, also where it wraps an older one.

    Examples
    --------
    >>> is_public("93.184.215.14"), is_public("169.254.169.254"), is_public("::ffff:10.0.0.1")
    (True, False, False)
    """
    found = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(found, ipaddress.IPv6Address):
        inner = found.ipv4_mapped or found.sixtofour or (found.teredo[1] if found.teredo else None)
        if found in _NAT64:
            inner = ipaddress.IPv4Address(int(found) & 0xFFFFFFFF)
        if inner is not None:
            return is_public(str(inner))
    return found.is_global and not found.is_multicast


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
if TYPE_CHECKING:
    from journeyflow.config import Config

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


def object_target(config: Config) -> tuple[Any, str, str]:
    """Return the file system of `targets.object_store`, bucket and folder, and what the project is known by there."""
    assert config.targets.object_store is not None, "the caller asks"
    place = remote_path(config.targets.object_store.url)
    key = derived_key(person_secret(config), f"object store of {config.state.resolve()}")
    return object_system(place, os.environ), f"{place.place}/{place.key}", key


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
