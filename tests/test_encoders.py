"""A user's encoder beside the words of texts: what a model makes of it, keeps of it and refuses."""

import io
import json
import os
import sys
from threading import Lock
from time import sleep

import cli_tools as cli
import numpy as np
import pytest
import scipy.sparse as sp
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV

from xmc import (
    DataError,
    LabelTreeClassifier,
    ModelError,
    OneVsAllClassifier,
    ParameterError,
    TextClassifier,
    encoders,
    load,
)
from xmc.datasets import load_sample, sample_texts
from xmc.encoders import (
    ALIKE,
    BATCH,
    ENCODER,
    PROBES,
    SAMPLED,
    EncodedVectorizer,
    Encoding,
    encoder_named,
    encoding_of,
    name_of,
)
from xmc.explaining.occurrences import occurrences
from xmc.io import Dataset
from xmc.io.stored import open_rows
from xmc.reporting.words import Words
from xmc.serving.loaded import Loaded
from xmc.stored_rows import vectorizer_of, write_rows
from xmc.text import make_vectorizer, pack, unpack

TEXTS = ["a red apple", "a red cherry", "green grass", "a green lime", "a blue plum", "blue sky"]
LABELS = [["red", "fruit"], ["fruit", "red"], ["green"], ["green", "fruit"], ["blue"], ["blue"]]
FLAT = OneVsAllClassifier(weight_threshold=0.01, random_state=0)  # an encoder's weights are small
WIDTH = 8
MODULE = """
import numpy as np

def letters(texts):
    return np.array([[1 + text.count(letter) for letter in "abcdefgh"] for text in texts])

def others(texts):
    return 1 / letters(texts)

width = 8
"""


def letters(texts):
    """How often some letters occur, and 1."""
    return np.array([[1 + text.count(letter) for letter in "abcdefgh"] for text in texts])


def others(texts):
    return 1 / letters(texts)


class Counting:
    """An encoder that counts the texts that it is given."""

    def __init__(self):
        self.n_texts = 0

    def __call__(self, texts):
        self.n_texts += len(texts)
        return letters(texts)


@pytest.fixture
def model():
    how = {"min_df": 1, "rerank": False, "encoder": letters, "encoder_weight": 0.25}
    return TextClassifier(clone(FLAT), **how).fit(TEXTS, LABELS)


