import numpy as np
import pytest
import scipy.sparse as sp

from xmc import LabelTreeClassifier, OneVsAllClassifier
from xmc.errors import ModelError
from xmc.evidence.names import name_index, without_names
from xmc.evidence.nearest import inverted, likened, nearest, rows_of, with_rows
from xmc.inputs import as_matrix, as_rows
from xmc.label_tree import LabelTree
from xmc.layer import assemble, pack, page_of, unpack
from xmc.training import problem
from xmc.training.problem import Weights
from xmc.training_data import as_seed
from xmc.updating.columns import Change, changed_layer
from xmc.updating.known import Known, joined
from xmc.updating.trees import Lesson, _closed_up, taught, with_leaves

N_FEATURES = 60


def random_weights(rng, width, density=0.3):
    """A dense (width, N_FEATURES) matrix of weights, many of them 0."""
    W = rng.normal(size=(width, N_FEATURES)).astype(np.float32)
    return W * (rng.random(W.shape) < density)


def layer_of(chunks, weights="float32"):
    """The layer of chunks, dense matrices of weights; the bias weight of a child is its sum."""
    pages, bias = [], []
    for W in chunks:
        child, feature = np.nonzero(W)
        pages += pack(
            feature.astype(np.int32), child, W[child, feature], len(W), N_FEATURES, weights
        )
        bias.append(W.sum(axis=1))
    ends = np.concatenate([[0], np.cumsum([len(W) for W in chunks])])
    return assemble(ends, pages, np.concatenate(bias).astype(np.float32))


def dense(layer, n):
    """The weights of a chunk."""
    W = np.zeros((np.diff(layer.chunk_ptr)[n], N_FEATURES), np.float32)
    for q, page in enumerate(range(layer.page_ptr[n], layer.page_ptr[n + 1])):
        feature, child, weight = unpack(layer, page, N_FEATURES)
        W[256 * q + child, feature] = weight
    return W


def solved(W, places):
    """Solutions for children at these places."""
    lane, feature = np.nonzero(W)
    places = np.asarray(places)
    bias = W.sum(axis=1).astype(np.float32)
    return Weights(feature.astype(np.int32), places[lane], W[lane, feature], places, bias, 1)


def bits_of_page(layer, page):
    return [np.asarray(part).tobytes() for part in page_of(layer, page)]


NOTHING = solved(np.zeros((0, N_FEATURES), np.float32), np.empty(0, np.int64))


@pytest.mark.parametrize("weights", ["float32", "float16", "int8"])
def test_a_changed_chunk_has_its_new_columns_and_the_old_ones_as_they_were(rng, weights):
    before = layer_of([random_weights(rng, 40), random_weights(rng, 600)], weights)
    new = random_weights(rng, 4) / 4
    change = Change(np.arange(600), 602, solved(new, [3, 300, 600, 601]))
    after = changed_layer(before, {1: change}, N_FEATURES)
    expected = np.vstack([dense(before, 1), np.zeros((2, N_FEATURES), np.float32)])
    found, own = dense(after, 1), [3, 300, 600, 601]
    kept = np.setdiff1d(np.arange(602), own)
    np.testing.assert_array_equal(found[kept], expected[kept])
    step = {"float32": 0, "float16": 1e-3, "int8": 0.51 * before.scale.max()}[weights]
    np.testing.assert_allclose(found[own], new, atol=step)
    np.testing.assert_array_equal(dense(after, 0), dense(before, 0))
    np.testing.assert_array_equal(after.bias_weight[[43, 340, 640, 641]], new.sum(axis=1))
    assert after.bias_weight[:43].tobytes() == before.bias_weight[:43].tobytes()


@pytest.mark.parametrize("weights", ["float32", "float16", "int8"])
def test_pages_without_a_changed_column_keep_their_bytes(rng, weights):
    before = layer_of([random_weights(rng, 700)], weights)
    change = Change(np.arange(700), 700, solved(random_weights(rng, 1), [300]))
    after = changed_layer(before, {0: change}, N_FEATURES)
    same = [bits_of_page(after, page) == bits_of_page(before, page) for page in range(3)]
    assert same == [True, False, True]


