import json
import os
import shutil

import numpy as np
import pytest
import scipy.sparse as sp
from folders import arrays_of, content, edit, mapped, put, replace_array
from planted import arrays
from safetensors.numpy import load_file
from sklearn.base import clone
from sklearn.feature_extraction.text import TfidfVectorizer

from xmc import (
    LabelTree,
    LabelTreeClassifier,
    LowRankClassifier,
    OneVsAllClassifier,
    ParameterError,
    RerankedClassifier,
    TextClassifier,
    Vocabulary,
    io,
    load,
)
from xmc.errors import DataError, ModelError
from xmc.io.folder import ARRAYS
from xmc.model_files import FILE, Entries, describe

SMALL = {"max_leaf_size": 3, "arity": 2, "random_state": 0}
MODELS = {
    "balanced": LabelTreeClassifier(tree="balanced", **SMALL),
    "shallow": LabelTreeClassifier(tree="shallow", arity=4, random_state=0),
    "ensemble": LabelTreeClassifier(n_trees=3, beam_size=2, **SMALL),
    "given": LabelTreeClassifier(
        tree=LabelTree(
            (np.array([0, 2]), np.array([0, 8, 20])), np.arange(20)[::-1].astype(np.int32)
        ),
        random_state=0,
    ),
    "one-vs-all": OneVsAllClassifier(random_state=0),
    "low-rank": LowRankClassifier(random_state=0),
}
TEXTS = ["red apple pie", "red apple", "green pear pie", "green pear", "blue plum pie", "blue plum"]
COLOURS = sp.csr_matrix(np.eye(3).repeat(2, axis=0))


@pytest.fixture(scope="module")
def data():
    """(X, Y): 100 rows of which label i has feature i and two that mean nothing; label 19 has no
    row.
    """
    rng = np.random.default_rng(0)
    Y = rng.random((100, 20)) < 0.1
    Y[:, 19] = False
    Y[:19] |= np.eye(19, 20, dtype=bool)
    X = np.hstack([Y * rng.uniform(1, 2, Y.shape), rng.uniform(0, 0.5, (100, 2))])
    return sp.csr_matrix(X.astype(np.float32)), sp.csr_matrix(Y.astype(np.float32))


@pytest.fixture(scope="module", params=MODELS)
def fitted(request, data):
    return MODELS[request.param].fit(*data)


@pytest.fixture
def folder(tmp_path, data):
    """A saved model of two levels."""
    LabelTreeClassifier(tree="balanced", max_leaf_size=10, arity=2, random_state=0).fit(*data).save(
        tmp_path / "model"
    )
    return tmp_path / "model"


def trained(folder, X, y, **settings):
    """The content of the folder of a model trained on this."""
    LabelTreeClassifier(n_trees=2, **SMALL | settings).fit(X, y).save(folder)
    return content(folder)


def test_a_loaded_model_answers_the_same(fitted, data, tmp_path):
    fitted.save(tmp_path / "model")
    again = load(tmp_path / "model")
    for ours, theirs in zip(
        fitted.predict_topk(data[0], 19), again.predict_topk(data[0], 19), strict=True
    ):
        assert ours.tobytes() == theirs.tobytes()
    assert (fitted.predict(data[0]) != again.predict(data[0])).nnz == 0
    assert (fitted.predict_proba(data[0]) != again.predict_proba(data[0])).nnz == 0


def test_a_loaded_model_is_the_same_estimator(fitted, tmp_path):
    fitted.save(tmp_path / "model")
    again = load(tmp_path / "model")
    ours, theirs = fitted.get_params(), again.get_params()
    ours_tree, theirs_tree = ours.pop("tree", None), theirs.pop("tree", None)
    assert type(again) is type(fitted)
    assert ours == theirs
    assert (
        isinstance(theirs_tree, LabelTree)
        if isinstance(ours_tree, LabelTree)
        else theirs_tree == ours_tree
    )
    for name in (
        "n_labels_",
        "n_features_in_",
        "n_iter_",
        "label_ids_",
        "label_names_",
    ):
        assert getattr(again, name) == getattr(fitted, name)


def test_saving_a_loaded_model_gives_the_same_bytes(fitted, tmp_path):
    fitted.save(tmp_path / "model")
    load(tmp_path / "model").save(tmp_path / "again")
    assert content(tmp_path / "again") == content(tmp_path / "model")


