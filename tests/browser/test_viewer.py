"""The local viewer in a browser: nothing overflows, runs or is asked for but its own pages."""

from __future__ import annotations

import socket
import threading
import time
from dataclasses import dataclass
from pathlib import Path

import pytest
import uvicorn

from journeyflow.operations.viewer import HOST, Viewer, hosts_of

PAGES = (
    "/", "/runs", "/current/tables", "/current/tables/touchpoints", "/current/tables/personas?persona=all",
    "/current/query?sql=from+supplied_cells", "/nowhere",
)  # fmt: skip


@dataclass(frozen=True)
class Folders:
    state: Path
    publish: Path


@pytest.fixture(scope="module")
def address(published):
    publish = published.folder.parents[1]
    with socket.create_server((HOST, 0)) as listener:
        port = listener.getsockname()[1]
        app = Viewer(Folders(publish / "state", publish)).app(hosts_of(port))
        server = uvicorn.Server(uvicorn.Config(app, log_level="error", lifespan="off", ws="none"))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        while not server.started:
            time.sleep(0.01)
        yield f"http://{HOST}:{port}"
        server.should_exit = True
        thread.join(timeout=30)


@pytest.mark.parametrize("width", [390, 1280])
def test_pages_fit_and_run_nothing(browser, address, width):
    context = browser.new_context(viewport={"width": width, "height": 900})
    page = context.new_page()
    faults, asked = [], set()
    page.on("console", lambda message: None if "404" in message.text else faults.append(message.text))
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.on("dialog", lambda dialog: (faults.append(dialog.message), dialog.dismiss()))
    page.on("request", lambda request: asked.add(request.url.split("/", 3)[2]))
    for path in PAGES:
        page.goto(address + path)
        root = "document.documentElement"
        assert page.evaluate(f"{root}.scrollWidth <= {root}.clientWidth"), path
        assert page.evaluate("getComputedStyle(document.body).margin") == "0px"  # Its style sheet is applied.
    page.goto(address + "/current/tables/map_stages")
    page.select_option("select[name=persona]", "student")
    page.click("text=Filter")
    assert "persona=student" in page.url
    assert page.locator("td", has_text="unassigned").count() == 0
    page.goto(address + "/current/query")
    page.fill("textarea", "select 'a' || chr(60) || 'b' as t")
    page.click("form button")
    assert page.locator("td").inner_text() == "a<b"
    context.close()
    assert faults == []
    assert asked == {address.removeprefix("http://")}