def test_a_damaged_page_is_told(rng):
    layer = layer_of([random_weights(rng, 20)])
    more = layer.more.copy()
    more[3] += 1
    with pytest.raises(ModelError, match="page 0: expected a feature for each weight; the model"):
        changed_layer(
            layer._replace(more=more),
            {0: Change(np.arange(20), 21, NOTHING)},
            N_FEATURES,
        )


def set_last_byte(layer, to):
    """The layer with another byte for the largest feature of its only page."""
    low = layer.low.copy()
    low[layer.feature_ptr[-1] - 1] = to
    return layer._replace(low=low)


@pytest.mark.parametrize(
    "damage",
    [
        lambda layer: layer._replace(low=np.full_like(layer.low, 255)),
        lambda layer: layer._replace(low=np.zeros_like(layer.low)),
        lambda layer: set_last_byte(layer, (1 << layer.shift[0]) - 1),
        lambda layer: set_last_byte(layer, N_FEATURES % (1 << layer.shift[0])),
    ],
)
def test_features_that_are_not_there_are_told(rng, damage):
    layer = layer_of([random_weights(rng, 20)])
    assert (N_FEATURES - 1) % (1 << layer.shift[0]) < (1 << layer.shift[0]) - 1
    with pytest.raises(ModelError, match="page 0: expected features that ascend; the model is"):
        changed_layer(damage(layer), {0: Change(np.arange(20), 21, NOTHING)}, N_FEATURES)


def test_no_change_is_the_same_layer(rng):
    before = layer_of([random_weights(rng, 300), random_weights(rng, 5)])
    for part, own in zip(changed_layer(before, {}, N_FEATURES), before, strict=True):
        np.testing.assert_array_equal(part, own)


def test_int8_weights_beyond_the_page_are_cut_and_leave_the_others_alone(rng):
    before = layer_of([np.clip(random_weights(rng, 20), -1, 1)], "int8")
    huge = np.zeros((1, N_FEATURES), np.float32)
    huge[0, :2] = 50, -50
    after = changed_layer(before, {0: Change(np.arange(20), 21, solved(huge, [20]))}, N_FEATURES)
    np.testing.assert_array_equal(dense(after, 0)[:20], dense(before, 0))
    most = np.float32(127 * before.scale[0])
    np.testing.assert_allclose(dense(after, 0)[20, :2], [most, -most])


def test_a_page_of_new_columns_only_has_its_own_scale(rng):
    before = layer_of([np.clip(random_weights(rng, 256), -1, 1)], "int8")
    new = 50 * random_weights(rng, 1)
    after = changed_layer(before, {0: Change(np.arange(256), 257, solved(new, [256]))}, N_FEATURES)
    np.testing.assert_allclose(dense(after, 0)[256:], new, atol=0.51 * after.scale[1])


@pytest.mark.parametrize("weights", ["float32", "int8"])
def test_removed_columns_are_gone_and_the_last_ones_take_their_places(rng, weights):
    before = layer_of([random_weights(rng, 300)], weights)
    gone = np.zeros(300, bool)
    gone[[2, 150, 299]] = True
    place = _closed_up(gone)
    after = changed_layer(before, {0: Change(place, 297, NOTHING)}, N_FEATURES)
    stay = np.flatnonzero(~gone)
    step = 0 if weights == "float32" else 0.51 * before.scale.max()
    np.testing.assert_allclose(dense(after, 0)[place[stay]], dense(before, 0)[stay], atol=step)
    np.testing.assert_array_equal(after.bias_weight[place[stay]], before.bias_weight[stay])
    assert place[[297, 298]].tolist() == [2, 150]
    assert (place[:297][~gone[:297]] == np.flatnonzero(~gone[:297])).all()


