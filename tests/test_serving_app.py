"""The service's endpoints, asked without a network."""

import asyncio
import json
import logging

import numpy as np
import pytest
import scipy.sparse as sp
from serving_tools import LABELS, TEXTS, asked, colours, get, numbers, post, service

from xmc import LowRankClassifier, OneVsAllClassifier, TextClassifier, load
from xmc.serving import bodies, door


@pytest.fixture(scope="module")
def app():
    return service()


@pytest.fixture(scope="module")
def both():
    return service(colours(), numbers())


def suggestions(text, k=5):
    """What the model itself says."""
    found = load(colours()).suggest(text, k)
    return [{"id": i, "name": name, "score": pytest.approx(s, rel=1e-6)} for i, name, s in found]


def test_one_text_gets_its_labels_best_first(app):
    answer = post(app, "/predict", {"text": "a red plum", "k": 2})
    assert (answer.status, answer.json) == (200, {"labels": suggestions("a red plum", 2)})


def test_without_k_there_are_five_labels(app):
    assert len(post(app, "/predict", {"text": "a red plum"}).json["labels"]) == 5


def test_a_k_above_the_number_of_labels_gives_them_all(app):
    assert len(post(app, "/predict", {"text": "a red plum", "k": 1000}).json["labels"]) == 5


def test_several_texts_get_a_result_each_in_their_order(app):
    answer = post(app, "/predict", {"texts": TEXTS * 20, "k": 3}).json
    expected = [{"labels": suggestions(text, 3)} for text in TEXTS]
    assert answer == {"results": expected * 20}


def test_rows_name_features_by_their_numbers(both):
    rows = [{"0": 1, "1": 0.5}, {"5": 2.0}, {}]
    answer = post(both, "/predict", {"rows": rows, "k": 1, "model": "numbers"}).json
    first = [result["labels"][0]["id"] for result in answer["results"][:2]]
    assert first == ["0", "2"]
    assert answer["results"][1]["labels"][0]["name"] == "2"


def hashed(texts):
    """An encoder: how often a text has each of eight kinds of words."""
    found = np.zeros((len(texts), 8), np.float32)
    for row, text in enumerate(texts):
        np.add.at(found[row], [sum(word.encode()) % 8 for word in text.split()], 1.0)
    return found


@pytest.mark.parametrize(
    ("below", "how"),
    [
        (OneVsAllClassifier(random_state=0), {"encoder": hashed}),
        (LowRankClassifier(rank=3, random_state=0), {}),
        (LowRankClassifier(rank=3, factorization="als", random_state=0), {"encoder": hashed}),
    ],
)
def test_models_of_every_kind_answer_as_they_do_without_the_service(tmp_path, below, how):
    model = TextClassifier(below, min_df=1, rerank=False, **how).fit(TEXTS, LABELS)
    model.save(tmp_path / "model")
    answer = post(service(str(tmp_path / "model"), **how), "/predict", {"texts": TEXTS, "k": 5})
    found = [[(own["id"], own["score"]) for own in row["labels"]] for row in answer.json["results"]]
    assert found == [
        [(label, pytest.approx(score, rel=1e-6)) for label, _, score in own]
        for own in model.suggest(TEXTS, 5)
    ]


def test_rows_are_ranked_with_products_of_their_features(tmp_path):
    X = sp.csr_matrix(np.array([[1, 1, 0], [1, 0, 1], [0, 1, 1], [1, 0, 0]] * 3, np.float32))
    Y = sp.csr_matrix(np.array([[1, 0], [0, 1], [0, 1], [1, 0]] * 3, np.float32))
    model = OneVsAllClassifier(pairs=0.5, random_state=0).fit(X, Y)
    model.save(tmp_path / "model")
    rows = [{str(feature): 1 for feature in X[row].indices} for row in range(4)]
    answer = post(service(str(tmp_path / "model")), "/predict", {"rows": rows, "k": 2}).json
    found = [[(int(own["id"]), own["score"]) for own in row["labels"]] for row in answer["results"]]
    top = model.predict_topk(X[:4], 2)
    assert found == [
        [(label, pytest.approx(score, rel=1e-6)) for label, score in zip(*own, strict=True)]
        for own in zip(top.labels.tolist(), top.scores.tolist(), strict=True)
    ]


