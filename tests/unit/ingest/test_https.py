"""Files of web servers: certificates, redirects, private addresses, and what servers do wrong."""

from __future__ import annotations

import contextlib
import datetime
import ipaddress
import ssl
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from itertools import pairwise

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from journeyflow.config.sources import remote_path
from journeyflow.ingest import remote
from journeyflow.ingest.files import RefusedFileError
from journeyflow.ingest.parser.client import InputCopies

CONTENT = b"id,ts,cookie,event\ne1,2026-03-01,c,x\n"
LAST_MODIFIED = "Sun, 01 Mar 2026 00:00:00 GMT"


class Site(BaseHTTPRequestHandler):
    """Answers by path; `asked` are the requests with their authorization."""

    asked: list[tuple[str, str, str | None]]
    content = CONTENT
    broken = 0

    def log_message(self, *_) -> None:
        return None

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        type(self).asked.append((self.command, self.path, self.headers["Authorization"]))
        path, _, query = self.path.partition("?")
        if path == "/to":
            self._answer(302, {"Location": query})
        elif path == "/loop":
            self._answer(302, {"Location": "/loop"})
        elif path == "/log-in":
            self._answer(200, {"Content-Type": "text/html; charset=utf-8"}, b"<html>")
        elif path == "/no-head" and self.command == "HEAD":
            self._answer(405)
        elif path == "/busy" and type(self).broken > 0 and self.command == "GET":
            type(self).broken -= 1
            self._answer(503)
        elif path == "/short" and self.command == "GET":
            self._answer(200, {"Content-Length": "1000"}, b"id,ts")
        elif path.startswith("/status/"):
            self._answer(int(path.rpartition("/")[2]))
        elif path == "/bare":
            self._answer(200, {}, CONTENT)
        else:
            self._answer(200, {"ETag": '"v1"', "Last-Modified": LAST_MODIFIED}, type(self).content)

    def _answer(self, status: int, headers=None, body: bytes = b"") -> None:
        self.send_response(status)
        for name, value in ({"Content-Length": str(len(body))} | (headers or {})).items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == "GET":
            with contextlib.suppress(OSError):
                self.wfile.write(body)


