"""What docs/serving.md shows is true."""

import json
import re
import shlex
from pathlib import Path

import cli_tools as cli
import pytest
from serving_tools import serving

from xmc.serving import (
    annif,
    app,
    batching,
    bodies,
    door,
    forms,
    metrics,
    openapi,
    protocol,
    workers,
)

TOP = Path(__file__).resolve().parent.parent
PAGE = (TOP / "docs" / "serving.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```(\w+)\n(.*?)```", PAGE, re.DOTALL)
CALLS = [block for language, block in BLOCKS if language == "sh" and block.startswith("curl ")]


def rows(heading):
    """First cells of the first table below a heading."""
    below = f"\n{PAGE}".partition(f"\n{heading}\n")[2]
    table = re.search(r"(?:^\|.*\n)+", below, re.M).group()
    return [line.split("|")[1].strip() for line in table.splitlines()[2:]]


def names_in(cells):
    return [name for cell in cells for name in re.findall(r"`([^`{]+)", cell)]


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """What the page starts, on another port, over a model of the sample that is called as there."""
    folder = tmp_path_factory.mktemp("docs")
    (folder / "tags").symlink_to(cli.text_model())
    with serving(folder, "tags", "--annif", "--quiet") as server:
        yield server


def test_the_flags_are_those_of_the_command():
    (start,) = [block for _, block in BLOCKS if block.startswith("xmc serve")]
    assert shlex.split(start)[:3] == ["xmc", "serve", "tags"]
    shown = cli.done("serve", "--help").stdout
    named = [flag.split()[0] for flag in names_in(rows("# Serving")) if flag.startswith("--")]
    assert named and all(f"{flag} " in shown for flag in named)
    unit = next(block for language, block in BLOCKS if language == "ini")
    started = shlex.split(re.search(r"ExecStart=\S+/xmc (.*)", unit)[1])
    assert all(f"{flag} " in shown for flag in started if flag.startswith("--"))


def as_curl_sends_it(call):
    """Path, body and content type of a call of curl."""
    words = shlex.split(call)[2:]
    path, options = words[0].removeprefix("localhost:8000"), words[1:]
    pairs = list(zip(options[::2], options[1::2], strict=True))
    if pairs[0][0] == "--json":
        return path, pairs[0][1].encode(), "application/json"
    assert {flag for flag, _ in pairs} == {"-d"}
    form = "&".join(value.replace(" ", "+") for _, value in pairs)
    return path, form.encode(), "application/x-www-form-urlencoded"


def shape(value):
    """Names and kinds of a JSON value; a list is as its first item."""
    if isinstance(value, dict):
        return {name: shape(own) for name, own in value.items()}
    return [shape(value[0])] if isinstance(value, list) else type(value)


@pytest.mark.parametrize("call", CALLS, ids=[shlex.split(call)[2] for call in CALLS])
def test_each_call_is_answered_as_is_shown(server, call):
    path, body, kind = as_curl_sends_it(call)
    answer = server.ask("POST", path, body, **{"Content-Type": kind})
    assert answer.status == 200, answer.body
    shown = re.match(r"```\s+```json\n(.*?)```", PAGE.partition(call)[2], re.DOTALL)
    if shown:
        assert shape(answer.json) == shape(json.loads(shown[1]))


def test_the_help_shows_a_call_that_works(server):
    text = " ".join(cli.done("serve", "--help").stdout.split())
    (call,) = re.findall(r"curl .*?\}'", text)
    path, body, kind = as_curl_sends_it(call)
    assert server.ask("POST", path, body, **{"Content-Type": kind}).status == 200


def test_the_fields_are_those_of_the_form():
    assert names_in(rows("### POST /predict")) == list(forms.PREDICT.fields)


def test_every_path_is_told():
    told = {f"/{path}" for path in re.findall(r"### POST /(\w+)", PAGE)}
    told |= set(names_in(rows("### GET")))
    served = {route.path for route in app._routes(app.Settings((), 1))}
    assert told == served - {"/page.css", "/page.js"}
    described = {one.path for one in openapi.ENDPOINTS}
    assert described == told - {"/", "/openapi.json"}


def test_every_status_is_told():
    told = {status for cell in rows("## Errors") for status in cell.split(", ")}
    assert told == {str(status) for status in metrics.STATUSES if status >= 400}
    assert set(openapi.STATUSES) < told


def test_every_metric_is_told():
    told = [cell.strip("`") for cell in rows("## Metrics")]
    counted = metrics.families((), ())
    assert told == [
        own.name + (f"{{{', '.join(own.labels)}}}" if own.labels else "") for own in counted
    ]


@pytest.mark.parametrize(
    "line",
    [
        f"`texts` | up to {forms.MOST_ITEMS:,} texts",
        f"`rows` | up to {forms.MOST_ITEMS:,} rows",
        f"how many labels, 1 to {forms.MOST_K:,}, {forms.K.default} if",
        f"({forms.MOST_BYTES:,} bytes)",
        f"up to {forms.MOST_EXPLAINED:,} characters",
        f"more than {bodies.SECONDS} seconds to arrive",
        f"more than {forms.MOST_LABELS:,} labels",
        f"ended after {protocol.SECONDS} seconds",
        f"more than {door.MOST_REQUESTS:,} requests at once",
        f"more than {bodies.MOST_HELD // 10**6} MB at once",
        f"up to {batching.MOST_TOGETHER} texts",
        f"within {workers.GRACE} seconds",
        f"(JSON, up to {annif.MOST_DOCUMENTS} documents)",
    ],
)
def test_the_limits_are_those_that_hold(line):
    assert line in " ".join(PAGE.split())


def test_the_page_shows_an_error_as_it_is(server):
    (shown,) = re.findall(r'`(\{"error": .*?\})`', PAGE)
    answer = server.ask("POST", "/predict", {"text": "a", "k": 0})
    assert answer.json == json.loads(shown)


def test_links_lead_somewhere():
    titles = re.findall(r"^#+ (.*)", PAGE, re.M)
    anchors = {title.lower().replace(" ", "-") for title in titles}
    links = re.findall(r"\]\(#([^)]+)", PAGE)
    assert links and set(links) <= anchors