def test_scores_are_the_shortest_decimals_of_their_float32(app):
    text = post(app, "/predict", {"text": "a red plum"}).body.decode()
    model = load(colours()).predict_topk(["a red plum"], 5)
    assert [f'"score":{score}}}' in text for score in map(str, model.scores[0])] == [True] * 5


WRONG = [
    ({"text": 7}, "text: expected a text that isn't empty, got 7"),
    ({"text": ""}, 'text: expected a text that isn\'t empty, got ""'),
    ({"text": " \n"}, 'text: expected a text that isn\'t empty, got " \\n"'),
    ({"text": ["a"]}, "text: expected a text that isn't empty, got a list of 1"),
    ({"text": "\ud800"}, "text: half of a surrogate pair is no Unicode text"),
    ({"text": "a", "k": 0}, "k: expected an int from 1 to 1,000, got 0"),
    ({"text": "a", "k": 1001}, "k: expected an int from 1 to 1,000, got 1001"),
    ({"text": "a", "k": 10**6}, "k: expected an int from 1 to 1,000, got 1000000"),
    ({"text": "a", "k": True}, "k: expected an int from 1 to 1,000, got true"),
    ({"text": "a", "k": "5"}, 'k: expected an int from 1 to 1,000, got "5"'),
    ({"text": "a", "k": 5.0}, "k: expected an int from 1 to 1,000, got 5.0"),
    ({"text": "a", "k": None}, "k: expected an int from 1 to 1,000, got null"),
    (
        {"text": "a", "n": 1},
        'body: unknown field "n"; known are text, texts, rows, k, model',
    ),
    ({}, "body: expected one of text, texts, rows, got none"),
    ({"text": "a", "texts": ["a"]}, "body: expected one of text, texts, rows, got text and texts"),
    ({"texts": []}, "texts: expected a list of 1 to 1,000, got []"),
    ({"texts": ["a"] * 10_000}, "texts: expected a list of 1 to 1,000, got a list of 10,000"),
    ({"texts": ["a", ""]}, 'texts[1]: expected a text that isn\'t empty, got ""'),
    ({"texts": "a"}, 'texts: expected a list of 1 to 1,000, got "a"'),
    ({"texts": ["a"] * 1000, "k": 1000, "model": "x"}, "model: expected one of colours, got 'x'"),
    ({"rows": [{"0": 1}]}, "rows: this model takes texts, not rows"),
    ([], "body: expected a JSON object, got []"),
    ("a", 'body: expected a JSON object, got "a"'),
    (None, "body: expected a JSON object, got null"),
]


@pytest.mark.parametrize(("body", "line"), WRONG)
def test_a_wrong_field_is_a_422_with_one_line(app, body, line):
    answer = post(app, "/predict", body)
    assert (answer.status, answer.error) == (422, line)


ROWS = [
    ([{"6": 1}], 'rows: expected the number of a feature, from 0 to 5, got "6"'),
    ([{"01": 1}], 'rows: expected the number of a feature, from 0 to 5, got "01"'),
    ([{"²": 1}], 'rows: expected the number of a feature, from 0 to 5, got "\\u00b2"'),
    ([{"0": True}], 'rows[0]["0"]: expected a finite number, got true'),
    ([{"0": "1"}], 'rows[0]["0"]: expected a finite number, got "1"'),
    ([{"0": 1e39}], 'rows[0]["0"]: expected a finite number, got 1e+39'),
    ([[1]], "rows[0]: expected an object of features and their values, got a list of 1"),
]


@pytest.mark.parametrize(("rows", "line"), ROWS)
def test_a_wrong_row_is_a_422_with_one_line(both, rows, line):
    answer = post(both, "/predict", {"rows": rows, "model": "numbers"})
    assert (answer.status, answer.error) == (422, line)


def test_a_model_of_matrices_takes_no_text(both):
    answer = post(both, "/predict", {"text": "a", "model": "numbers"})
    assert answer.error == "text: this model takes rows of features, not texts"