def test_a_chunk_may_lose_all_its_columns(rng):
    before = layer_of([random_weights(rng, 3), random_weights(rng, 4)])
    after = changed_layer(before, {0: Change(np.full(3, -1), 0, NOTHING)}, N_FEATURES)
    assert after.chunk_ptr.tolist() == [0, 0, 4]
    np.testing.assert_array_equal(dense(after, 1), dense(before, 1))


def test_new_leaves_stand_behind_those_of_their_parent():
    tree = LabelTree((np.array([0, 2]), np.array([0, 2, 5])), np.array([4, 1, 0, 3, 2], np.int32))
    grown = with_leaves(tree, np.array([7, 5, 6]), np.array([1, 0, 0]))
    assert grown.labels.tolist() == [4, 1, 5, 6, 0, 3, 2, 7]
    assert grown.chunks[1].tolist() == [0, 4, 8]
    assert grown.chunks[0].tolist() == [0, 2]


@pytest.mark.parametrize("kind", [LabelTreeClassifier, OneVsAllClassifier])
@pytest.mark.parametrize("costs", ["equal", "propensity"])
def test_solving_all_labels_again_on_the_same_rows_gives_the_same_bits(
    rng, kind, costs, monkeypatch
):
    monkeypatch.setattr(problem, "NARROW", -1)  # or few siblings see features in another order
    X = sp.csr_matrix(rng.random((300, 40)) * (rng.random((300, 40)) < 0.3))
    Y = sp.csr_matrix(rng.random((300, 60)) < 0.05, dtype=np.float32)
    shape = {"max_leaf_size": 20} if kind is LabelTreeClassifier else {}
    model = kind(random_state=3, costs=costs, weight_threshold=0, **shape).fit(X, Y)
    labels = np.unique(Y.indices).astype(np.int32)
    data = model._training_data(X, Y)
    lesson = Lesson(data.X, data.Y, labels)
    again = taught(model.model_.predictor, lesson, model._params(), as_seed(3))
    for found, own in zip(again.members, model.model_.predictor.members, strict=True):
        for level, part in enumerate(found.layers):
            for name, array in part._asdict().items():
                np.testing.assert_array_equal(array, getattr(own.layers[level], name), err_msg=name)


def rows(M):
    return as_rows(sp.csr_matrix(np.asarray(M, np.float32)), normalize=False)


def labels(M):
    return sp.csr_matrix(np.asarray(M, np.float32))


def test_a_known_row_gains_labels_and_is_not_taken_twice():
    known = Known(rows([[1, 0], [0, 2], [0, 0]]), labels([[1, 0], [0, 1], [1, 0]]))
    both = joined(known, rows([[0, 2], [3, 3], [0, 0]]), labels([[1, 0, 1], [0, 1, 0], [0, 1, 0]]))
    assert both.n_new == 2  # a row without features equals none
    assert as_matrix(both.X).toarray().tolist() == [[1, 0], [0, 2], [0, 0], [3, 3], [0, 0]]
    expected = [[1, 0, 0], [1, 1, 1], [1, 0, 0], [0, 1, 0], [0, 1, 0]]
    assert both.Y.toarray().tolist() == expected
    assert both.labels.tolist() == [0, 1, 2]


def test_labels_that_gain_no_row_are_not_learned_again():
    known = Known(rows([[1, 0], [0, 2]]), labels([[1, 1], [0, 1]]))
    both = joined(known, rows([[1, 0]]), labels([[1, 0, 1]]))
    assert both.n_new == 0
    assert both.labels.tolist() == [2]


def test_of_equal_rows_the_one_with_most_labels_in_common_gains():
    known = Known(rows([[1, 0]] * 3), labels([[1, 0, 0], [1, 1, 0], [1, 1, 0]]))
    both = joined(known, rows([[1, 0]]), labels([[1, 1, 1]]))
    assert both.n_new == 0
    assert both.Y.toarray().tolist() == [[1, 0, 0], [1, 1, 1], [1, 1, 0]]


