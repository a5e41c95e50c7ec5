"""scipy's sparse arrays are taken wherever its matrices are, and answers are of the rows' kind."""

import numpy as np
import pytest
import scipy.sparse as sp
import sklearn
from planted import BY_TOPIC, N_LABELS, SMALL, X_TEST, Y_TEST, X, Y, same_answer, same_model
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV, KFold

from xmc import (
    DataError,
    LabelTreeClassifier,
    OneVsAllClassifier,
    RerankedClassifier,
    TextClassifier,
    TopK,
    load,
    metrics,
)
from xmc.calibration import calibrated_on
from xmc.io import align_labels
from xmc.io.npz import read_npz, write_npz
from xmc.reporting.comparison import compare
from xmc.reporting.report import report

NAMES = sp.csr_matrix(np.eye(N_LABELS, X.shape[1], dtype=np.float32))
MODELS = [
    LabelTreeClassifier(**SMALL),
    OneVsAllClassifier(random_state=0),
    OneVsAllClassifier(calibration="isotonic", random_state=0),
    RerankedClassifier(OneVsAllClassifier(random_state=0), label_features=NAMES),
]
FORMS = [sp.csr_array, sp.csc_array, sp.coo_array]
TEXTS = ["a red apple", "green grass", "a blue plum", "a red rose", "green apple", "blue sky"] * 2
IDS = ["fruit", "plant"]
FRUIT = np.array([[1, 0], [0, 1], [1, 0], [0, 1], [1, 0], [1, 1]] * 2, np.float32)
HAS_SETTING = "sparse_interface" in sklearn.get_config()
needs_setting = pytest.mark.skipif(not HAS_SETTING, reason="scikit-learn before 1.9 lacks it")


@pytest.fixture(scope="module")
def fitted():
    return [clone(model).fit(X, Y) for model in MODELS]


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("n", range(len(MODELS)))
def test_arrays_train_the_same_model_as_matrices(n, form, fitted):
    model = clone(MODELS[n])
    if isinstance(model, RerankedClassifier):
        model.set_params(label_features=form(NAMES))
    assert same_model(model.fit(form(X), form(Y)), fitted[n])


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("n", range(len(MODELS)))
def test_arrays_get_the_same_answers_as_matrices(n, form, fitted):
    model, rows = fitted[n], form(X_TEST)
    assert same_answer(model.predict_topk(rows, 5), model.predict_topk(X_TEST, 5))
    assert same_answer(model.predict_topk(form(X_TEST[:1]), 5), model.predict_topk(X_TEST[:1], 5))
    assert abs(model.predict(rows) - model.predict(X_TEST)).nnz == 0
    assert abs(model.predict_proba(rows) - model.predict_proba(X_TEST)).nnz == 0
    assert model.score(rows, form(Y_TEST)) == model.score(X_TEST, Y_TEST)
    assert model.explain(form(X_TEST[:1]), 3).to_dict() == model.explain(X_TEST[:1], 3).to_dict()
    assert same_answer(model.ranker()(sp.csr_array(X_TEST)[0], 3), model.ranker()(X_TEST[0], 3))


@pytest.mark.parametrize("answer", ["predict", "predict_proba"])
@pytest.mark.parametrize("n", range(len(MODELS)))
def test_a_sparse_answer_is_of_the_kind_of_the_rows(n, answer, fitted, tmp_path):
    ask = getattr(fitted[n], answer)
    assert all(type(ask(form(X_TEST))) is sp.csr_array for form in FORMS)
    matrices = X_TEST, X_TEST.tocsc(), X_TEST.tocoo(), X_TEST.toarray()
    assert all(type(ask(rows)) is sp.csr_matrix for rows in matrices)
    fitted[n].save(tmp_path / "model")
    loaded = getattr(load(tmp_path / "model"), answer)
    assert type(loaded(sp.csr_array(X_TEST))) is sp.csr_array
    assert type(loaded(X_TEST)) is sp.csr_matrix


def test_what_the_labels_were_kept_in_does_not_matter():
    model = LabelTreeClassifier(**SMALL).fit(X, sp.csr_array(Y))
    assert type(model.predict(X_TEST)) is sp.csr_matrix
    model.fit(sp.csr_array(X), Y)
    assert type(model.predict(X_TEST)) is sp.csr_matrix


@needs_setting
def test_where_rows_are_not_sparse_scikit_learns_setting_decides(fitted):
    model, dense = fitted[1], X_TEST.toarray()
    with sklearn.config_context(sparse_interface="sparray"):
        assert type(model.predict(dense)) is type(model.predict_proba(dense)) is sp.csr_array
        assert type(model.predict(X_TEST)) is sp.csr_matrix
    assert type(model.predict(dense)) is sp.csr_matrix


@needs_setting
@pytest.mark.parametrize("settings", [{}, {"opening": 0}, {"rerank": True}])
def test_of_texts_scikit_learns_setting_decides(settings):
    model = TextClassifier(OneVsAllClassifier(random_state=0), min_df=1, **settings)
    expected = model.fit(TEXTS, FRUIT, label_ids=IDS).predict(TEXTS)
    assert type(expected) is sp.csr_matrix
    with sklearn.config_context(sparse_interface="sparray"):
        got = model.fit(TEXTS, sp.csr_array(FRUIT), label_ids=IDS).predict(TEXTS)
        assert type(got) is type(model.predict_proba(TEXTS)) is sp.csr_array
        assert model.score(TEXTS, sp.csr_array(FRUIT)) == model.score(TEXTS, FRUIT)
        assert model.suggest(TEXTS[0], 1)[0].id == "fruit"
        assert model.ranker()(TEXTS[0], 1).labels.tolist() == [[0]]
    assert abs(got - expected).nnz == 0


