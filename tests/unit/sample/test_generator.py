"""The sample is what the generator makes, and its true figures agree with each other and with the files."""

import csv
import gzip
import io
import json
import re
import subprocess
import sys
from collections import Counter
from itertools import pairwise
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
SAMPLE = ROOT / "data" / "sample"
BY_HAND = {"journeyflow.yml", "sql"}
FUNNELS = json.loads((SAMPLE / "truths.json").read_text(encoding="utf-8"))["funnels"]
MOST_BYTES_PER_FILE, MOST_BYTES = 2_000_000, 6_000_000


def generate(folder, *options):
    command = [sys.executable, "-m", "data.generator", "--out", str(folder), *options]
    subprocess.run(command, cwd=ROOT, check=True, timeout=100)
    return folder


def files_of(folder):
    """Return path → content; what a run leaves beside the sample is no part of it."""
    found = {path.relative_to(folder): path for path in folder.rglob("*") if path.is_file()}
    others = BY_HAND | {"state", "published"}
    return {str(name): path.read_bytes() for name, path in found.items() if name.parts[0] not in others}


def plain(name, content):
    return gzip.decompress(content) if name.endswith(".gz") else content


@pytest.fixture(scope="module")
def again(tmp_path_factory):
    return generate(tmp_path_factory.mktemp("again"))


@pytest.fixture(scope="module")
def truths():
    return json.loads((SAMPLE / "truths.json").read_text(encoding="utf-8"))


def records(name):
    content = plain(name, (SAMPLE / name).read_bytes())
    encoding = "latin-1" if name.startswith("store/") else "utf-8"
    if ".jsonl" in name:
        return [(line, load(line)) for line in content.decode(encoding).splitlines()]
    delimiter = ";" if name.startswith("store/") else ","
    return list(csv.DictReader(io.StringIO(content.decode(encoding)), delimiter=delimiter, restkey="rest"))


def load(line):
    try:
        return json.loads(line)
    except json.JSONDecodeError:
        return None


@pytest.mark.check
def test_generating_again_gives_the_files_in_the_repository(again):
    made, kept = files_of(again), files_of(SAMPLE)
    assert made.keys() == kept.keys()
    # Compressed bytes depend on the zlib at hand; what is compressed does not.
    different = [name for name in made if plain(name, made[name]) != plain(name, kept[name])]
    assert different == []


@pytest.mark.check
def test_generating_twice_gives_identical_bytes(again, tmp_path):
    assert files_of(generate(tmp_path)) == files_of(again)


def test_the_sample_is_small():
    sizes = {name: len(content) for name, content in files_of(SAMPLE).items()}
    assert max(sizes.values()) < MOST_BYTES_PER_FILE
    assert sum(sizes.values()) < MOST_BYTES


def test_no_address_or_host_could_be_real():
    for name, content in files_of(SAMPLE).items():
        text = plain(name, content).decode("latin-1")
        assert set(re.findall(r"@([\w.-]+)", text)) <= {"acme.example"}, name
        hosts = re.findall(r"[\w-]+(?:\.[\w-]+)*\.(?:com|org|net|de|io)\b", text)
        assert all(re.search(r"(^|\.)example\.(com|org)$", host) for host in hosts), name


def test_every_file_holds_the_records_that_its_account_says(truths):
    for name, account in truths["files"].items():
        rows = records(name)
        if name.startswith("app/"):
            count = sum(len(record["events"]) if record else 1 for _, record in rows)
        else:
            count = len(rows)
        assert count == account["record_count"], name


def test_accounts_add_up(truths):
    for name, account in truths["files"].items():
        ends = ("accepted_count", "quarantined_count", "duplicate_count", "filtered_count")
        assert account["record_count"] == sum(account[end] for end in ends), name
        assert account["quarantined_count"] == sum(account["reasons"].values()), name
        assert account["conflicting_count"] <= account["duplicate_count"], name
    accepted = sum(account["accepted_count"] for account in truths["files"].values())
    assert accepted == truths["events"] + truths["bots"]["events"] + truths["internal"]["events"]


def test_ids_repeat_as_often_as_the_accounts_say(truths):
    for prefix, key in (("web/", "id"), ("email/", "id"), ("reviews/", "id")):
        ids = Counter(row[key] for name in truths["files"] if name.startswith(prefix) for row in records(name))
        repeats = sum(count - 1 for count in ids.values())
        assert repeats == sum(a["duplicate_count"] for name, a in truths["files"].items() if name.startswith(prefix))


def test_personas_add_up_to_everybody(truths):
    assert sum(truths["persons_by_persona"].values()) == truths["persons"]
    assert sum(truths["persons_by_lifecycle"].values()) == truths["persons"]
    assert sum(truths["journeys_by_persona"].values()) == truths["journeys"]
    assert sum(truths["events_by_name"].values()) == truths["events"] == sum(truths["events_by_source"].values())


@pytest.mark.parametrize("funnel", FUNNELS)
def test_funnels_add_up(truths, funnel):
    personas = truths["funnels"][funnel]
    total = personas["all"]["all"]
    for k, row in enumerate(total):
        assert row["person_count"] == sum(p["all"][k]["person_count"] for name, p in personas.items() if name != "all")
        assert row["person_count"] == sum(
            rows[k]["person_count"] for month, rows in personas["all"].items() if month != "all"
        )
    for row, after in pairwise(total):
        assert row["converted_count"] == after["person_count"]
        assert row["person_count"] == row["converted_count"] + row["drop_off_count"] + row["pending_count"]


def test_payments_in_the_app_collapse_for_one_week_only(truths):
    bug = truths["payment_bug"]
    rate = {key: bug[key]["paid"] / bug[key]["entered"] for key in bug if isinstance(bug[key], dict)}
    assert bug["app_bug_week"]["entered"] >= 30
    assert rate["app_bug_week"] < 0.2 < 0.6 < rate["app_four_weeks_before"]
    assert abs(rate["web_bug_week"] - rate["web_four_weeks_before"]) < 0.1


def test_the_promise_is_broken_for_families(truths):
    kept = {
        persona: row["kept"] / row["order"] for persona, row in truths["delivery_promise"].items() if row["order"] >= 30
    }
    assert kept["family"] < 0.5
    assert all(rate > 0.85 for persona, rate in kept.items() if persona not in ("all", "family"))


def test_the_chat_falls_silent_while_calls_go_on(truths):
    times = [row["ts"] for row in records("chat/chat.csv")]
    assert max(times)[:10] < truths["silent"]["silent_from"] == "2026-05-18"
    assert max(row["started"] for row in records("calls/calls-2026-q2.csv"))[:7] == "2026-06"


def test_students_start_on_social_channels(truths):
    shares = {persona: row["share"] for persona, row in truths["first_touches"].items()}
    assert shares["student"] > 0.6
    assert all(share < 0.2 for persona, share in shares.items() if persona != "student")


def test_a_benchmark_log_is_reproducible_and_of_the_wished_size(tmp_path):
    pq = pytest.importorskip("pyarrow.parquet")
    first = generate(tmp_path / "a", "--events", "60_000", "--seed", "7")
    second = generate(tmp_path / "b", "--events", "60_000", "--seed", "7")
    tables = [pq.read_table(folder / "events") for folder in (first, second)]
    assert tables[0].equals(tables[1])
    assert abs(tables[0].num_rows - 60_000) < 3_000
    assert len(list((first / "events").iterdir())) == 30
    ids = Counter(tables[0]["id"].to_pylist())
    assert 0.005 < 1 - len(ids) / tables[0].num_rows < 0.02