def test_of_several_models_one_must_be_named(both):
    answer = post(both, "/predict", {"text": "a red plum"})
    assert (answer.status, answer.error) == (
        422,
        "model: expected one of colours, numbers, got none",
    )
    named = post(both, "/predict", {"text": "a red plum", "model": "colours"}).json
    assert named == {"labels": suggestions("a red plum")}


def test_an_answer_that_would_be_too_long_is_refused(app, monkeypatch):
    monkeypatch.setattr("xmc.serving.answering.MOST_LABELS", 20)
    assert post(app, "/predict", {"texts": TEXTS[:4], "k": 1000}).status == 200
    answer = post(app, "/predict", {"texts": TEXTS[:5], "k": 1000})
    expected = "texts or rows times k: expected 20 at most, got 5 times 5"
    assert (answer.status, answer.error) == (422, expected)


NOT_JSON = [
    (b"", "body: expected JSON, at 0: Expecting value"),
    (b"{bad", "body: expected JSON, at 1: Expecting property name enclosed in double quotes"),
    (b'{"text": "\xff"}', "body: expected UTF-8, got other bytes at 10"),
    (b'{"text": "a", "k": NaN}', "body: expected JSON, which has no NaN"),
    (b'{"text": "a", "text": "b"}', 'body: expected each name once, got "text" twice'),
    (b"[" * 100_000, "body: expected JSON that is nested less deeply"),
    (b'{"k": 1%s}' % (b"0" * 5000), "body: expected JSON with numbers that can be read"),
]


@pytest.mark.parametrize(("body", "line"), NOT_JSON)
def test_what_is_no_json_is_a_400_with_one_line(app, body, line):
    answer = post(app, "/predict", body)
    assert (answer.status, answer.error) == (400, line)


@pytest.mark.parametrize(
    "given", ["", "text/plain", "application/x-www-form-urlencoded", "multipart/form-data"]
)
def test_another_content_type_is_a_415(app, given):
    answer = post(app, "/predict", {"text": "a"}, {"Content-Type": given})
    expected = f"Content-Type: expected application/json, got {given or 'none'}"
    assert (answer.status, answer.error) == (415, expected)


def test_a_charset_beside_the_content_type_does_no_harm(app):
    how = {"Content-Type": "Application/JSON; charset=utf-8"}
    assert post(app, "/predict", {"text": "a"}, how).status == 200


def test_a_compressed_body_is_a_415(app):
    answer = post(app, "/predict", {"text": "a"}, {"Content-Encoding": "gzip"})
    assert (answer.status, answer.error[:17]) == (415, "Content-Encoding:")


def test_a_body_over_10_mb_is_a_413_and_one_of_10_mb_is_read(app):
    def of(size):
        return b'{"text": "%s", "k": 0}' % (b"x" * (size - 20))

    assert len(of(10_000_000)) == 10_000_000
    assert post(app, "/predict", of(10_000_000)).status == 422  # k is 0
    answer = post(app, "/predict", of(10_000_001))
    expected = "body: expected 10,000,000 bytes at most, got more"
    assert (answer.status, answer.error) == (413, expected)


def test_who_waits_for_leave_to_send_too_much_is_told_at_once(app):
    headers = {"Expect": "100-continue", "Content-Length": "10000001"}
    answer = post(app, "/predict", b"", headers)
    assert (answer.status, answer.error[-16:]) == (413, "st, got 10000001")


def test_a_body_that_doesn_t_come_is_a_408(app, monkeypatch):
    monkeypatch.setattr(bodies, "SECONDS", 0.05)

    async def hang(self, scope, receive, send):
        async def never():
            await asyncio.sleep(60)

        await self(scope, never, send)

    def hanging(scope, receive, send):
        return hang(app, scope, receive, send)

    headers = {"Content-Type": "application/json"}
    answer = asyncio.run(asked(hanging, "POST", "/predict", headers=headers))
    assert (answer.status, answer.error[:19]) == (408, "body: expected all ")