@pytest.fixture(params=[0, 16])
def vectorizer(request):
    words = TextClassifier(min_df=1, opening=request.param)._unfitted_vectorizer()
    return EncodedVectorizer(words, letters, 0.5)


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A folder to be in, with a module of encoders."""
    (tmp_path / "sentences.py").write_text(MODULE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    yield tmp_path
    sys.modules.pop("sentences", None)


def error_of(act, *args, **how):
    with pytest.raises((DataError, ModelError, ParameterError)) as error:
        act(*args, **how)
    return str(error.value)


def unit(rows):
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def as_lists(found):
    return [[(own.id, own.score) for own in row] for row in found]


def test_rows_are_words_and_then_the_weight_times_what_the_encoder_gives(vectorizer):
    X = vectorizer.fit_transform(TEXTS)
    words = vectorizer.words.transform(TEXTS)
    expected = np.hstack([words.toarray(), 0.5 * unit(letters(TEXTS))])
    assert X.toarray() == pytest.approx(expected, abs=1e-6)
    assert (vectorizer.transform(TEXTS) != X).nnz == 0
    names = vectorizer.get_feature_names_out()
    assert names[: words.shape[1]].tolist() == vectorizer.words.get_feature_names_out().tolist()
    assert names[words.shape[1] :].tolist() == [f"{ENCODER}:{n}" for n in range(WIDTH)]


def test_a_model_of_texts_is_that_of_the_same_columns_in_a_matrix(model):
    words = make_vectorizer(model._text_params())
    X = sp.hstack([words.fit_transform(TEXTS), 0.25 * unit(letters(TEXTS))], format="csr")
    Y = np.array([[label in own for label in model.label_ids_] for own in LABELS])
    matrix = clone(FLAT).fit(X, Y)
    asked = ["a red plum", "grass of another kind"]
    X = sp.hstack([words.transform(asked), 0.25 * unit(letters(asked))], format="csr")
    ours, theirs = model.predict_topk(asked, 4), matrix.predict_topk(X, 4)
    assert ours.labels.tolist() == theirs.labels.tolist()
    assert ours.scores == pytest.approx(theirs.scores, abs=1e-5)
    assert model.ranker()("a red plum", 4).scores == pytest.approx(ours.scores[:1])


def test_texts_without_a_known_word_are_told_apart_by_the_encoder():
    def sides(texts):
        return [[1, 0] if "left" in text else [0, 1] for text in texts]

    texts = [f"{side} number{n}" for n in range(4) for side in ("left", "right")]
    labels = [[text.split()[0]] for text in texts]
    how = {"min_df": 1, "opening": 0, "rerank": False}
    model = TextClassifier(OneVsAllClassifier(), encoder=sides, **how).fit(texts, labels)
    found = model.suggest(["leftmost", "rightmost"], 1)
    assert [own.id for (own,) in found] == ["left", "right"]


def test_a_saved_model_answers_as_before_with_its_encoder(model, tmp_path):
    model.save(tmp_path / "model")
    loaded = load(tmp_path / "model", encoder=letters)
    assert as_lists(loaded.suggest(TEXTS, 3)) == as_lists(model.suggest(TEXTS, 3))
    assert loaded.get_params()["encoder_weight"] == 0.25
    later = load(tmp_path / "model")
    later.encoder = letters
    assert later.suggest("a red plum", 3) == model.suggest("a red plum", 3)
    assert loaded.compress("float32").suggest("a plum", 1) == model.suggest("a plum", 1)


def test_a_loaded_model_says_which_encoder_it_needs(model, tmp_path):
    model.save(tmp_path / "model")
    loaded = load(tmp_path / "model")
    expected = (
        f"model: expected its encoder {__name__}:letters, which reads texts for it: give it by "
        "load(path, encoder=...), model.encoder = ... or --encoder"
    )
    for ask in (loaded.predict_topk, loaded.predict, loaded.suggest):
        assert error_of(ask, TEXTS) == expected
    assert error_of(loaded.explain, "a red plum") == expected
    assert error_of(loaded.ranker(), "a red plum", 1) == expected


def test_another_encoder_than_that_of_the_training_is_noticed(model, tmp_path):
    model.save(tmp_path / "model")
    expected = (
        f"encoder {__name__}:others: expected the numbers that {__name__}:letters gave in "
        "training, got others: it is another encoder, or has changed"
    )
    assert error_of(load, tmp_path / "model", encoder=others) == expected
    model.encoder = others
    assert error_of(model.suggest, "a red plum") == expected
    model.encoder = letters
    assert len(model.suggest("a red plum", 1)) == 1


def test_what_rounding_changes_is_no_other_encoder(model):
    def near(texts):
        return unit(letters(texts)) + 0.3 * ALIKE

    def far(texts):
        return unit(letters(texts)) + 20 * ALIKE * np.arange(WIDTH)

    model.encoder = near
    assert len(model.suggest("a red plum", 1)) == 1
    model.encoder = far
    assert "got others" in error_of(model.suggest, "a red plum")


@pytest.mark.parametrize(
    ("gives", "said"),
    [
        (
            lambda texts: np.ones(len(texts)),
            "expected a row of numbers for each of 3 texts, got float64 of shape (3,)",
        ),
        (
            lambda texts: np.ones((1, 4)),
            "expected a row of numbers for each of 3 texts, got float64 of shape (1, 4)",
        ),
        (
            lambda texts: [["a"] for _ in texts],
            "expected a row of numbers for each of 3 texts, got",
        ),
        (lambda texts: np.ones((len(texts), 0)), "expected at least one number for a text, got 0"),
        (
            lambda texts: [[1.0, 2.0], [1.0, np.nan], [1.0, 1.0]],
            "expected finite numbers, got NaN in text 1, column 1 (counted from 0)",
        ),
        (
            lambda texts: [[1.0, 2.0], [1.0, 1.0], [np.inf, 1.0]],
            "expected finite numbers, got inf in text 2, column 0 (counted from 0)",
        ),
        (lambda texts: sys.exit(3), "failed on 3 texts: SystemExit: 3"),
        (lambda texts: sys.exit("a " * 500), f"failed on 3 texts: SystemExit: {'a ' * 92}a..."),
        (lambda texts: texts.no_such_thing, "failed on 3 texts: AttributeError: 'list' object has"),
    ],
)
def test_what_is_no_array_of_numbers_is_refused_before_training(gives, said):
    model = TextClassifier(rerank=False, min_df=1, encoder=gives)
    found = error_of(model.fit, TEXTS, LABELS)
    assert found.startswith(f"encoder {name_of(gives)}: {said}")
    assert not hasattr(model, "classifier_")


def test_another_width_at_prediction_is_refused(model):
    model.encoder = lambda texts: np.ones((len(texts), 3))
    found = error_of(model.suggest, "a red plum")
    assert found.endswith(": expected 8 numbers for a text, got 3")


def test_rows_of_zeros_and_of_very_large_numbers_are_no_trouble():
    def extreme(texts):
        return np.array([[0.0, 0.0], [1e300, -1e300], [1e-300, 1e-300]])[: len(texts)]

    vectorizer = EncodedVectorizer(None, extreme)
    vectorizer.encoding_ = Encoding("extreme", 1.0, np.ones((3, 2), np.float32))
    half = np.sqrt(0.5)
    expected = np.array([[0, 0], [half, -half], [half, half]])
    assert vectorizer.encoded(["a", "b", "c"]) == pytest.approx(expected)


def test_a_cache_spares_the_encoder_what_it_gave(tmp_path):
    encoder, folder = Counting(), tmp_path / "cache"
    how = {"min_df": 1, "rerank": False, "encoder": encoder, "encoder_cache": folder}
    model = TextClassifier(OneVsAllClassifier(random_state=0), **how)
    first = as_lists(model.fit(TEXTS, LABELS).suggest(TEXTS, 3))
    assert encoder.n_texts == len(PROBES) + len(TEXTS)
    again = as_lists(clone(model).set_params(encoder=encoder).fit(TEXTS, LABELS).suggest(TEXTS, 3))
    assert encoder.n_texts == 2 * len(PROBES) + len(TEXTS)
    assert again == first
    (file,) = folder.iterdir()
    np.load(file, allow_pickle=False)
    file.write_bytes(file.read_bytes()[:-9])
    assert as_lists(model.suggest(TEXTS, 3)) == first
    assert encoder.n_texts == 2 * len(PROBES) + 2 * len(TEXTS)
    assert np.load(file, allow_pickle=False).shape == (len(TEXTS), WIDTH)


def npy_that_says(header):
    """The first bytes of a .npy file, as its format has them, and none of its numbers."""
    return b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header


def archive():
    content = io.BytesIO()
    np.savez(content, np.ones((len(TEXTS), WIDTH), np.float32))
    return content.getvalue()


def rows_of_nothing_but(value):
    content = io.BytesIO()
    np.save(content, np.full((len(TEXTS), WIDTH), value, np.float32))
    return content.getvalue()


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"PK\x03\x04, but no archive",
        archive(),
        npy_that_says(b"{'descr': '<f4', 'fortran_order': False, 'shape': (("),
        npy_that_says(b"{'descr': '<f4', 'fortran_order': False, 'shape': (1000000000000, 8)}\n"),
        rows_of_nothing_but(np.nan),
        rows_of_nothing_but(1e9),
    ],
)
def test_a_damaged_file_of_a_cache_is_made_anew(content, tmp_path):
    vectorizer = EncodedVectorizer(None, letters, cache=tmp_path)
    vectorizer.encoding_ = encoding_of(letters, 1.0)
    expected = vectorizer.encoded(TEXTS)
    (file,) = tmp_path.iterdir()
    whole = file.read_bytes()
    file.write_bytes(content)
    assert np.array_equal(vectorizer.encoded(TEXTS), expected)
    assert file.read_bytes() == whole


def test_a_pipe_in_a_cache_is_not_waited_for(tmp_path):
    vectorizer = EncodedVectorizer(None, letters, cache=tmp_path)
    vectorizer.encoding_ = encoding_of(letters, 1.0)
    vectorizer.encoded(TEXTS)
    (file,) = tmp_path.iterdir()
    file.unlink()
    os.mkfifo(file)
    assert "got a device or pipe" in error_of(vectorizer.encoded, TEXTS)


def test_encoders_do_not_share_what_they_gave(tmp_path):
    found = []
    for encoder in (letters, others):
        vectorizer = EncodedVectorizer(None, encoder, cache=tmp_path / "cache")
        vectorizer.encoding_ = encoding_of(encoder, 1.0)
        found.append(vectorizer.encoded(TEXTS))
    assert np.abs(found[0] - found[1]).max() > 0.1
    assert len([*(tmp_path / "cache").iterdir()]) == 2


def test_a_cache_that_is_no_folder_is_refused(tmp_path):
    (tmp_path / "file").write_text("")
    how = {"min_df": 1, "rerank": False, "encoder": letters}
    wrong = {"file": "is a file", "a/b": "No such file or", "a" * 300: "File name too long"}
    for name, why in (wrong | {"a\0b": "embedded null byte"}).items():
        path = tmp_path / name
        found = error_of(TextClassifier(**how, encoder_cache=path).fit, TEXTS, LABELS)
        shown = str(path).replace("\0", "\\x00")
        assert found.startswith(f"{shown}: expected a folder to cache in, {why}")


def test_a_forecast_encodes_few_texts_and_tells_how_long_all_of_them_take(tmp_path):
    encoder, n_texts = Counting(), 2 * BATCH + 100
    texts = [f"{TEXTS[n % len(TEXTS)]} {n}" for n in range(n_texts)]
    labels = [LABELS[n % len(TEXTS)] for n in range(n_texts)]

    def slow(texts):
        sleep(1e-3 * len(texts))
        return encoder(texts)

    how = {"rerank": False, "encoder": slow, "encoder_cache": tmp_path / "cache"}
    model = TextClassifier(clone(FLAT), **how)
    bare = model.forecast(texts, labels)
    assert encoder.n_texts <= len(PROBES) + SAMPLED
    assert not (tmp_path / "cache").exists()
    assert bare.seconds > 1e-3 * n_texts
    vectorizer = EncodedVectorizer(model._unfitted_vectorizer().words, letters, cache=tmp_path)
    X, seconds = vectorizer.fit_for_forecast(texts)
    whole = vectorizer.fit_transform(texts)
    assert (X.shape, X.nnz) == (whole.shape, whole.nnz)
    assert seconds > 0
    (tmp_path / sorted(file.name for file in tmp_path.glob("*.npy"))[0]).unlink()
    assert 0 < vectorizer.fit_for_forecast(texts)[1]
    vectorizer.encoded(texts)
    assert vectorizer.fit_for_forecast(texts)[1] == 0  # all of them are in the cache


def test_encoding_many_texts_reports_its_progress(capsys):
    texts = [f"a plum {n}" for n in range(BATCH + 1)]
    for verbose, told in (0, ""), (1, "encoding texts: done in "):
        flat = clone(FLAT).set_params(verbose=verbose)
        model = TextClassifier(flat, min_df=1, rerank=False, encoder=letters)
        model.fit(texts, [["plum"]] * len(texts))
        assert capsys.readouterr().err.startswith(told)
    model.suggest("a plum")
    assert "encoding" not in capsys.readouterr().err  # of a single text


class Locked(Counting):
    """An encoder of which no copy can be made."""

    def __init__(self):
        super().__init__()
        self.lock = Lock()


def test_copies_of_a_model_to_train_share_the_encoder():
    """It may be large, or hold what can't be copied."""
    model = TextClassifier(clone(FLAT), min_df=1, rerank=False, encoder=Locked())
    again = clone(model)
    assert again.encoder is model.encoder and model.encoder is not None
    assert again.classifier is not model.classifier
    tried = GridSearchCV(model, {"encoder_weight": [0.25, 1]}, cv=2)
    tried.fit(TEXTS, ["a", "a", "b", "b", "b", "a"])
    assert tried.best_estimator_.encoder is model.encoder