def test_rows_with_other_values_or_features_are_new(rng):
    M = rng.random((50, 8)) * (rng.random((50, 8)) < 0.5) + np.eye(50, 8)
    other = M + 1e-6 * (np.abs(M) > 0)
    both = joined(Known(rows(M), labels(np.ones((50, 1)))), rows(other), labels(np.ones((50, 1))))
    assert both.n_new == 50


def index_and_rows(rng, n_rows=400):
    M = rng.random((n_rows, 30)) * (rng.random((n_rows, 30)) < 0.2)
    M[:, 0] = 0.5 + rng.random(n_rows)  # a frequent feature
    X = as_rows(sp.csr_matrix(M.astype(np.float32)), normalize=True)
    return inverted(X, sharpness=0.5), X


def test_rows_come_back_from_the_index_as_exactly_as_it_has_them(rng):
    index, X = index_and_rows(rng)
    found = rows_of(index)
    np.testing.assert_array_equal(found.indices, X.indices)
    np.testing.assert_allclose(found.data, X.data, atol=0.02)


def test_an_indexed_row_is_found_again_by_what_it_became(rng):
    index, X = index_and_rows(rng)
    likeness, back = likened(index, X), rows_of(index)
    for own, other in zip(likeness[:3], back[:3], strict=True):
        np.testing.assert_array_equal(own, other)


def test_more_rows_leave_the_codes_of_the_others_alone(rng):
    index, X = index_and_rows(rng)
    _, more = index_and_rows(rng, 50)
    longer = with_rows(index, more)
    assert longer.n_rows == 450
    assert longer.fits(450, 30)
    np.testing.assert_array_equal(longer.dense[:400], index.dense)
    before, after = rows_of(index), rows_of(longer)
    assert after.data[: len(before.data)].tobytes() == before.data.tobytes()
    best = nearest(longer, more, 1)
    assert (best.rows[:, 0] == 400 + np.arange(50)).mean() > 0.9


def test_values_beyond_the_step_are_cut_and_new_features_get_one():
    known = rows([[1, 0, 0.5], [0.5, 0, 1]])
    longer = with_rows(inverted(known), rows([[3, 2, 0]]))
    assert as_matrix(rows_of(longer)).toarray()[2].tolist() == pytest.approx(
        [0.447, 0.894, 0], abs=1e-3
    )
    assert longer.step.tolist() == pytest.approx([1 / 127, 2 / 127, 1 / 127])


NAMES = ["graph theory", "theory of games", "game", "botany", "plant genetics"]
TEXTS = ["a theory of graphs", "games and plants", "the genetics of plants", "plants"]


def test_names_may_come_later_to_an_index_that_knows_texts():
    like = name_index(NAMES, np.arange(5, dtype=np.int32), 5, TEXTS)
    expected = name_index(NAMES[:3], np.arange(3, dtype=np.int32), 3, TEXTS)
    found = name_index(NAMES[:3], np.arange(3, dtype=np.int32), 3, like=like)
    for part, own in zip(found, expected, strict=True):
        np.testing.assert_array_equal(part, own)


def test_an_index_without_texts_stays_one():
    like = name_index(NAMES, np.arange(5, dtype=np.int32), 5)
    found = name_index(NAMES, np.arange(5, dtype=np.int32), 5, like=like)
    for part, own in zip(found, like, strict=True):
        np.testing.assert_array_equal(part, own)


def test_names_of_some_labels_can_go():
    index = name_index(NAMES, np.array([0, 0, 1, 2, 2], np.int32), 3, TEXTS)
    fewer = without_names(index, np.array([0]))
    assert fewer.fits(3)
    assert fewer.name_labels.tolist() == [1, 2, 2]
    assert fewer.label_indptr.tolist() == [0, 0, 1, 3]
    terms = [index.name_terms[index.name_indptr[n] : index.name_indptr[n + 1]] for n in (2, 3, 4)]
    np.testing.assert_array_equal(fewer.name_terms, np.concatenate(terms))