def test_a_loaded_model_can_replace_its_own_folder(fitted, data, tmp_path):
    fitted.save(tmp_path / "model")
    before = content(tmp_path / "model")
    model = load(tmp_path / "model")
    model.save(tmp_path / "model", overwrite=True)
    assert content(tmp_path / "model") == before
    assert np.array_equal(
        model.predict_topk(data[0], 3).labels, fitted.predict_topk(data[0], 3).labels
    )


def test_loading_maps_arrays_read_only(fitted, tmp_path):
    fitted.save(tmp_path / "model")
    found = arrays(load(tmp_path / "model"))
    assert not any(array.flags.writeable for array in found)
    assert all(mapped(array) for array in found if len(array))


def test_a_folder_is_one_json_and_one_file_of_arrays_that_others_can_read(fitted, tmp_path):
    fitted.save(tmp_path / "model")
    assert content(tmp_path / "model").keys() == {FILE, ARRAYS}
    theirs, ours = load_file(tmp_path / "model" / ARRAYS), arrays_of(tmp_path / "model")
    assert theirs.keys() == ours.keys()
    assert all(np.array_equal(theirs[name], ours[name]) for name in ours)


def test_a_loaded_model_can_be_fitted_again(fitted, data, tmp_path):
    fitted.save(tmp_path / "model")
    before = content(tmp_path / "model")
    load(tmp_path / "model").fit(*data).save(tmp_path / "again")
    again = content(tmp_path / "again")
    assert again.pop(FILE) == before.pop(FILE)
    assert again == before


@pytest.mark.parametrize("n_jobs", [2, 4])
def test_the_same_seed_gives_the_same_bytes_for_any_number_of_threads(data, tmp_path, n_jobs):
    one = trained(tmp_path / "one", *data, n_jobs=1, verbose=0)
    assert trained(tmp_path / "many", *data, n_jobs=n_jobs, verbose=1) == one


def test_different_seeds_give_different_models(data, tmp_path):
    for seed in (0, 1):
        trained(tmp_path / str(seed), *data, random_state=seed)
    first, second = (arrays_of(tmp_path / str(seed))["tree0.labels"] for seed in (0, 1))
    assert not np.array_equal(first, second)


def test_trees_of_an_ensemble_differ(data, tmp_path):
    trained(tmp_path / "model", *data)
    arrays = arrays_of(tmp_path / "model")
    assert not np.array_equal(arrays["tree0.labels"], arrays["tree1.labels"])


def test_npz_and_text_of_the_same_data_give_the_same_bytes(data, tmp_path):
    for matrix, name in zip(data, ("X.npz", "Y.npz"), strict=True):
        io.write_matrix(tmp_path / name, matrix)
    names = ["rows.txt", "rows.txt.gz", "rows.svm", "rows.svm.gz"]
    expected = trained(
        tmp_path / "model", *(io.read_matrix(tmp_path / name) for name in ("X.npz", "Y.npz"))
    )
    # SVMlight has no header, and the last label has no row.
    n_labels = data[1].shape[1]
    for name in names:
        io.write(tmp_path / name, io.Dataset(*data))
        read = io.read(tmp_path / name)
        Y = sp.csr_matrix(
            (read.Y.data, read.Y.indices, read.Y.indptr), shape=(read.Y.shape[0], n_labels)
        )
        assert trained(tmp_path / f"model of {name}", read.X, Y) == expected, name


def test_the_json_says_what_the_model_is(folder, data):
    meta = describe(folder)
    assert (meta["format"], meta["class"]) == (3, "LabelTreeClassifier")
    assert (meta["n_features"], meta["n_labels"]) == (data[0].shape[1], data[1].shape[1])
    assert meta["parameters"]["max_leaf_size"] == 10
    assert meta["depths"] == [2]
    assert {"xmc", "python", "numpy", "scipy", "scikit-learn", "numba"} == meta["versions"].keys()


def test_the_json_names_no_threads_times_or_paths(folder):
    text = (folder / FILE).read_text()
    assert not {"n_jobs", "verbose"} & json.loads(text)["parameters"].keys()
    assert str(folder.parent) not in text
    assert "time" not in text


@pytest.mark.parametrize("seed", [None, np.random.RandomState(3)])
def test_a_seed_that_is_no_number_is_saved_as_none(data, tmp_path, seed):
    LabelTreeClassifier(random_state=seed).fit(*data).save(tmp_path / "model")
    assert load(tmp_path / "model").random_state is None


