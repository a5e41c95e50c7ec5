"""The page at /: what it is made of, and how it works in a real browser."""

import json
import re
import shutil

import browser
import pytest
from serving_tools import colours, get, numbers, service, serving

import xmc.serving.app

FILES = {path.name: path.read_text(encoding="utf-8") for path in xmc.serving.app.PAGE.iterdir()}
KEPT = "kept.jsonl"
in_a_browser = pytest.mark.skipif(not (browser.DRIVER and browser.BROWSER), reason=browser.MISSING)


@pytest.fixture(scope="module")
def app():
    return service()


def test_nothing_comes_from_elsewhere():
    for name, text in FILES.items():
        assert not re.search(r"https?:|//\w|@import|url\(", re.sub(r"// .*", "", text)), name


def test_the_policy_allows_only_files_of_the_service(app):
    for path, kind in (("/", "html"), ("/page.css", "css"), ("/page.js", "javascript")):
        answer = get(app, path)
        assert answer.status == 200 and answer.body.decode() in FILES.values()
        assert answer.headers["content-type"] == f"text/{kind}; charset=utf-8"
        policy = answer.headers["content-security-policy"]
        assert policy.startswith("default-src 'none'; script-src 'self'; style-src 'self'")
        assert "unsafe" not in policy and "*" not in policy


def test_the_page_has_no_script_or_style_inline():
    page = FILES["index.html"]
    assert not re.search(r"<script(?![^>]* src=)|<style|\son\w+=|\sstyle=", page)


def test_the_scripts_write_texts_never_html():
    assert not re.search(
        r"innerHTML|outerHTML|insertAdjacent|document\.write|eval", FILES["page.js"]
    )


def test_every_field_has_a_label():
    page = FILES["index.html"]
    fields = re.findall(r'<(?:input|select|textarea) id="(\w+)"', page)
    assert fields == ["model", "text", "k"]
    assert re.findall(r'<label for="(\w+)"', page) == fields


@pytest.fixture(scope="module")
def window(tmp_path_factory):
    with browser.browsing(tmp_path_factory.mktemp("profile")) as page:
        page.resize(400, 900)
        yield page


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """A service over several models, with its feedback in a file beside them."""
    folder = tmp_path_factory.mktemp("models")
    for name, model in (("first", colours()), ("second", colours()), ("third", numbers())):
        shutil.copytree(model, folder / name)
    flags = "--quiet", "--feedback", folder / KEPT
    with serving(folder, "first", "second", "third", *flags) as server:
        yield server


@pytest.fixture
def page(window, server):
    """The page as it comes."""
    window.open(f"http://127.0.0.1:{server.port}/")
    window.wait("document.getElementById('model').length")
    yield window
    assert window.log() == []  # no error of a script, nothing that the policy forbids


def labelled(page):
    """The page after it has shown labels for a text."""
    page.type("#text", "a red plum")
    page.click("button[type=submit]")
    page.wait("document.querySelectorAll('#labels li').length")
    return page


def names(page):
    return page.run("return [...document.querySelectorAll('#labels .name')].map(e => e.innerText)")


@in_a_browser
def test_it_shows_labels_with_bars_best_first(page):
    labelled(page)
    assert set(names(page)[:2]) == {"Red", "Fruit"}
    bars = page.run("return [...document.querySelectorAll('#labels meter')].map(e => e.value)")
    scores = page.run("return [...document.querySelectorAll('.score')].map(e => +e.innerText)")
    assert bars == sorted(bars, reverse=True)
    assert bars == pytest.approx(scores, abs=0.0006)
    assert page.text("#status") == "5 labels."