def test_a_sender_that_leaves_in_mid_body_is_let_go(app):
    headers = {"Content-Type": "application/json"}
    answer = asyncio.run(asked(app, "POST", "/predict", headers=headers, parts=[b'{"text": ']))
    assert (answer.status, answer.error) == (400, "body: expected all of it, the sender left")
    assert app.held.total == 0


def test_bodies_take_only_so_much_memory_all_together(app, monkeypatch):
    monkeypatch.setattr(bodies, "MOST_HELD", 100)
    answer = post(app, "/predict", {"text": "a" * 100})
    assert (answer.status, answer.headers["retry-after"]) == (503, "1")
    assert answer.error == "busy: too many large requests at once; try again later"
    assert post(app, "/predict", {"text": "a" * 50}).status == 200
    assert app.held.total == 0


def test_more_requests_than_can_be_answered_are_told_so(app, monkeypatch):
    monkeypatch.setattr(door, "MOST_REQUESTS", 0)
    answer = get(app, "/health")
    assert (answer.status, answer.headers["retry-after"]) == (503, "1")
    assert answer.error == "busy: too many requests at once; try again later"


def test_unknown_paths_and_methods_are_json_too(app):
    assert get(app, "/nothing").error == "GET /nothing: not found"
    assert get(app, "/predict").error == "GET /predict: method not allowed"
    assert [get(app, path).status for path in ("/predict/", "//predict", "/v1/")] == [404] * 3


def test_a_bug_is_a_500_without_its_trace_and_the_log_has_it(app, monkeypatch, caplog):
    monkeypatch.setattr("xmc.serving.loaded.Loaded.answers", lambda *args: 1 / 0)
    monkeypatch.setattr(logging.getLogger("xmc.serving"), "propagate", True)
    answer = post(app, "/predict", {"text": "a"}, {"X-Request-ID": "mine"})
    expected = "internal error; the log has it by this X-Request-ID"
    assert (answer.status, answer.error) == (500, expected)
    assert "mine: internal error" in caplog.text and "ZeroDivisionError" in caplog.text


def test_the_request_id_is_the_one_given_or_a_new_one(app):
    assert get(app, "/health", headers={"X-Request-ID": "a-1.b"}).headers["x-request-id"] == "a-1.b"
    ids = {
        get(app, "/health", headers={"X-Request-ID": given}).headers["x-request-id"]
        for given in ("", "two words", "a" * 101, "é")
    }
    assert len(ids) == 4 and all(len(own) == 32 and own.isalnum() for own in ids)


def test_models_tells_what_is_served(both):
    assert get(both, "/models").json == {
        "models": [
            {
                "name": "colours",
                "kind": "TextClassifier",
                "takes": "text",
                "n_labels": 5,
                "n_rows": 15,
            },
            {
                "name": "numbers",
                "kind": "OneVsAllClassifier",
                "takes": "row",
                "n_labels": 3,
                "n_rows": 12,
            },
        ]
    }


def test_health_is_ok(app):
    assert get(app, "/health").json["status"] == "ok"


def test_openapi_describes_each_post_with_the_fields_that_are_checked(app):
    described = get(app, "/openapi.json").json["paths"]
    assert set(described) == {
        *("/predict", "/explain", "/feedback", "/models", "/health", "/metrics")
    }
    body = described["/predict"]["post"]["requestBody"]["content"]["application/json"]["schema"]
    assert set(body["properties"]) == {"text", "texts", "rows", "k", "model"}
    k = body["properties"]["k"]
    assert (k["minimum"], k["maximum"], k["default"]) == (1, 1000, 5)
    assert body["additionalProperties"] is False


def test_metrics_count_requests_and_items():
    app = service()
    post(app, "/predict", {"texts": TEXTS})
    post(app, "/predict", {"text": ""})
    lines = get(app, "/metrics").body.decode().splitlines()
    assert 'xmc_requests_total{endpoint="/predict",status="200"} 1' in lines
    assert 'xmc_requests_total{endpoint="/predict",status="422"} 1' in lines
    assert 'xmc_request_seconds_count{endpoint="/predict"} 2' in lines
    assert f'xmc_items_total{{model="colours"}} {len(TEXTS)}' in lines
    assert 'xmc_batches_total{model="colours"} 1' in lines
    assert "xmc_requests_in_flight 1" in lines  # this one