def test_settings_as_numpy_numbers_are_saved_as_numbers(data, tmp_path):
    ours = LabelTreeClassifier(
        C=np.float64(0.5), beam_size=np.int64(3), random_state=np.int32(5), normalize=np.False_
    ).fit(*data)
    ours.save(tmp_path / "model")
    params = load(tmp_path / "model").get_params()
    assert (params["C"], params["beam_size"], params["random_state"], params["normalize"]) == (
        0.5,
        3,
        5,
        False,
    )


@pytest.mark.parametrize(
    "classes",
    [
        ["b", "a", "zw\u00f6lf"],
        np.array(["b", "a", ""], object),
        [7, -3, 5],
        [False, True, True],
        [0.5, 1.5, 2.5],
    ],
    ids=str,
)
def test_classes_survive(tmp_path, classes):
    X = np.eye(3).repeat(4, axis=0)
    y = (
        np.repeat(classes, 4)
        if not np.issubdtype(np.asarray(classes).dtype, np.floating)
        else np.repeat([2.0, 1, 3], 4)
    )
    model = LabelTreeClassifier(random_state=0).fit(X, y)
    model.save(tmp_path / "model")
    again = load(tmp_path / "model")
    assert again.classes_.tolist() == model.classes_.tolist() == np.unique(y).tolist()
    assert again.predict(X).tolist() == model.predict(X).tolist() == y.tolist()


def test_names_of_labels_survive(data, tmp_path):
    ids, names = [f"id {n}" for n in range(20)], ["", "zw\u00f6lf", *map(str, range(18))]
    model = OneVsAllClassifier(random_state=0).fit(*data, label_ids=ids, label_names=names)
    model.save(tmp_path / "model")
    again = load(tmp_path / "model")
    assert (again.label_ids_, again.label_names_) == (ids, names)


def test_a_given_tree_is_kept_without_the_labels_that_had_no_row(data, tmp_path):
    MODELS["given"].fit(*data).save(tmp_path / "model")
    tree = load(tmp_path / "model").tree
    assert [chunk.tolist() for chunk in tree.chunks] == [[0, 2], [0, 7, 19]]
    assert tree.labels.tolist() == list(range(19))[::-1]


def test_a_base_models_given_tree_is_kept(data, tmp_path):
    own = clone(MODELS["given"])
    model = RerankedClassifier(own, random_state=0, neighbors=False).fit(*data)
    model.save(tmp_path / "model")
    again = load(tmp_path / "model")
    (base,) = again.classifier
    kept = load_given(data, tmp_path)
    assert [chunk.tolist() for chunk in base.tree.chunks] == [c.tolist() for c in kept.chunks]
    assert base.tree.labels.tolist() == kept.labels.tolist()
    assert np.array_equal(
        again.predict_topk(data[0], 3).labels, model.predict_topk(data[0], 3).labels
    )


def load_given(data, tmp_path):
    """The tree that a model of its own has kept."""
    MODELS["given"].fit(*data).save(tmp_path / "alone")
    return load(tmp_path / "alone").tree


def test_names_of_features_survive_and_are_asked_for(data, tmp_path):
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame(data[0].toarray(), columns=[f"f{n}" for n in range(22)])
    model = OneVsAllClassifier(random_state=0).fit(frame, data[1])
    model.save(tmp_path / "model")
    again = load(tmp_path / "model")
    assert np.array_equal(again.feature_names_in_, model.feature_names_in_)
    assert again.feature_names_in_.dtype == object
    with pytest.warns(UserWarning, match="X does not have valid feature names"):
        again.predict(data[0])


@pytest.fixture
def of_texts():
    """A model that tells the colours."""
    model = TextClassifier(LabelTreeClassifier(random_state=0))
    return model.fit(TEXTS, COLOURS, label_ids=["red", "green", "blue"])


def test_texts_are_answered_as_their_matrix(of_texts, tmp_path):
    ours = of_texts
    ours.save(tmp_path / "model")
    model = load(tmp_path / "model")
    unseen = ["a plum", "a green apple", "nothing known"]
    from_texts, from_matrix = (
        model.predict_topk(unseen, 3),
        ours.classifier_.predict_topk(ours.vectorizer_.transform(unseen), 3),
    )
    assert np.array_equal(from_texts.labels, from_matrix.labels)
    assert np.array_equal(from_texts.scores, from_matrix.scores)
    assert model.label_ids_[from_texts.labels[0, 0]] == "blue"


