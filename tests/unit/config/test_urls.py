"""URLs of input files: what is allowed, and what is said of the rest without a secret."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from journeyflow.config import InvalidConfigError, check, load_config
from journeyflow.config.sources import RemotePath, Targets

SOURCE = {"format": "snowplow"}


def config(path: object, folder=None):
    return load_config({"sources": {"web": SOURCE | {"path": path}}}, folder=folder)


@pytest.mark.parametrize(
    ("url", "parts"),
    [
        ("s3://bucket/events/**/*.csv.gz", ("s3", "bucket", "events/**/*.csv.gz")),
        ("GS://bucket/a?b#c.csv", ("gs", "bucket", "a?b#c.csv")),
        ("az://container/a.parquet", ("az", "container", "a.parquet")),
        ("https://files.example:8443/a/b.csv?day=1", ("https", "files.example:8443", "a/b.csv?day=1")),
    ],
)
def test_a_url_is_kept_as_it_is(url, parts, tmp_path):
    path = config(url, tmp_path).sources["web"].path
    assert path == RemotePath(*parts)
    dumped = config(url, tmp_path).model_dump(mode="json")
    assert dumped["sources"]["web"]["path"].lower() == url.lower()


def test_the_query_is_not_shown():
    assert str(RemotePath("https", "files.example", "a.csv?day=1")) == "https://files.example/a.csv"


@pytest.mark.parametrize(
    ("url", "code"),
    [
        ("http://files.example/a.csv", "url_scheme"),
        ("ftp://files.example/a.csv", "url_scheme"),
        ("file:///etc/passwd", "url_scheme"),
        ("s3://bucket", "url"),
        ("s3://bucket/", "url"),
        ("s3://b*/a.csv", "url"),
        ("s3:///a.csv", "url"),
        ("s3://bucket/a\x07", "url"),
        ("https:///a.csv", "url"),
        ("https://files.example/*.csv", "url"),
        ("https://files.example/a.csv#x", "url"),
        ("https://files.example:port/a", "url"),
        ("https://user:hidden@files.example/a.csv", "secret_in_url"),
        ("s3://key:hidden@bucket/a.csv", "secret_in_url"),
        ("https://user:hidden/x@files.example/a.csv", "secret_in_url"),
        ("postgresql://user:hidden@db/prod", "secret_in_url"),
        ("sftp://user:hidden@host/a.csv", "secret_in_url"),
        ("s3://bucket/a?X-Amz-Signature=hidden", "secret_in_url"),
        ("https://files.example/a?X-Amz-Signature=hidden", "secret_in_url"),
        ("https://files.example/a?sv=1&sig=hidden", "secret_in_url"),
        ("https://files.example/a?access_token=hidden", "secret_in_url"),
        (3, "path_type"),
    ],
)
def test_what_is_no_url_of_files_is_refused_and_no_secret_is_shown(url, code):
    with pytest.raises(InvalidConfigError) as found:
        config(url)
    (problem,) = found.value.problems
    assert (problem.code, problem.path) == (code, "sources.web.path")
    assert "hidden" not in str(found.value)


@pytest.mark.parametrize("address", ["https://user:hidden@host", "sc://host;token=hidden x", f"sc://{'hidden' * 400}"])
def test_what_is_no_address_of_a_server_is_refused_and_no_secret_is_shown(address):
    with pytest.raises(InvalidConfigError) as found:
        load_config({"spark": {"address": address, "folder": "shared"}})
    assert ("server_address", "spark.address") in [(each.code, each.path) for each in found.value.problems]
    assert "sc://<server>:<port>" in str(found.value)
    assert "hidden" not in str(found.value)


def test_a_check_asks_no_store(tmp_path):
    path = tmp_path / "journeyflow.yml"
    path.write_text("sources: {web: {format: snowplow, path: 's3://bucket/*.csv'}}\n")
    assert not [problem for problem in check(path) if problem.code == "no_file"]


TABLE = {
    "format": "parquet",
    "path": "postgres://shop/events",
    "watermark": "id",
    "columns": {"event_id": "id", "occurred_at": "at", "user_id": "who", "event_name": "what"},
}


def codes(**sections) -> list[tuple[str, str]]:
    with pytest.raises(InvalidConfigError) as found:
        load_config(sections)
    return [(problem.code, problem.path) for problem in found.value.problems if problem.severity == "error"]


def test_a_table_has_a_watermark_and_ids_and_only_sources_read_it(monkeypatch):
    monkeypatch.setattr("journeyflow.config.source_validation.find_spec", lambda _: True)
    assert load_config({"sources": {"crm": TABLE}}).sources["crm"].path == RemotePath("postgres", "shop", "events")
    columns = {name: column for name, column in TABLE["columns"].items() if name != "event_id"}
    wrong = {"format": "csv", "path": TABLE["path"], "columns": columns}
    assert codes(sources={"crm": wrong}) == [
        ("watermark_missing", "sources.crm"),
        ("column_missing", "sources.crm.columns"),
        ("table_format", "sources.crm.format"),
    ]
    assert codes(sources={"crm": TABLE}, spend={"path": TABLE["path"]}) == [("table_here", "spend.path")]
    assert codes(sources={"crm": TABLE | {"path": "postgres://shop/a/b"}}) == [("url", "sources.crm.path")]
    monkeypatch.setattr("journeyflow.config.source_validation.find_spec", lambda _: None)
    assert codes(sources={"crm": TABLE}) == [("extra_missing", "sources.crm.path")]


@pytest.mark.parametrize(
    "url",
    [
        "out/folder",
        "https://a.example/x",
        "s3://bucket",
        "s3://bucket/*",
        "s3://bucket/../x",
        "s3://bucket/a#b",
        "s3://",
    ],
)
def test_what_is_no_folder_of_an_object_store_is_refused_in_one_way(url):
    with pytest.raises(ValidationError, match="is no folder of an object store"):
        Targets.model_validate({"object_store": {"url": url}})


def test_a_folder_of_an_object_store_may_end_with_a_slash():
    target = Targets.model_validate({"object_store": {"url": "gs://bucket/journeys/"}})
    assert target.object_store.url == "gs://bucket/journeys"