def test_a_ranker_keeps_the_encoder_that_the_model_had(model):
    rank, expected = model.ranker(), model.predict_topk(["a red apple"], 2)
    smaller = model.compress("float32").set_params(encoder=None)
    assert "expected its encoder" in error_of(smaller.suggest, "a red apple")
    assert np.array_equal(rank("a red apple", 2).scores, expected.scores)


@pytest.mark.parametrize("name", ["encoder", "encoder_cache"])
def test_what_is_no_encoder_and_no_folder_is_refused_after_training(name, model):
    model.set_params(**{name: 3})
    found = error_of(model.suggest, "a red apple")
    assert found.startswith(f"TextClassifier: {name} must be a ")


def test_what_a_model_keeps_of_an_encoder_comes_back(vectorizer):
    vectorizer.fit_transform(TEXTS)
    restored = unpack(*pack(vectorizer))
    assert restored.encoder is None
    assert restored.encoding_.name == f"{__name__}:letters"
    assert restored.encoding_.weight == 0.5
    restored.use(letters)
    assert (restored.transform(TEXTS) != vectorizer.transform(TEXTS)).nnz == 0


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"name": 3}, "encoder: expected a name and a weight above 0"),
        ({"weight": 0}, "encoder: expected a name and a weight above 0"),
        ({"weight": np.inf}, "encoder: expected a name and a weight above 0"),
        ({"weight": "1"}, "encoder: expected a name and a weight above 0"),
        ({"probes": np.ones((2, 4), np.float32)}, "encoder: expected numbers for 3 texts"),
        ({"probes": np.ones((3, 0), np.float32)}, "encoder: expected numbers for 3 texts"),
        ({"probes": np.ones((3, 4))}, "encoder: expected numbers for 3 texts"),
        ({"probes": np.full((3, 4), np.nan, np.float32)}, "encoder: expected numbers for 3 texts"),
    ],
)
def test_what_no_encoder_left_behind_is_refused(change, said):
    encoding = encoding_of(letters, 1.0)._replace(**change)
    with pytest.raises(ValueError, match=f"^{said}$"):
        encoding.check()