def test_a_list_of_texts_goes_wherever_a_matrix_goes(of_texts, tmp_path):
    of_texts.save(tmp_path / "model")
    model = load(tmp_path / "model")
    assert model.score(TEXTS, COLOURS) == 1
    assert model.predict(TEXTS[:2]).indices.tolist() == [0, 0]


def test_texts_to_a_model_without_vectoriser_are_refused(folder):
    with pytest.raises(DataError) as error:
        load(folder).predict_topk(["a text"], 3)
    expected = "LabelTreeClassifier: expected a matrix, got texts; a TextClassifier takes those"
    assert str(error.value) == expected


def test_a_model_with_a_function_in_its_vectoriser_is_refused_and_nothing_is_left(
    of_texts, tmp_path
):
    model = of_texts
    model.vectorizer_ = TfidfVectorizer(tokenizer=str.split, token_pattern=None).fit(TEXTS)
    with pytest.raises(ModelError, match="got a function as tokenizer$"):
        model.save(tmp_path / "model")
    assert os.listdir(tmp_path) == []


def test_a_pattern_that_could_match_for_ever_is_neither_saved_nor_loaded(of_texts, tmp_path):
    of_texts.save(tmp_path / "model")
    settings = json.loads((tmp_path / "model" / "model.json").read_text())["vectorizer"]
    for part in settings["parts"].values():
        part["token_pattern"] = "(a+)+$"
    edit(tmp_path / "model", "model.json", vectorizer=settings)
    with pytest.raises(ModelError, match="token_pattern without repeats inside repeats$"):
        load(tmp_path / "model")
    of_texts.vectorizer_ = TfidfVectorizer(token_pattern="(a+)+$", vocabulary=["a"]).fit(TEXTS)
    with pytest.raises(ModelError, match="token_pattern without repeats inside repeats$"):
        of_texts.save(tmp_path / "other")
    assert os.listdir(tmp_path) == ["model"]


def test_a_model_is_replaced_only_with_overwrite(folder, data):
    before = content(folder)
    model = OneVsAllClassifier(random_state=0).fit(*data)
    with pytest.raises(ModelError, match="exists already; overwrite replaces it$"):
        model.save(folder)
    assert content(folder) == before
    model.save(folder, overwrite=True)
    assert type(load(folder)) is OneVsAllClassifier
    assert "tree0.level1.weight" not in arrays_of(folder)


def test_a_model_replaces_no_folder_of_another_kind(data, tmp_path):
    (tmp_path / "precious").write_text("text")
    with pytest.raises(
        ModelError, match=f"expected a folder with a {FILE} to replace, got something else$"
    ):
        OneVsAllClassifier(random_state=0).fit(*data).save(tmp_path, overwrite=True)
    assert os.listdir(tmp_path) == ["precious"]


def test_a_save_that_fails_leaves_the_old_model(folder, data, monkeypatch):
    before = content(folder)
    monkeypatch.setattr(os, "fsync", lambda *_: (_ for _ in ()).throw(OSError(28, "No space left")))
    with pytest.raises(ModelError, match="can't be written: No space left$"):
        OneVsAllClassifier(random_state=0).fit(*data).save(folder, overwrite=True)
    assert content(folder) == before
    assert os.listdir(folder.parent) == [folder.name]


@pytest.mark.parametrize(
    "changes",
    [
        {"class": "NoSuchClassifier"},
        {"parameters": {"no_such_parameter": 1}},
        {"parameters": {"beam_size": 0}},
        {"parameters": None},
        {"depths": [3]},
        {"depths": 1},
        {"depths": ["x"]},
        {"n_labels": 3},
        {"n_labels": "many"},
        {"vectorizer": {}},
        {"depths": [10**9]},
        {"depths": [True]},
        {"n_features": 0},
        {"n_features": 10**9},
        {"n_features": 2.0},
        {"n_rows": None},
        {"n_rows": 0},
        {"n_rows": 10**30},
        {"n_passes": "few"},
        {"updates": {"n_rows": None, "n_labels": 0, "n_removed": 0}},
        {"updates": {"n_rows": 1, "n_labels": -1, "n_removed": 0}},
        {"parameters": {"beam_size": 2**63}},
        {"parameters": {"max_iter": 10**40}},
    ],
    ids=str,
)
def test_a_json_that_nobody_wrote_is_refused_in_one_line(folder, changes):
    edit(folder, FILE, **changes)
    with pytest.raises(ModelError) as error:
        load(folder)
    assert str(error.value).startswith(f"{folder}: {FILE} can't be read: ")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    "name", ["class", "parameters", "n_labels", "n_features", "depths", "vectorizer"]
)
def test_a_json_that_lacks_something_names_it(folder, name):
    meta = json.loads((folder / FILE).read_text())
    del meta[name]
    (folder / FILE).write_text(json.dumps(meta))
    with pytest.raises(ModelError) as error:
        load(folder)
    assert str(error.value) == f"{folder}: {FILE} can't be read: no {name!r}"