def test_a_label_is_explained_by_the_words_and_numbers_of_the_model(app):
    (told,) = post(app, "/explain", {"text": "a red plum", "label": "fruit"}).json["explanations"]
    expected = load(colours()).explain("a red plum", "fruit").to_dict()
    assert told == json.loads(json.dumps(expected))
    assert (told["label"], told["name"], told["text"]) == ("fruit", "Fruit", "a red plum")
    assert max(told["words"], key=lambda word: word["weight"])["word"] == "plum"


def test_without_a_label_the_best_k_are_explained(app):
    told = post(app, "/explain", {"text": "a red plum", "k": 3}).json["explanations"]
    best = [label["id"] for label in suggestions("a red plum", 3)]
    assert [own["label"] for own in told] == best
    assert [own["place"] for own in told] == [1, 2, 3]
    all_ = post(app, "/explain", {"text": "a red plum", "k": 1000}).json["explanations"]
    assert len(all_) == 5


def test_rows_are_explained_by_their_features(both):
    body = {"row": {"0": 1.0}, "label": "0", "model": "numbers"}
    (told,) = post(both, "/explain", body).json["explanations"]
    assert told["models"][0]["members"][0]["nodes"][0]["features"][0]["feature"] == "0"


UNEXPLAINED = [
    ({"text": "a" * 100_001}, {}, "characters at most, got a text of 100,001 characters"),
    ({"text": "a"}, {"label": "friut"}, "got 'friut'; the closest is 'fruit'"),
    ({"text": "a"}, {"label": 7}, "label: expected a text that isn't empty, got 7"),
    ({"text": "a"}, {"texts": ["a"]}, "known are text, row, label, k, model"),
    ({"row": {}}, {}, "row: this model takes texts, not rows"),
    ({"row": {}}, {"text": "a"}, "body: expected one of text, row, got text and row"),
    ({"row": {}}, {"label": "3", "model": "numbers"}, "expected the id of a label, got '3'"),
    ({"row": {}}, {"label": "9" * 5000, "model": "numbers"}, "9...999999999999'"),
]


@pytest.mark.parametrize(("asked", "more", "end"), UNEXPLAINED)
def test_what_can_t_be_explained_is_a_422_with_one_line(both, asked, more, end):
    answer = post(both, "/explain", {"model": "colours"} | asked | more)
    assert (answer.status, answer.error[-len(end) :]) == (422, end)


def test_feedback_is_refused_without_known_labels(app):
    def line(**fields):
        return post(app, "/feedback", {"text": "a"} | fields).error

    assert line() == "feedback: expected an id in accepted or rejected, got none"
    assert line(accepted=["read"]) == "label: expected the id of a label, got 'read'"
    expected = "feedback: expected each id once in accepted and rejected together"
    assert line(accepted=["red"], rejected=["red"]) == expected
    missing = post(app, "/feedback", {"accepted": ["red"]}).error
    assert missing == "body: expected a field text, it is missing"


def test_a_model_of_matrices_takes_no_feedback(both):
    answer = post(both, "/feedback", {"text": "a", "accepted": ["0"], "model": "numbers"})
    assert answer.error == "feedback: expected a model of texts, this one takes rows"


def test_feedback_goes_into_the_file_that_was_named(tmp_path):
    app = service(feedback=str(tmp_path / "said.jsonl"))
    given = {"text": "a ré\nd plum", "accepted": ["red"], "rejected": ["sky"]}
    assert post(app, "/feedback", given).json == {"kept": 1}
    (line,) = (tmp_path / "said.jsonl").read_text(encoding="utf-8").splitlines()
    kept = json.loads(line)
    assert kept.pop("time").endswith("+00:00")
    assert kept == {"model": "colours"} | given


def test_feedback_that_can_t_be_written_is_a_503(tmp_path):
    app = service(feedback=str(tmp_path / "nowhere" / "said.jsonl"))
    answer = post(app, "/feedback", {"text": "a", "accepted": ["red"]})
    expected = "feedback can't be written: No such file or directory"
    assert (answer.status, answer.error) == (503, expected)