def test_explanations_hold_the_encoder_as_one_feature_and_add_up(model):
    (best,) = model.explain("a red plum", k=1)
    (node,) = best.models[0].members[0].nodes
    assert [own.feature for own in node.features].count(ENCODER) == 1
    total = node.bias + sum(own.share for own in node.features)
    assert total == pytest.approx(node.margin, abs=1e-5)
    (own,) = (own for own in node.features if own.feature == ENCODER)
    assert own.value * own.weight == pytest.approx(own.share)
    assert model.explain("...", "red").models[0].members[0].nodes[0].features[0].feature == ENCODER


def test_words_of_a_node_leave_the_encoder_out(model):
    n = model.model_.n_features
    found = Words(model).of(np.arange(n)[::-1])
    assert found and not [word for word in found if word.isdecimal() or ENCODER in word]


def test_places_of_features_are_those_of_the_words(vectorizer):
    vectorizer.fit_transform(TEXTS)
    text = "a red plum"
    assert occurrences(vectorizer, text) == occurrences(vectorizer.words, text) != []


def test_a_last_stage_and_its_neighbours_read_the_encoder(few_trees):
    sample = load_sample()
    texts, Y = sample_texts(sample.X[:300], sample.features), sample.Y[:300]
    tree = LabelTreeClassifier(random_state=0)
    model = TextClassifier(tree, rerank=True, encoder=letters).fit(texts, Y)
    n_words = len(model.vectorizer_.words.get_feature_names_out())
    near = model.model_.predictor.sources.neighbors.rows
    assert near.n_features == n_words + WIDTH
    assert {*range(n_words, n_words + WIDTH)} <= {*near.frequent.tolist()}
    (told,) = model.explain(texts[0], k=1)
    total = told.start + sum(own.share for own in told.evidence)
    assert total == pytest.approx(told.log_odds, abs=1e-4)