@pytest.mark.parametrize("name", ["tree0.level1.weight", "tree0.labels", "tree0.level0.chunk_ptr"])
def test_a_missing_array_is_named(folder, name):
    replace_array(folder, FILE, name, None)
    with pytest.raises(ModelError, match=f"{FILE} can't be read: no '{name}'$"):
        load(folder)


@pytest.mark.parametrize(
    "field",
    ["chunk_ptr", "page_ptr", "bucket_ptr", "feature_ptr", "entry_ptr", "shift", "scale"]
    + ["bucket", "low", "more", "child", "weight", "bias_weight"],
)
@pytest.mark.parametrize("level", ["tree0.level0", "tree0.level1"])
def test_arrays_that_do_not_fit_each_other_are_refused(folder, level, field):
    name = f"{level}.{field}"
    replace_array(folder, FILE, name, arrays_of(folder)[name][:-1])
    with pytest.raises(ModelError, match=f"{FILE} can't be read: tree0"):
        load(folder)


@pytest.mark.parametrize(
    "change",
    [
        lambda labels: labels[:-1],
        lambda labels: labels * 0,
        lambda labels: labels - 1,
        lambda labels: labels + 9,
    ],
    ids=["fewer", "equal", "negative", "too large"],
)
def test_labels_that_are_none_of_the_models_are_refused(folder, change):
    replace_array(folder, FILE, "tree0.labels", change(arrays_of(folder)["tree0.labels"]))
    with pytest.raises(ModelError, match=f"{FILE} can't be read: tree0: expected"):
        load(folder)


@pytest.fixture
def wide(data, tmp_path):
    """The folder of a model whose features and labels are few of very many."""
    far = [
        sp.csr_matrix((M.data, M.indices * 10**6, M.indptr), shape=(M.shape[0], 10**8))
        for M in map(sp.csr_matrix, data)
    ]
    LabelTreeClassifier(tail_share=0.5, random_state=0).fit(*far).save(tmp_path / "wide")
    return tmp_path / "wide"


@pytest.mark.parametrize("name", ["kept_features", "kept_labels"])
@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda kept: kept[::-1], "expected ascending numbers below 100000000"),
        (lambda kept: kept - 1, "expected ascending numbers below 100000000"),
        (lambda kept: kept + 10**8, "expected ascending numbers below 100000000"),
        (lambda kept: np.repeat(kept[:-1], 2)[: len(kept)], "expected ascending numbers below"),
        (lambda kept: kept[:0], "expected ascending numbers below"),
        (lambda kept: kept[:-1], "expected"),
        (lambda kept: kept.astype(np.int64), "expected int32 in 1"),
        (lambda kept: None, "expected"),
    ],
    ids=["descending", "negative", "too large", "equal", "none", "fewer", "int64", "gone"],
)
def test_numbers_that_are_no_columns_are_refused(wide, name, change, expected):
    replace_array(wide, FILE, name, change(arrays_of(wide)[name]))
    with pytest.raises(ModelError, match=f"{FILE} can't be read: .*{expected}"):
        load(wide)


@pytest.fixture
def with_rows(tmp_path):
    """The folder of a model that keeps its rows: of one feature, one of them without any."""
    X = sp.csr_matrix(np.float32([[1], [0], [1], [1]]))
    model = OneVsAllClassifier(keep_rows=True, tail_share=0.5, random_state=0)
    model.fit(X, sp.csr_matrix(np.eye(4, dtype=np.float32))).save(tmp_path / "rows")
    return tmp_path / "rows"


def test_rows_of_one_feature_and_rows_of_none_come_back(with_rows):
    model = load(with_rows, verify=True)
    assert model.model_.rows.indptr.tolist() == [0, 1, 1, 2, 3]
    assert model.model_.label_embeddings.indptr.tolist() == [0, 1, 1, 2, 3]


