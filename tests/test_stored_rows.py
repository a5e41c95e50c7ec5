"""Models of rows in a folder are those of the same rows in memory, byte for byte."""

import os

import cli_tools as cli
import numpy as np
import planted
import pytest
import scipy.sparse as sp
from folders import content
from planted import SMALL
from sklearn.base import clone
from test_mapped import in_file

from xmc import (
    LabelTreeClassifier,
    OneVsAllClassifier,
    RerankedClassifier,
    TextClassifier,
    inputs,
    numbering,
    open_rows,
)
from xmc.errors import DataError, ParameterError
from xmc.inputs import as_rows, canonical, scaled, selected
from xmc.io import Dataset, read, read_blocks, stored, write
from xmc.params import TextParams
from xmc.stored_rows import vectorizer_of, write_rows
from xmc.text import make_vectorizer

IDS = [f"label {n:02}" for n in range(planted.N_LABELS)]
TREE = LabelTreeClassifier(**SMALL)
MODELS = {
    "tree": TREE,
    "not scaled": LabelTreeClassifier(normalize=False, **SMALL),
    "one-vs-all": OneVsAllClassifier(costs="propensity", random_state=0),
    "calibrated": LabelTreeClassifier(calibration="platt", keep_rows=True, **SMALL),
    "tail": LabelTreeClassifier(tail_share=0.2, **SMALL),
    "reranked": RerankedClassifier((TREE, OneVsAllClassifier()), random_state=0),
}


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """Training rows, which aren't of length 1, and test rows, in folders."""
    folder = tmp_path_factory.mktemp("rows")
    write(folder / "trn.rows", Dataset(planted.X, planted.Y, label_ids=IDS))
    write(folder / "tst.rows", Dataset(planted.X_TEST, planted.Y_TEST))
    return folder


@pytest.fixture
def rows(home):
    return open_rows(home / "trn.rows")


def saved(model, path):
    model.save(path, overwrite=True)
    return content(path)


def wide(M):
    """The same columns, far apart."""
    return sp.csr_matrix((M.data, M.indices * 50, M.indptr), shape=(M.shape[0], M.shape[1] * 50))


@pytest.mark.parametrize("name", MODELS)
def test_models_of_stored_rows_are_the_same(name, rows, home, tmp_path, monkeypatch):
    monkeypatch.setattr(stored, "ROWS_PER_PART", 16)
    monkeypatch.setattr(inputs, "BLOCK", 200)
    whole = clone(MODELS[name]).fit(planted.X, planted.Y, label_ids=IDS)
    model = clone(MODELS[name]).fit(rows)
    assert saved(model, tmp_path / "a") == saved(whole, tmp_path / "b")
    asked = open_rows(home / "tst.rows")
    for own, expected in zip(
        model.predict_topk(asked), whole.predict_topk(planted.X_TEST), strict=True
    ):
        assert np.array_equal(own, expected)
    assert (model.predict(asked) != whole.predict(planted.X_TEST)).nnz == 0
    assert (model.predict_proba(asked) != whole.predict_proba(planted.X_TEST)).nnz == 0
    assert model.score(asked, asked.Y) == whole.score(planted.X_TEST, planted.Y_TEST)


def test_labels_may_be_given(rows, tmp_path):
    Y = sp.csr_matrix(planted.Y[:, ::-1])
    model = clone(TREE).fit(rows, Y)
    assert saved(model, tmp_path / "a") == saved(clone(TREE).fit(planted.X, Y), tmp_path / "b")
    assert clone(TREE).fit(rows, rows.Y, label_ids=IDS).label_ids_ == IDS
    topic = np.arange(300) % 3
    assert clone(TREE).fit(rows, topic).classes_.tolist() == [0, 1, 2]


@pytest.mark.parametrize("name", ["tree", "reranked"])
def test_rows_of_weight_0_are_left_out(name, rows, tmp_path):
    weights = np.tile([1, 0, 2], 100)
    one = clone(MODELS[name]).fit(rows, sample_weight=weights)
    other = clone(MODELS[name]).fit(planted.X, planted.Y, label_ids=IDS, sample_weight=weights)
    assert saved(one, tmp_path / "a") == saved(other, tmp_path / "b")


def test_wide_rows_are_numbered_anew(tmp_path, monkeypatch):
    for name in ("NARROW", "BLOCK"):
        monkeypatch.setattr(numbering, name, 100)
    X, Y = wide(planted.X), wide(planted.Y)
    write(tmp_path / "a.rows", Dataset(X, Y))
    model, whole = clone(TREE).fit(open_rows(tmp_path / "a.rows")), clone(TREE).fit(X, Y)
    assert len(model.model_.kept_features) == planted.X.shape[1]
    assert saved(model, tmp_path / "a") == saved(whole, tmp_path / "b")