@pytest.fixture(scope="session")
def certificate(tmp_path_factory):
    """A certificate for 127.0.0.1 that nobody but the tests trusts."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    path = tmp_path_factory.mktemp("certificate") / "server.pem"
    encoding = serialization.Encoding.PEM
    private = key.private_bytes(encoding, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    path.write_bytes(private + made.public_bytes(encoding))
    return path


@pytest.fixture
def site(certificate, monkeypatch):
    """A server on 127.0.0.1 that this machine trusts and may ask."""
    handler = type("Handler", (Site,), {"asked": []})
    server = HTTPServer(("127.0.0.1", 0), handler)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    monkeypatch.setenv(remote.PRIVATE_HOSTS, "localhost, 127.0.0.1")
    monkeypatch.setattr(remote, "FIRST_WAIT_SECONDS", 0)
    handler.url = f"https://127.0.0.1:{server.server_port}"
    yield handler
    server.shutdown()
    thread.join()
    server.server_close()


def read(url: str, owner: str = "web") -> bytes:
    (file,) = remote.listing(remote_path(url), owner)
    return b"".join(file.download()[1])


def test_a_file_is_loaded_once_and_again_when_its_server_states_another_version(project, site):
    project.source["path"] = f"{site.url}/events.csv?day=1"
    project.load()
    assert project.events() == ["e1"]
    site.asked.clear()
    (known,) = project.load().files
    assert (known.status, known.source_file) == ("known", f"{site.url}/events.csv")
    assert [method for method, *_ in site.asked] == ["HEAD"]
    site.content = CONTENT + b"e2,2026-03-01,c,x\n"
    project.load()
    assert project.events() == ["e1", "e2"]


@pytest.mark.parametrize("page", ["bare", "no-head"])
def test_a_server_that_says_nothing_of_the_version_is_read_at_every_run(site, page):
    (file,) = remote.listing(remote_path(f"{site.url}/{page}"), "web")
    assert not file.version.is_same(file.version)
    assert b"".join(file.download()[1]) == CONTENT


def test_a_certificate_that_nobody_signed_is_refused(site, monkeypatch):
    monkeypatch.delenv("SSL_CERT_FILE")
    with pytest.raises(RefusedFileError, match="certificate of its server cannot be verified"):
        read(f"{site.url}/events.csv")
    assert site.asked == []


def test_a_server_inside_a_private_network_is_asked_only_where_the_environment_allows_it(site, monkeypatch):
    monkeypatch.delenv(remote.PRIVATE_HOSTS)
    with pytest.raises(RefusedFileError, match="address inside a private network"):
        read(f"{site.url}/events.csv")
    assert site.asked == []


def test_a_redirect_is_followed_without_the_authorization_to_another_server(site, monkeypatch):
    monkeypatch.setenv("JOURNEYFLOW_AUTHORIZATION_WEB_SHOP", "Bearer hidden")
    other = site.url.replace("127.0.0.1", "localhost")
    monkeypatch.setattr(remote._Connection, "connect", _trusting(remote._Connection.connect))
    assert read(f"{site.url}/to?/to?{other}/events.csv", "web shop") == CONTENT
    asked = [(path, secret) for method, path, secret in site.asked if method == "GET"]
    assert [secret for _, secret in asked] == ["Bearer hidden", "Bearer hidden", None]
    assert all(before[0] != after[0] for before, after in pairwise(asked))


def _trusting(connect):
    """The certificate is of 127.0.0.1, and the other name of the same server is another server here."""

    def trusted(self) -> None:
        self.host = "127.0.0.1"
        connect(self)

    return trusted


@pytest.mark.parametrize(
    ("target", "reason"),
    [
        ("http://127.0.0.1/events.csv", "not https://"),
        ("file:///etc/passwd", "not https://"),
        ("https://169.254.169.254/latest/meta-data", "private network"),
        ("https://[::ffff:10.0.0.1]/", "private network"),
        ("https://10.1.2.3:8443/x", "private network"),
    ],
)
def test_a_redirect_leads_nowhere_inside(site, target, reason):
    with pytest.raises(RefusedFileError, match=reason):
        read(f"{site.url}/to?{target}")


@pytest.mark.parametrize(
    ("page", "reason"),
    [
        ("loop", "redirects more than 5 times"),
        ("log-in", "sends a web page and no file"),
        ("status/403", "answers 403; see JOURNEYFLOW_AUTHORIZATION_<SOURCE>"),
        ("short", "ended the download early"),
        ("status/500", "answers 500"),
    ],
)
def test_what_a_server_does_wrong_is_said(site, page, reason):
    with pytest.raises(RefusedFileError, match=reason):
        read(f"{site.url}/{page}?hidden=1")


def test_a_server_that_is_busy_is_asked_again(site, tmp_path):
    site.broken = 2
    (found,) = InputCopies(tmp_path).fetch(remote.listing(remote_path(f"{site.url}/busy"), "web"))
    assert found[0].byte_count == len(CONTENT)


def test_what_is_not_there_is_no_file(site):
    assert remote.listing(remote_path(f"{site.url}/status/404"), "web") == []


def test_a_server_that_cannot_be_reached_is_named_by_kind_only(monkeypatch):
    monkeypatch.setattr(remote, "FIRST_WAIT_SECONDS", 0)

    def unknown(*_, **__):
        raise OSError("no such host hidden.example")

    monkeypatch.setattr(remote.socket, "getaddrinfo", unknown)
    with pytest.raises(RefusedFileError) as found:
        read("https://hidden.example/events.csv")
    assert found.value.detail == "its server cannot be reached (OSError)"


@pytest.mark.parametrize(
    "address", ["127.0.0.1", "10.0.0.1", "192.168.1.1", "169.254.169.254", "0.0.0.0", "100.64.0.1", "224.0.0.1", "::1",
                "fe80::1%eth0", "fd00::1", "::ffff:127.0.0.1", "64:ff9b::a00:1", "2002:a00:1::"],
)  # fmt: skip
def test_an_address_that_is_not_public(address):
    assert not remote.is_public(address)


def test_the_connection_goes_to_the_address_that_was_checked(monkeypatch):
    answers = iter([[(2, 1, 6, "", ("93.184.215.14", 443))], [(2, 1, 6, "", ("127.0.0.1", 443))]])
    asked = []
    monkeypatch.setattr(remote.socket, "getaddrinfo", lambda *_, **__: next(answers))
    monkeypatch.setattr(remote.socket, "create_connection", lambda address, _: asked.append(address) or _raise())
    with pytest.raises(RefusedFileError):
        remote.WebSite("https://files.example/x").download()
    assert asked == [("93.184.215.14", 443)]


def _raise() -> None:
    raise ConnectionRefusedError