def test_new_texts_are_learned_with_the_encoder():
    how = {"min_df": 1, "rerank": False, "encoder": letters}
    tree = LabelTreeClassifier(random_state=0, keep_rows=True)
    model = TextClassifier(tree, **how).fit(TEXTS, LABELS)
    model.add(["a yellow bee", "a yellow egg"], [["yellow"], ["yellow"]])
    assert model.suggest("a yellow bee", 1)[0].id == "yellow"


def test_a_folder_of_rows_goes_without_an_encoder(tmp_path):
    Y = sp.csr_matrix(np.eye(6, dtype=np.float32))
    data = Dataset(Y=Y, texts=TEXTS, label_ids=[*"abcdef"])
    words = make_vectorizer(TextClassifier(min_df=1)._text_params())
    rows = write_rows(tmp_path / "a.rows", [data], vectorizer=words)
    model = TextClassifier(min_df=1, rerank=False, encoder=letters)
    expected = f"encoder must be None with {tmp_path / 'a.rows'}, whose texts have features already"
    assert error_of(model.fit, rows) == f"TextClassifier: {expected}"


def test_a_model_without_an_encoder_takes_none(tmp_path):
    plain = TextClassifier(OneVsAllClassifier(), min_df=1, rerank=False).fit(TEXTS, LABELS)
    plain.save(tmp_path / "model")
    found = error_of(load, tmp_path / "model", encoder=letters)
    assert found == f"{tmp_path / 'model'}: the model was trained without an encoder"