def test_what_is_made_of_stored_rows_lies_in_files(rows, monkeypatch):
    monkeypatch.setattr(inputs, "BLOCK", 200)
    data = clone(TREE)._training_data(rows, None)
    assert in_file(data.X.data) and not np.shares_memory(data.X.data, rows.rows().data)
    assert np.shares_memory(data.X.indices, rows.rows().indices)
    kept = data.of(np.arange(300) % 2 == 0)
    assert in_file(kept.X.data) and in_file(kept.X.indices)
    assert all(name.endswith((".npy", ".json")) for name in os.listdir(rows.path))


def test_rows_of_length_1_are_not_copied(home, tmp_path):
    unit = as_rows(canonical(planted.X, "test", "X"), normalize=True)
    write(tmp_path / "a.rows", Dataset(inputs.as_matrix(unit), planted.Y))
    rows = open_rows(tmp_path / "a.rows")
    data = clone(TREE)._training_data(rows, None)
    assert np.shares_memory(data.X.data, rows.rows().data)


def test_rows_are_scaled_and_selected_by_blocks_as_at_once(rng, monkeypatch):
    X = sp.random(200, 30, 0.2, format="csr", random_state=rng, dtype=np.float32)
    X.data *= np.float32(10) ** rng.integers(-3, 3, X.nnz).astype(np.float32)
    X[3] *= np.float32(1e35)  # is scaled twice
    rows = as_rows(canonical(X, "test", "X"), normalize=False)
    chosen = rng.permutation(200)[:150]
    at_once = scaled(rows)
    monkeypatch.setattr(inputs, "BLOCK", 17)
    by_blocks = scaled(rows)
    assert np.array_equal(by_blocks.data, at_once.data)
    assert not by_blocks.data.flags.writeable
    expected = as_rows(inputs.as_matrix(rows)[chosen], normalize=False)
    assert all(map(np.array_equal, selected(rows, chosen)[:3], expected[:3]))
    mask = np.zeros(200, bool)
    mask[chosen] = True
    by_mask = as_rows(inputs.as_matrix(rows)[mask], normalize=False)
    assert all(map(np.array_equal, selected(rows, mask)[:3], by_mask[:3]))


def test_a_forecast_takes_stored_rows(rows):
    needs = TREE.forecast(rows)
    expected = TREE.forecast(planted.X, planted.Y)
    assert (needs.n_rows, needs.n_features, needs.levels) == (
        expected.n_rows,
        expected.n_features,
        expected.levels,
    )


def test_a_training_goes_on_with_what_it_kept_of_stored_rows(rows, tmp_path):
    one = clone(TREE).fit(rows, checkpoint=tmp_path / "kept")
    other = clone(TREE).fit(rows, checkpoint=tmp_path / "kept")
    assert saved(one, tmp_path / "a") == saved(other, tmp_path / "b")


def error_of(call, *args, **how):
    with pytest.raises((DataError, ParameterError)) as error:
        call(*args, **how)
    return str(error.value)


def test_rows_without_labels_are_not_learned(home, tmp_path):
    write(tmp_path / "a.rows", Dataset(planted.X))
    for model in (TREE, OneVsAllClassifier(), RerankedClassifier(TREE)):
        found = error_of(clone(model).fit, open_rows(tmp_path / "a.rows"))
        assert found == f"{tmp_path / 'a.rows'}: expected labels to learn, the rows have none"


def test_rows_of_another_width_are_refused(rows, tmp_path):
    model = clone(TREE).fit(rows)
    write(tmp_path / "a.rows", Dataset(planted.X[:, :50]))
    found = error_of(model.predict_topk, open_rows(tmp_path / "a.rows"))
    assert found == error_of(model.predict_topk, planted.X[:, :50])


def test_values_that_are_too_large_are_refused(home, tmp_path):
    write(tmp_path / "a.rows", Dataset(planted.X * np.float32(1e17), planted.Y))
    rows = open_rows(tmp_path / "a.rows")
    plain = LabelTreeClassifier(normalize=False, **SMALL)
    assert "expected values from -1e+15 to 1e+15 in X" in error_of(clone(plain).fit, rows)
    plain.fit(planted.X, planted.Y)
    assert "expected values from -1e+15 to 1e+15 in X" in error_of(plain.predict_topk, rows)


