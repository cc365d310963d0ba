"""The local viewer of `journeyflow ui`: pages, tables and runs of the kept generations, on 127.0.0.1 and read-only."""

from __future__ import annotations

import socket
import webbrowser
from collections.abc import Callable
from contextlib import contextmanager, suppress
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

import uvicorn
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.applications import Starlette
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, Response
from starlette.routing import Route

from journeyflow.engines.base import relation, word
from journeyflow.errors import JourneyflowError, NotFoundError
from journeyflow.operations.status import run_alerts, status_of
from journeyflow.publish.generation import own_generations
from journeyflow.publish.reader import PublishedTables, read_manifest
from journeyflow.utils.formatting import cell, count, escaped

if TYPE_CHECKING:
    from collections.abc import Iterator

    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from journeyflow.state.paths import Folders

HOST = "127.0.0.1"
TEMPLATES = Path(__file__).parent / "templates"
PAGE_ROWS = 100
MOST_ROWS = 500
"""Rows of a query that are shown."""
MOST_SECONDS = 20.0
"""Longest time of a query."""
MOST_CHARACTERS = 300
"""Of one value."""
FILTERS = ("model", "funnel", "persona", "period", "stage")
"""Columns by which a table can be filtered, where it has them."""
CURRENT = "current"
_POLICY = (
    "default-src 'none'; style-src 'self'; img-src data:; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
_MAP_POLICY = "sandbox allow-scripts allow-modals allow-downloads; frame-ancestors 'none'"
"""The page of a generation brings a policy of its own; here it is kept apart from the viewer's other pages."""
_HEADERS = {
    "Content-Security-Policy": _POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}


class Viewer:
    """The answers to requests; each opens the generation that it asks for, read-only and sealed as in `query`."""

    def __init__(self, folders: Folders, *, seconds: float = MOST_SECONDS) -> None:
        self._folders = folders
        self._seconds = seconds

    @cached_property
    def _templates(self) -> Environment:
        found = Environment(
            loader=FileSystemLoader(TEMPLATES), autoescape=True, undefined=StrictUndefined, trim_blocks=True
        )
        found.filters |= {"shown": shown, "count": count, "escaped": escaped}
        return found

    def app(self, hosts: frozenset[str]) -> ASGIApp:
        """Return the application, which answers to the given values of the header Host only."""
        routes = [
            Route("/", self.generations),
            Route("/runs", self.runs),
            Route("/viewer.css", self.style),
            Route("/{run_id}/map", self.map),
            Route("/{run_id}/tables", self.tables),
            Route("/{run_id}/tables/{table}", self.table),
            Route("/{run_id}/query", self.query),
        ]
        handlers: dict[Any, Callable[[Request, Exception], Response]] = {
            JourneyflowError: self._failure,
            404: lambda request, _: self._failure(request, NotFoundError("There is no such page.")),
        }
        return _Guard(Starlette(routes=routes, exception_handlers=handlers), hosts)

    def generations(self, request: Request) -> Response:
        """List the kept generations, the current one first."""
        current = (self._folders.publish / CURRENT).resolve().name
        found = []
        for folder in reversed(self._own()):
            with suppress(NotFoundError):  # It was removed meanwhile.
                manifest = read_manifest(folder)
                found.append((manifest, manifest.run_id == current, "map.html" in manifest.files))
        return self._page("generations", "Generations", generations=found)

    def runs(self, request: Request) -> Response:
        """List the runs and their alerts, and why the last one failed."""
        alerts: dict[str, list[str]] = {}
        for row in run_alerts(self._folders):
            alerts.setdefault(row["run_id"], []).append(row["detail"])
        return self._page("runs", "Runs", status=status_of(self._folders), alerts=alerts)

    def style(self, request: Request) -> Response:
        """Return the style sheet."""
        return Response((TEMPLATES / "viewer.css").read_bytes(), media_type="text/css")

    def map(self, request: Request) -> Response:
        """Return the page of a generation as it was published."""
        folder = self._generation(request)
        if "map.html" not in read_manifest(folder).files:
            raise NotFoundError("This generation has no page.")
        return HTMLResponse((folder / "map.html").read_bytes(), headers={"Content-Security-Policy": _MAP_POLICY})

    def tables(self, request: Request) -> Response:
        """List the tables of a generation with their meanings."""
        with self._opened(request) as marts:
            meanings = dict(marts.rows("select table_name, comment from duckdb_tables()")[1])
            rows = [(name, marts.manifest.tables[name].row_count, meanings.get(name) or "") for name in marts.tables]
            return self._page("tables", "Tables", request, marts, tables=rows)

    def table(self, request: Request) -> Response:
        """Show a page of a table's rows, filtered, with the meanings of its columns."""
        name = request.path_params["table"]
        with self._opened(request) as marts:
            marts.require(name)
            described = marts.rows(_COLUMNS, [name])[1]
            columns = {column: (kind, meaning or "") for column, kind, meaning in described}
            chosen = {key: value for key in FILTERS if key in columns and (value := request.query_params.get(key))}
            where = " and ".join(f"{word(key)} = ${at}" for at, key in enumerate(chosen, 1)) or "true"
            rows = f"from {relation(name)} where {where}"
            values = list(chosen.values()) or None
            (total,) = marts.rows(f"select count(*) {rows}", values)[1][0]
            pages = max(1, -(-total // PAGE_ROWS))
            page = min(_number(request.query_params.get("page")), pages)
            shown_rows = marts.rows(
                f"select * {rows} order by all nulls first limit {PAGE_ROWS} offset {(page - 1) * PAGE_ROWS}", values
            )[1]
            choices = {key: _choices(marts, name, key) for key in FILTERS if key in columns}
            meaning = marts.rows("select comment from duckdb_tables() where table_name = $1", [name])[1][0][0]
            return self._page(
                "table", name, request, marts, name=name, meaning=meaning or "", columns=columns, rows=shown_rows,
                meanings={column: text for column, (_, text) in columns.items()},
                total=total, page=page, pages=pages, choices=choices, chosen=chosen,
                link=lambda number: "?" + urlencode({**chosen, "page": number}),
            )  # fmt: skip

    def query(self, request: Request) -> Response:
        """Show the rows of one SELECT over the tables of a generation, within limits of rows and time."""
        sql = request.query_params.get("sql", "")
        columns: dict[str, str] = {}
        rows: list[tuple[Any, ...]] = []
        error, status = "", 200
        with self._opened(request) as marts:
            if sql.strip():
                try:
                    with marts.limited(self._seconds):
                        columns, rows = marts.rows(marts.capped(sql, MOST_ROWS + 1))
                except JourneyflowError as failure:
                    error, status = str(failure), 400
                except (ValueError, OverflowError):
                    error, status = "Python has no such value as the result holds. Cast it to varchar.", 400
            page = self._page(
                "query", "Query", request, marts, sql=sql, columns=columns, rows=rows[:MOST_ROWS], error=error,
                has_more=len(rows) > MOST_ROWS, most=MOST_ROWS, seconds=round(self._seconds), tables=marts.tables,
            )  # fmt: skip
            page.status_code = status
            return page

    def _own(self) -> list[Path]:
        return own_generations(self._folders.publish / "generations")

    def _generation(self, request: Request) -> Path:
        """Return the folder of the generation that is asked for; a name in an address is never made a path."""
        asked = request.path_params["run_id"]
        wanted = (self._folders.publish / CURRENT).resolve().name if asked == CURRENT else asked
        for folder in self._own():
            if folder.name == wanted:
                return folder
        raise NotFoundError("There is no such generation; it may have been removed. Choose one of those kept.")

    @contextmanager
    def _opened(self, request: Request) -> Iterator[PublishedTables]:
        with PublishedTables(self._generation(request)) as marts:
            yield marts

    def _page(
        self, template: str, title: str, request: Request | None = None, marts: PublishedTables | None = None,
        **values: object,
    ) -> HTMLResponse:  # fmt: skip
        generation = request.path_params["run_id"] if request else CURRENT
        known = {"title": title, "active": template, "generation": generation, "marts": marts, "limit": MOST_CHARACTERS}
        return HTMLResponse(self._templates.get_template(f"{template}.html.j2").render(known | values))

    def _failure(self, request: Request, error: Exception) -> Response:
        page = self._page("failure", "Not shown", message=str(error))
        page.status_code = 404 if isinstance(error, NotFoundError) or not isinstance(error, JourneyflowError) else 500
        return page


_COLUMNS = """
    select column_name, data_type, comment from duckdb_columns() where table_name = $1 order by column_index
"""


def shown(value: object) -> str:
    """Return a value as text without control characters, cut where it is long; the template escapes markup."""
    text = escaped(cell(value))
    return text if len(text) <= MOST_CHARACTERS else text[:MOST_CHARACTERS] + "…"


def _number(text: str | None) -> int:
    return int(text) if text and text.isascii() and text.isdigit() and 0 < len(text) < 10 and int(text) else 1


def _choices(marts: PublishedTables, table: str, column: str) -> list[str]:
    rows = marts.rows(
        f"select distinct {word(column)} from {relation(table)} where {word(column)} is not null order by 1 limit 500"
    )[1]
    return [value for (value,) in rows]


class _Guard:
    """Lets only reading requests of the viewer's own pages in, and adds the security headers to each answer.

    A site elsewhere can reach a port of this machine through the reader's browser: by a name that it lets point to
    127.0.0.1 (then Host is that name), or by links, forms and scripts (then Origin or Sec-Fetch-Site say so).
    """

    def __init__(self, app: ASGIApp, hosts: frozenset[str]) -> None:
        self._app = app
        self._hosts = hosts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":  # No WebSocket, no lifespan.
            return

        async def send_guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        refusal = self._refusal(scope)
        await (refusal or self._app)(scope, receive, send_guarded)

    def _refusal(self, scope: Scope) -> Response | None:
        headers = Headers(scope=scope)
        if headers.getlist("host") not in [[host] for host in self._hosts]:
            return PlainTextResponse("This viewer answers to its own address only.", 421)
        if scope["method"] not in ("GET", "HEAD"):
            return PlainTextResponse("This viewer is read-only.", 405, headers={"Allow": "GET, HEAD"})
        origin = headers.get("origin")
        is_foreign = origin is not None and origin not in {f"http://{host}" for host in self._hosts}
        if is_foreign or (
            headers.get("sec-fetch-site", "none") not in ("none", "same-origin") and scope["path"] != "/"
        ):
            return PlainTextResponse("This page is opened from the viewer only.", 403)
        return None


def hosts_of(port: int) -> frozenset[str]:
    """Return the values of the header Host that name the viewer at `port`."""
    return frozenset({f"{HOST}:{port}", f"localhost:{port}"})


def serve(folders: Folders, port: int, started: Callable[[str], None], *, opens_browser: bool) -> None:
    """Serve the viewer until it is interrupted; `started` is called with its address."""
    try:
        listener = socket.create_server((HOST, port))
    except (OSError, OverflowError) as error:
        why = getattr(error, "strerror", None) or "out of range"
        raise JourneyflowError(f"Cannot listen on port {port}: {why}. Choose another with --port.") from error
    with listener:
        bound = listener.getsockname()[1]
        config = uvicorn.Config(
            Viewer(folders).app(hosts_of(bound)), log_level="warning", access_log=False, server_header=False,
            lifespan="off", timeout_graceful_shutdown=1, ws="none",
        )  # fmt: skip
        address = f"http://{HOST}:{bound}/"
        started(address)
        if opens_browser:
            webbrowser.open(address)  # Its request waits until the server runs.
        with suppress(KeyboardInterrupt):
            uvicorn.Server(config).run(sockets=[listener])