@in_a_browser
def test_what_is_marked_is_kept_as_feedback(page, server):
    labelled(page)
    assert page.run("return document.getElementById('send').disabled")
    page.click("#labels li:nth-child(1) .right")
    page.click("#labels li:nth-child(2) .right")
    page.click("#labels li:nth-child(2) .wrong")  # a change of mind
    page.click("#labels li:nth-child(3) .wrong")
    page.click("#labels li:nth-child(3) .wrong")  # taken back
    ids = page.run("return [...document.querySelectorAll('#labels li')].map(e => e.dataset.id)")
    page.click("#send")
    page.wait("document.getElementById('status').innerText.startsWith('Your feedback is kept')")
    (line,) = (server.folder / KEPT).read_text().splitlines()
    kept = json.loads(line)
    assert (kept["text"], kept["accepted"], kept["rejected"]) == ("a red plum", ids[:1], ids[1:2])


@in_a_browser
def test_why_opens_and_closes(page):
    labelled(page)
    page.click("#labels li:nth-child(1) .why")
    page.wait("document.querySelector('#labels li .reason table')")
    reason = page.text("#labels li:nth-child(1) .reason")
    assert "plum" in reason or "red" in reason
    page.click("#labels li:nth-child(1) .why")
    assert page.text("#labels li:nth-child(1) .reason") == ""


@in_a_browser
def test_it_works_by_keyboard_alone(page):
    focused = "return document.activeElement.id || document.activeElement.className"
    page.press("Tab")
    assert page.run(focused) == "model"
    page.press("Tab")
    assert page.run(focused) == "text"
    page.type("#text", "a red plum")
    page.press("Tab")
    assert page.run(focused) == "k"
    page.press("Enter")
    page.wait("document.querySelectorAll('#labels li').length")
    assert page.run(focused) == "found-title"  # where reading goes on
    seen = []
    for _ in range(3):
        page.press("Tab")
        seen.append(page.run(focused))
    assert seen == ["why", "right", "wrong"]
    page.press("Space")
    assert page.run("return document.activeElement.getAttribute('aria-pressed')") == "true"


@in_a_browser
def test_an_error_is_said_where_readers_of_screens_hear_it(page):
    page.type("#text", " ")
    page.run("document.getElementById('text').required = false")
    page.click("button[type=submit]")
    page.wait("document.getElementById('status').className === 'error'")
    assert page.text("#status") == 'text: expected a text that isn\'t empty, got " "'
    assert page.run("return document.getElementById('status').ariaLive || 'polite'") == "polite"
    page.log()  # the browser itself notes the 422


@in_a_browser
def test_it_fits_a_phone(page):
    labelled(page)
    assert page.run("return document.documentElement.scrollWidth <= window.innerWidth")
    small = page.run(
        "return [...document.querySelectorAll('button, input, textarea')]"
        ".filter(e => e.getBoundingClientRect().height < 40).length"
    )
    assert small == 0


@in_a_browser
def test_of_several_models_one_is_chosen_and_those_of_matrices_are_left_out(page):
    offered = "return [...document.getElementById('model').options].map(o => o.value)"
    assert page.run(offered) == ["first", "second"]


CONTRASTS = """
const rgb = (text) => text.match(/[\\d.]+/g).slice(0, 3).map(Number);
const light = (c) => rgb(c).map(v => v / 255)
  .map(v => v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
  .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
const ground = (e) => {
  const own = getComputedStyle(e).backgroundColor;
  return own.endsWith(", 0)") || own === "transparent" ? ground(e.parentElement) : own;
};
return [...document.querySelectorAll('h1, h2, label, .quiet, .name, .score, button, #status')]
  .filter(e => e.getClientRects().length && !e.disabled && e.innerText)
  .map(e => [light(getComputedStyle(e).color), light(ground(e))].sort((a, b) => b - a))
  .map(([a, b]) => (a + 0.05) / (b + 0.05));
"""


@in_a_browser
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_texts_stand_out_in_light_and_dark(page, scheme):
    page.prefer(scheme)
    labelled(page).click("#labels li:first-child .right")
    contrasts = page.run(CONTRASTS)
    assert page.run(f"return matchMedia('(prefers-color-scheme: {scheme})').matches")
    assert len(contrasts) > 20 and min(contrasts) >= 4.5  # as WCAG asks of texts