def test_a_name_is_no_encoder_of_a_loaded_model(model, tmp_path):
    model.save(tmp_path / "model")
    found = error_of(load, tmp_path / "model", encoder="sentences:letters")
    assert found == "encoder: expected a callable, got 'sentences:letters'"


def test_a_folder_of_rows_keeps_a_vectorizer_with_its_encoder(vectorizer, tmp_path):
    X = vectorizer.fit_transform(TEXTS)
    write_rows(tmp_path / "a.rows", [Dataset(texts=TEXTS)], vectorizer=vectorizer)
    rows = open_rows(tmp_path / "a.rows")
    np.testing.assert_array_equal(rows.X.toarray(), X.toarray())
    again = vectorizer_of(rows)
    again.use(letters)
    np.testing.assert_array_equal(again.transform(TEXTS).toarray(), X.toarray())


def test_a_killed_training_goes_on_with_its_encoder(tmp_path, monkeypatch):
    encoder = Counting()
    how = {"min_df": 1, "rerank": False, "encoder": encoder}
    model = TextClassifier(OneVsAllClassifier(random_state=0), **how)
    first = as_lists(model.fit(TEXTS, LABELS, checkpoint=tmp_path / "kept").suggest(TEXTS, 3))
    n_texts = encoder.n_texts
    model.fit(TEXTS, LABELS, checkpoint=tmp_path / "kept")
    assert encoder.n_texts == n_texts + len(PROBES)  # to see that it hasn't changed
    assert as_lists(model.suggest(TEXTS, 3)) == first
    other = TextClassifier(OneVsAllClassifier(random_state=0), **(how | {"encoder": others}))
    found = error_of(other.fit, TEXTS, LABELS, checkpoint=tmp_path / "kept")
    assert "encoder" in found and "keeps a training" in found
    monkeypatch.setattr(Counting, "__call__", lambda _, texts: others(texts))
    found = error_of(model.fit, TEXTS, LABELS, checkpoint=tmp_path / "kept")
    assert "it is another encoder, or has changed" in found


def test_a_service_asks_a_model_with_its_encoder(model, tmp_path):
    model.save(tmp_path / "model")
    ((best,),) = Loaded(str(tmp_path / "model"), 1, letters).answers(["a red apple"], 1)
    assert best["id"] == model.suggest("a red apple", 1)[0].id
    assert "expected its encoder" in error_of(Loaded, str(tmp_path / "model"), 1)