@pytest.mark.parametrize("form", FORMS)
def test_rows_of_weight_0_are_left_out_of_arrays(form):
    weights = np.arange(len(TEXTS)) % 3
    texts = TextClassifier(OneVsAllClassifier(random_state=0), min_df=1)
    ours = texts.fit(TEXTS, form(FRUIT), sample_weight=weights).predict_topk(TEXTS, 2)
    assert same_answer(ours, texts.fit(TEXTS, FRUIT, sample_weight=weights).predict_topk(TEXTS, 2))
    weights = np.arange(X.shape[0]) % 3
    model = OneVsAllClassifier(random_state=0).fit(form(X), form(Y), sample_weight=weights)
    assert same_model(model, OneVsAllClassifier(random_state=0).fit(X, Y, sample_weight=weights))


@pytest.mark.parametrize("form", FORMS)
def test_negatives_may_be_arrays(form):
    negatives = sp.csr_matrix(np.eye(X.shape[0], 8, dtype=np.float32))
    model = LabelTreeClassifier(tree=BY_TOPIC, random_state=0)
    expected = clone(model).fit(X, Y, [None, negatives])
    assert same_model(model.fit(form(X), form(Y), [None, form(negatives)]), expected)


@pytest.mark.parametrize("form", FORMS)
def test_metrics_take_arrays_on_both_sides(form, fitted):
    P, top = fitted[0].predict_proba(X_TEST), fitted[0].predict_topk(X_TEST, 5)
    p = metrics.propensities(Y)
    assert np.array_equal(metrics.propensities(form(Y)), p)
    for predictions in (form(P), top):
        plain = P if predictions is not top else top
        got = metrics.report(form(Y_TEST), predictions, (1, 3), p)
        assert got == metrics.report(Y_TEST, plain, (1, 3), p)
        of_rows = metrics.report(form(Y_TEST), predictions, (3,), p, per_row=True)
        expected = metrics.report(Y_TEST, plain, (3,), p, per_row=True)
        assert all(
            np.array_equal(of_rows[name], own, equal_nan=True) for name, own in expected.items()
        )
        assert metrics.best_threshold(form(Y_TEST), predictions) == metrics.best_threshold(
            Y_TEST, plain
        )
    assert same_answer(TopK.from_csr(sp.csr_array(P), 3), TopK.from_csr(P, 3))


@pytest.mark.parametrize("name", metrics.SCORED)
def test_scorers_take_arrays(name, fitted):
    scorer = metrics.scorer(f"{name}@3")
    assert scorer(fitted[0], sp.csr_array(X_TEST), sp.csc_array(Y_TEST)) == scorer(
        fitted[0], X_TEST, Y_TEST
    )


def test_calibration_takes_arrays(fitted):
    top = fitted[1].predict_topk(X_TEST, 5)
    (a, threshold), (b, same) = (
        calibrated_on("platt", "micro", top, truth) for truth in (Y_TEST, sp.csr_array(Y_TEST))
    )
    assert same_answer(a, b) and threshold == same


def test_reports_and_comparisons_take_arrays(fitted):
    model, other = fitted[:2]
    of_arrays = report(model, sp.csr_array(X_TEST), sp.csr_array(Y_TEST))
    assert of_arrays.metrics == report(model, X_TEST, Y_TEST).metrics
    P, Q = model.predict_proba(X_TEST), other.predict_proba(X_TEST)
    ours = compare(sp.csr_array(P), sp.csr_array(Q), sp.csr_array(Y_TEST))
    assert repr(ours) == repr(compare(P, Q, Y_TEST))


def test_a_grid_search_runs_on_arrays():
    grid = {"weight_threshold": [100.0, 0.1]}  # no weight is as large as 100
    search = GridSearchCV(
        LabelTreeClassifier(**SMALL), grid, cv=KFold(2), scoring=metrics.scorer("P@3")
    ).fit(sp.csr_array(X), sp.csr_array(Y))
    assert search.best_params_ == {"weight_threshold": 0.1}
    assert type(search.predict(sp.csr_array(X_TEST))) is sp.csr_array


def test_files_and_helpers_take_arrays(tmp_path):
    write_npz(tmp_path / "ours.npz", sp.csr_array(Y))
    sp.save_npz(tmp_path / "theirs.npz", sp.csr_array(Y))
    assert all(abs(read_npz(tmp_path / f"{name}.npz") - Y).nnz == 0 for name in ("ours", "theirs"))
    aligned, ids = align_labels(sp.csr_array(FRUIT), IDS, ["plant", "fruit"])
    assert (aligned.toarray() == FRUIT[:, ::-1]).all() and ids == ["plant", "fruit"]


@pytest.mark.parametrize("method", ["predict", "predict_proba", "fit"])
def test_a_flat_array_is_one_line(method, fitted):
    row = sp.coo_array(X_TEST.toarray()[0])
    args = (row,) if method != "fit" else (X, sp.coo_array(np.ones(X.shape[0])))
    with pytest.raises(DataError, match="to be a 2-D numeric matrix, got 1-D float"):
        getattr(fitted[1] if method != "fit" else clone(fitted[1]), method)(*args)