def test_rows_that_change_meanwhile_make_no_model(home, tmp_path, monkeypatch):
    write(tmp_path / "a.rows", Dataset(planted.X, planted.Y))
    rows, model = open_rows(tmp_path / "a.rows"), clone(TREE)
    train = LabelTreeClassifier._train

    def train_while_it_changes(self, data, progress):
        os.utime(tmp_path / "a.rows" / "X.data.npy", ns=(1, 1))
        return train(self, data, progress)

    monkeypatch.setattr(LabelTreeClassifier, "_train", train_while_it_changes)
    assert "X.data.npy was changed while it was read" in error_of(model.fit, rows)
    assert not hasattr(model, "model_")


@pytest.fixture(scope="module")
def documents(tmp_path_factory):
    """Files of texts, and a folder of rows made of the first."""
    folder = tmp_path_factory.mktemp("texts")
    for name in ("train.tsv", "test.tsv"):
        (folder / name).write_bytes((cli.home() / name).read_bytes())
    blocks = read_blocks(folder / "train.tsv", block_bytes=20_000)
    write_rows(folder / "train.rows", blocks, vectorizer=make_vectorizer())
    return folder


def as_lists(dataset):
    return [[dataset.label_ids[n] for n in row.indices] for row in dataset.Y]


@pytest.mark.parametrize("rerank", [False, True])
def test_models_of_stored_texts_are_the_same(documents, tmp_path, rerank):
    texts, rows = read(documents / "train.tsv"), open_rows(documents / "train.rows")
    plain = TextClassifier(LabelTreeClassifier(random_state=0), rerank=rerank)
    whole, model = clone(plain).fit(texts.texts, as_lists(texts)), clone(plain).fit(rows)
    assert saved(model, tmp_path / "a") == saved(whole, tmp_path / "b")
    assert model.label_ids_ == rows.label_ids == texts.label_ids
    asked = read(documents / "test.tsv").texts
    other = write_rows(
        tmp_path / "c.rows", read_blocks(documents / "test.tsv"), vectorizer=make_vectorizer()
    )
    for own, expected in zip(model.predict_topk(other), whole.predict_topk(asked), strict=True):
        assert np.array_equal(own, expected)


def test_a_fitted_vectoriser_transforms_in_one_pass(documents, tmp_path):
    vectorizer = vectorizer_of(open_rows(documents / "train.rows"))
    blocks = read_blocks(documents / "test.tsv", block_bytes=500)
    rows = write_rows(tmp_path / "a.rows", blocks, vectorizer=vectorizer)
    expected = vectorizer.transform(read(documents / "test.tsv").texts)
    assert (rows.X != expected).nnz == 0 and rows.X.shape == expected.shape


def test_a_text_model_must_have_the_settings_of_the_folder(documents, tmp_path):
    rows = open_rows(documents / "train.rows")
    found = error_of(TextClassifier(min_df=3).fit, rows)
    wanted = f"min_df must be 2, as in the vectoriser of {rows.path}, got 3"
    assert found == f"TextClassifier: {wanted}"
    words = make_vectorizer(TextParams(opening=0, max_ngram=2))
    blocks = read_blocks(documents / "train.tsv")
    plain = write_rows(tmp_path / "a.rows", blocks, vectorizer=words)
    assert "opening must be 0" in error_of(TextClassifier().fit, plain)
    model = TextClassifier(LabelTreeClassifier(), opening=0, max_ngram=2, rerank=False).fit(plain)
    assert model.n_labels_ == plain.n_labels


def test_a_text_model_needs_texts_and_what_read_them(rows, tmp_path):
    found = error_of(TextClassifier().fit, rows)
    assert found == f"{rows.path}: expected texts, the rows have only features"
    texts = ["a text"] * 300
    write(tmp_path / "a.rows", Dataset(planted.X, planted.Y, texts))
    found = error_of(TextClassifier(rerank=False).fit, open_rows(tmp_path / "a.rows"))
    expected = "expected features of texts, something else made them"
    assert found == f"{tmp_path / 'a.rows'}: {expected}"


def test_texts_of_weight_0_are_left_out(documents, tmp_path):
    rows = open_rows(documents / "train.rows")
    plain = TextClassifier(LabelTreeClassifier(random_state=0), rerank=False)
    weights = np.arange(cli.N_ROWS) % 2
    model = clone(plain).fit(rows, sample_weight=weights)
    assert model.model_.n_rows == cli.N_ROWS // 2
    matrix = LabelTreeClassifier(random_state=0).fit(
        rows.X[1::2], rows.Y[1::2], label_ids=rows.label_ids
    )
    assert saved(model.classifier_, tmp_path / "a") == saved(matrix, tmp_path / "b")