def test_an_encoder_is_named_by_module_and_name(here):
    assert name_of(encoder_named("sentences:letters")) == "sentences:letters"
    assert name_of(Counting()) == f"{__name__}:Counting"


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("sentences", "encoder: expected module:name, as sentences:encode, got 'sentences'"),
        ("sentences:", "encoder: expected module:name, as sentences:encode, got 'sentences:'"),
        (
            "no_such_module:encode",
            "encoder no_such_module:encode: can't be imported: ModuleNotFoundError: No module "
            "named 'no_such_module'",
        ),
        ("sentences:absent", "encoder sentences:absent: can't be imported: AttributeError: "),
        ("sentences:width", "encoder sentences:width: expected a callable, got int"),
    ],
)
def test_a_name_that_leads_to_no_callable_is_refused(here, name, said):
    assert error_of(encoder_named, name).startswith(said)


def test_a_module_that_exits_when_it_is_imported_is_refused(here):
    (here / "leaves.py").write_text("import sys\n\nsys.exit(5)\n")
    found = error_of(encoder_named, "leaves:encode")
    assert found == "encoder leaves:encode: can't be imported: SystemExit: 5"


def test_commands_train_and_ask_with_an_encoder(here):
    how = "--no-rerank", "--one-vs-all", "--quiet"
    encoder = "--encoder", "sentences:letters"
    some = (cli.home() / "train.tsv").read_text(encoding="utf-8").splitlines()[:300]
    cli.write_lines(here / "some.tsv", *some)
    given = "--encoder-weight", 2, "--encoder-cache", "cache"
    cli.done("train", "some.tsv", "--model", "model", *how, *encoder, *given)
    assert load("model").encoder_weight == 2
    n_files = len([*(here / "cache").iterdir()])
    assert n_files == 1
    asked = "predict", "model", "--text", "an email client"
    found = cli.done(*asked, *encoder, "--encoder-cache", "cache").stdout
    assert len([*(here / "cache").iterdir()]) == n_files + 1
    assert cli.done(*asked, *encoder).stdout == found
    cli.done("explain", "model", "--text", "an email client", *encoder)
    line = cli.refusal(here, *asked)
    assert line.startswith(
        "model: expected its encoder sentences:letters, which reads texts for it: "
    )
    line = cli.refusal(here, *asked, "--encoder", "sentences:others")
    assert line.startswith("encoder sentences:others: expected the numbers that sentences:letters ")
    line = cli.refusal(here, *asked, "--encoder", "sentences:nothing")
    assert line.startswith("encoder sentences:nothing: can't be imported: AttributeError: ")


def test_models_with_an_encoder_are_measured_by_compress_and_compare(here):
    some = (cli.home() / "train.tsv").read_text(encoding="utf-8").splitlines()[:300]
    cli.write_lines(here / "some.tsv", *some)
    encoder = "--encoder", "sentences:letters"
    how = "--no-rerank", "--one-vs-all", "--quiet"
    cli.done("train", "some.tsv", "--model", "model", *how, *encoder)
    cli.done("train", "some.tsv", "--model", "words", *how)
    cli.done("predict", "model", "some.tsv", "--out", "pred.jsonl", *encoder)
    evaluated = json.loads(cli.done("evaluate", "pred.jsonl", "some.tsv", "--json", "-").stdout)
    compress = "compress", "model", "small", "some.tsv"
    line = cli.refusal(here, *compress)
    assert line.startswith("model: expected its encoder sentences:letters, ")
    told = json.loads(cli.done(*compress, *encoder, "--json", "-").stdout)
    assert told["before"]["P@5"] == evaluated["P@5"]
    compare = "compare", "words", "model", "some.tsv"
    line = cli.refusal(here, *compare)
    assert line.startswith("model: expected its encoder sentences:letters, ")
    told = json.loads(cli.done(*compare, *encoder, "--encoder-cache", "c", "--json", "-").stdout)
    assert told["b"]["P@5"] == evaluated["P@5"] != told["a"]["P@5"]
    assert len([*(here / "c").iterdir()]) == 1
    line = cli.refusal(here, *compare, "--encoder", "sentences:others")
    assert line.startswith("encoder sentences:others: expected the numbers that sentences:letters ")
    why = "Error: --encoder goes with a model that was trained with one"
    assert cli.misuse("compare", "words", "pred.jsonl", "some.tsv", *encoder) == why
    why = "Error: --encoder goes with rows to measure on"
    assert cli.misuse("compress", "model", "smaller", *encoder) == why


