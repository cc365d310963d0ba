"""Files of web servers: one file at an `https://` URL, from public addresses only."""

from __future__ import annotations

import http.client
import ipaddress
import os
import re
import socket
import ssl
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC
from email.utils import parsedate_to_datetime
from urllib.parse import SplitResult, urljoin, urlsplit

from journeyflow.config.urls import HTTPS, RemotePath
from journeyflow.ingest.files import BLOCK_BYTES, RefusedFileError, RemoteFile, Version
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
            version = _version(answer)
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
            yield _version(answer)
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


def _version(answer: http.client.HTTPResponse) -> Version:
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