def test_a_changed_number_is_found_if_all_is_verified(with_rows):
    before = (with_rows / FILE).read_text()
    changed = arrays_of(with_rows)["rows.data"] + 1
    replace_array(with_rows, FILE, "rows.data", changed)
    (with_rows / FILE).write_text(before)
    load(with_rows)
    with pytest.raises(ModelError, match=f"^{with_rows}: rows.data is not what was written"):
        load(with_rows, verify=True)


@pytest.mark.parametrize("rows", ["rows", "label_means"])
@pytest.mark.parametrize(
    ("field", "change"),
    [
        ("indptr", lambda a: a[:-1]),
        ("indptr", lambda a: np.append(a, a[-1])),
        ("indptr", lambda a: a + (np.arange(len(a)) == 0)),
        ("indptr", lambda a: a - (np.arange(len(a)) == len(a) - 1)),
        ("indptr", lambda a: a + 2 * (np.arange(len(a)) == 1)),
        ("indices", lambda a: a[:-1]),
        ("indices", lambda a: a - 1),
        ("indices", lambda a: a + 1),
        ("data", lambda a: a[:-1]),
    ],
)
def test_rows_that_lead_out_of_their_arrays_are_refused(with_rows, rows, field, change):
    name = f"{rows}.{field}"
    replace_array(with_rows, FILE, name, change(arrays_of(with_rows)[name]))
    with pytest.raises(ModelError, match=f"{FILE} can't be read: {rows}: expected arrays that fit"):
        load(with_rows)


@pytest.mark.parametrize("width", ["n_features", "n_labels"])
def test_a_width_that_its_numbers_leave_is_refused(wide, width):
    edit(wide, FILE, **{width: 10**6})
    with pytest.raises(ModelError, match="expected ascending numbers below 1000000"):
        load(wide)


def test_parameters_by_level_come_back_as_tuples_without_numpys_types(data, tmp_path):
    model = LabelTreeClassifier(C=(np.float32(0.5), 2.0), random_state=0).fit(*data)
    model.save(tmp_path / "model")
    assert load(tmp_path / "model").C == (0.5, 2.0)


def test_a_parameter_that_was_spoilt_after_training_is_refused_at_saving(data, tmp_path):
    model = OneVsAllClassifier(random_state=0).fit(*data).set_params(C=-1)
    with pytest.raises(ParameterError, match="C must be a finite number >= 1e-09"):
        model.save(tmp_path / "model")
    assert os.listdir(tmp_path) == []


# A last stage.
FRUIT = Vocabulary.of(
    [
        ("red", "Rot", "preferred", "de"),
        ("red", "crimson", "alternative", None),
        ("black", "Schwarz", "preferred", "de"),
    ],
    [("red", "black")],
)
BASES = LabelTreeClassifier(**SMALL), OneVsAllClassifier(random_state=0)


@pytest.fixture(scope="module")
def of_matrices(data):
    """A model with a last stage and label features."""
    return RerankedClassifier(BASES, label_features=np.eye(20, 22)).fit(*data)


@pytest.fixture(scope="module")
def staged(of_matrices, tmp_path_factory):
    """Folders of models with a last stage: of matrices with label features, and of texts."""
    home = tmp_path_factory.mktemp("staged")
    of_matrices.save(home / "matrices")
    texts = TextClassifier(BASES, rerank=True, vocabulary=FRUIT)
    texts.fit(TEXTS * 5, [["red"], ["red"], ["green"], ["green"], ["blue"], ["blue"]] * 5)
    texts.save(home / "texts")
    return home


@pytest.fixture(params=["matrices", "texts"])
def stage_folder(request, staged, tmp_path):
    shutil.copytree(staged / request.param, tmp_path / "model")
    return tmp_path / "model"


def refuses(folder):
    """Whether the model can't be loaded, in one line."""
    try:
        load(folder)
    except ModelError as error:
        return "\n" not in str(error) and str(error).startswith(f"{folder}: ")
    return False


def changed(folder, change):
    """The arrays whose change is not noticed."""
    unnoticed, arrays = [], arrays_of(folder)
    for name, array in sorted(arrays.items()):
        other = change(name, array)
        if other is None:
            continue
        put(folder, FILE, arrays | {name: other})
        if not refuses(folder):
            unnoticed.append(name)
    return unnoticed