def test_commands_that_read_all_texts_at_once_tell_how_far_the_encoder_is(here, monkeypatch):
    some = (cli.home() / "train.tsv").read_text(encoding="utf-8").splitlines()[:300]
    cli.write_lines(here / "some.tsv", *some)
    encoder = "--encoder", "sentences:letters"
    how = "--no-rerank", "--one-vs-all", "--quiet"
    cli.done("train", "some.tsv", "--model", "model", *how, *encoder)
    monkeypatch.setattr(encoders, "BATCH", 250)
    for asked in (
        ("compress", "model", "small", "some.tsv"),
        ("compare", "model", "model", "some.tsv"),
        ("report", "model", "some.tsv", "--out", "report.html"),
        ("update", "model", "some.tsv", "--rows", "some.tsv", "--model", "new"),
    ):
        asked = *asked, *encoder, "--overwrite"
        assert "encoding texts: done in " in cli.done(*asked).stderr, asked
        assert "encoding texts" not in cli.done(*asked, "--quiet").stderr, asked


def test_texts_become_features_with_the_encoder_of_a_model(here):
    some = (cli.home() / "train.tsv").read_text(encoding="utf-8").splitlines()[:300]
    cli.write_lines(here / "some.tsv", *some)
    encoder = "--encoder", "sentences:letters"
    how = "--no-rerank", "--one-vs-all", "--quiet"
    cli.done("train", "some.tsv", "--model", "model", *how, *encoder)
    texts = [line.split("\t")[1] for line in some]
    expected = load("model", encoder=letters).vectorizer_.transform(texts)
    convert = "convert", "some.tsv", "X.npz", "Y.npz", "--overwrite", "--vectorizer"
    line = cli.refusal(here, *convert, "model")
    assert line.startswith("model: expected its encoder sentences:letters, ")
    cli.done(*convert, "model", *encoder, "--encoder-cache", "cache")
    np.testing.assert_array_equal(sp.load_npz("X.npz").toarray(), expected.toarray())
    assert len([*(here / "cache").iterdir()]) == 1
    cli.done("convert", "some.tsv", "some.rows", "--vectorizer", "model", *encoder)
    cli.done(*convert, "some.rows", *encoder)
    np.testing.assert_array_equal(sp.load_npz("X.npz").toarray(), expected.toarray())
    cli.done("convert", "some.tsv", "some.npz", "Y.npz", "--overwrite", "--fit-vectorizer", "words")
    line = cli.refusal(here, *convert, "words", *encoder)
    assert line == "words: its vectoriser was fitted without an encoder"
    fit = "convert", "some.tsv", "a.npz", "b.npz", "--fit-vectorizer", "other", *encoder
    assert cli.misuse(*fit) == "Error: --encoder goes with --vectorizer"


def test_flags_of_an_encoder_go_with_texts_and_an_encoder(here):
    matrices = "train", cli.home() / "X.npz", cli.home() / "Y.npz", "--model", "model", "--quiet"
    found = cli.misuse(*matrices, "--encoder", "sentences:letters")
    assert found == "Error: --encoder goes with texts only, the rows have features already"
    texts = "train", cli.home() / "train.tsv", "--model", "model", "--quiet"
    assert (
        cli.misuse(*texts, "--encoder-weight", 2) == "Error: --encoder-weight goes with --encoder"
    )
    assert (
        cli.misuse(*texts, "--encoder-cache", "c") == "Error: --encoder-cache goes with --encoder"
    )
