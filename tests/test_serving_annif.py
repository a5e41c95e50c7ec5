"""Below /v1 the service answers as Annif does."""

import asyncio
import json

import pytest
from serving_tools import asked, colours, get, numbers, post, service

from xmc import load


@pytest.fixture(scope="module")
def app():
    return service(colours(), numbers(), annif=True)


def suggest(app, form, project="colours", query=""):
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    path = f"/v1/projects/{project}/suggest"
    return asyncio.run(asked(app, "POST", path, form.encode(), headers, query))


def expected(text, k):
    return [
        {"uri": i, "label": name, "notation": None, "score": pytest.approx(score, rel=1e-6)}
        for i, name, score in load(colours()).suggest(text, k)
    ]


def test_the_models_of_texts_are_projects(app):
    (project,) = get(app, "/v1/projects").json["projects"]
    assert (project["project_id"], project["is_trained"]) == ("colours", True)
    assert {"name", "language", "backend"} <= set(project)
    assert get(app, "/v1/projects/colours").json == project
    assert get(app, "/v1/").json["title"].startswith("Annif")


def test_suggest_gives_what_the_model_says(app):
    answer = suggest(app, "text=a+red+plum&limit=3")
    assert (answer.status, answer.json) == (200, {"results": expected("a red plum", 3)})


def test_limit_is_ten_and_other_fields_do_no_harm(app):
    answer = suggest(app, "text=a+red+plum&language=en&metadata_title=x")
    assert answer.json == {"results": expected("a red plum", 5)}


def test_threshold_cuts_the_tail(app):
    scores = [own["score"] for own in suggest(app, "text=a+red+plum").json["results"]]
    cut = suggest(app, f"text=a+red+plum&threshold={scores[1]}").json["results"]
    assert [own["score"] for own in cut] == scores[:2]


@pytest.mark.parametrize("form", ["text=", "text=+%0A", "text=red&limit=0"])
def test_no_text_or_no_limit_gives_no_results(app, form):
    answer = suggest(app, form)
    assert (answer.status, answer.json) == (200, {"results": []})


def test_a_batch_answers_each_document_with_its_id(app):
    documents = [
        {"text": "a red plum", "document_id": "7", "metadata": {"title": "x"}},
        {"text": "a green apple"},
    ]
    headers = {"Content-Type": "application/json"}
    body = json.dumps({"documents": documents}).encode()
    path = "/v1/projects/colours/suggest-batch"
    answer = asyncio.run(asked(app, "POST", path, body, headers, "limit=2"))
    assert answer.json == [
        {"results": expected("a red plum", 2), "document_id": "7"},
        {"results": expected("a green apple", 2), "document_id": None},
    ]


def test_learn_keeps_feedback(tmp_path):
    app = service(annif=True, feedback=str(tmp_path / "said"))
    lesson = {"text": "a plum", "subjects": [{"uri": "fruit", "label": "Fruit"}]}
    answer = post(app, "/v1/projects/colours/learn", [lesson, lesson])
    assert (answer.status, answer.body) == (204, b"")
    lines = (tmp_path / "said").read_text().splitlines()
    kept = [json.loads(line) for line in lines]
    assert [(own["text"], own["accepted"], own["rejected"]) for own in kept] == [
        ("a plum", ["fruit"], [])
    ] * 2


def problem(answer):
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json["status"] == answer.status
    return answer.status, answer.json["detail"]


def test_errors_are_problems_as_annif_words_them(app):
    unknown = "project: expected one that /v1/projects names, got "
    assert problem(suggest(app, "text=a", "nothing")) == (404, f"{unknown}'nothing'")
    assert problem(suggest(app, "text=a", "numbers")) == (404, f"{unknown}'numbers'")
    missing = "text: expected a field of the form, it is missing"
    assert problem(suggest(app, "limit=1")) == (400, missing)
    limit = 'limit: expected an int from 0 to 1,000, got "x"'
    assert problem(suggest(app, "text=a&limit=x")) == (422, limit)
    threshold = 'threshold: expected a number from 0 to 1, got "nan"'
    assert problem(suggest(app, "text=a&threshold=nan")) == (422, threshold)
    form = "body: expected the fields of a form in UTF-8"
    assert problem(suggest(app, "text=%ff")) == (400, form)
    many = {"documents": [{"text": "a"}] * 33}
    batch = post(app, "/v1/projects/colours/suggest-batch", many)
    expected = "documents: expected a list of 0 to 32, got a list of 33"
    assert problem(batch) == (422, expected)
    assert get(app, "/v1/nothing").json["title"] == "Not Found"


def test_without_the_option_there_is_no_v1():
    assert get(service(), "/v1/projects").status == 404