def test_a_stage_comes_back_with_its_parts(stage_folder, tmp_path):
    model = load(stage_folder)
    model.save(tmp_path / "again")
    assert content(tmp_path / "again") == content(stage_folder)
    meta = describe(stage_folder)
    assert (meta["class"], meta["bases"]) == ("RerankedClassifier", 2)
    assert meta["base0"]["class"] == "LabelTreeClassifier"
    assert meta["base1"]["parameters"]["random_state"] == 0
    assert 0 < meta["threshold"] <= 1


def test_a_stage_answers_as_before(of_matrices, staged, data):
    found, expected = (
        model.predict_topk(data[0], 5) for model in (load(staged / "matrices"), of_matrices)
    )
    np.testing.assert_array_equal(found.labels, expected.labels)
    np.testing.assert_array_equal(found.scores, expected.scores)


def test_no_array_of_a_stage_may_be_shorter(stage_folder):
    unnoticed = changed(stage_folder, lambda name, array: array[:-1] if len(array) else None)
    # A frequent feature less, or a broader concept less, makes no array of a wrong length.
    assert {*unnoticed} <= {"sources.neighbors.rows.frequent", "vocabulary.broader_pairs"}


def test_pointers_of_a_stage_must_rise(stage_folder):
    def falling(name, array):
        of_stage = name.startswith(("sources.", "trees."))
        if not of_stage or not name.endswith(("indptr", "buckets")) or array.size < 3:
            return None
        other = array.copy()
        other.reshape(-1)[1] = other.reshape(-1)[-1] + 1
        return other

    assert changed(stage_folder, falling) == []


@pytest.mark.parametrize("wrong", [-1, 10**6])
def test_ids_of_a_stage_must_be_some_that_there_are(stage_folder, wrong):
    ids = ("sources.beside.ids", "sources.neighbors.labels.ids", "sources.label_features.indices")
    ids += ("sources.neighbors.rows.frequent", "sources.names.name_terms", "trees.feature")
    ids += ("sources.names.ids", "sources.names.key_names", "sources.names.name_labels")

    def beyond(name, array):
        if name not in ids or not len(array):
            return None
        other = array.copy()
        other[-1] = wrong
        return None if name == "trees.feature" and wrong < 0 else other  # -1 is a leaf

    assert changed(stage_folder, beyond) == []


@pytest.mark.parametrize(
    "changes",
    [
        {"bases": 3},
        {"bases": "two"},
        {"base1": {}},
        {"base1": None},
        {"base0": {"class": "NoSuchClassifier", "parameters": {}}},
        {"trees": {}},
        {"trees": {"baseline": "much"}},
        {"sources": None},
        {"threshold": "high"},
    ],
    ids=str,
)
def test_a_stage_that_nobody_wrote_is_refused_in_one_line(stage_folder, changes):
    edit(stage_folder, FILE, **changes)
    assert refuses(stage_folder)


@pytest.mark.parametrize("name", ["bases", "base1", "trees", "sources"])
def test_a_stage_that_lacks_a_part_is_refused(stage_folder, name):
    meta = json.loads((stage_folder / FILE).read_text())
    del meta[name]
    (stage_folder / FILE).write_text(json.dumps(meta))
    assert refuses(stage_folder)


def test_a_folder_without_neighbours_is_one_of_a_model_without(stage_folder):
    """Trees that ask neighbours then don't fit."""
    meta = json.loads((stage_folder / FILE).read_text())
    del meta["sources"]["neighbors"]
    (stage_folder / FILE).write_text(json.dumps(meta))
    assert refuses(stage_folder)


def test_a_vocabulary_comes_back(staged):
    model = load(staged / "texts")
    assert model.vocabulary == FRUIT
    assert model.label_ids_ == ["black", "blue", "green", "red"]
    assert model.vocabulary.broader("red") == ["black"]


def test_parts_of_folders_do_not_see_each_other():
    entries = Entries({}, {"n_features": 7})
    for name in ("a", "ab"):
        entries.add_part(name, Entries({"x": np.array([len(name)])}, {"y": name}))
    assert entries.part("a").arrays["x"].tolist() == [1]
    assert entries.part("ab").meta == {"n_features": 7, "y": "ab"}
    assert entries.part("a").arrays.keys() == {"x"}
    with pytest.raises(KeyError):
        entries.part("b")
