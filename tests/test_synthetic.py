import numpy as np
import pytest
import scipy.sparse as sp
from scipy.sparse.linalg import norm

from xmc.datasets import SHAPES, synthesize, synthetic
from xmc.datasets.registry import SPLIT
from xmc.errors import DataError, ParameterError

SCALES = {"wiki10-31k": 0.05, "amazoncat-13k": 0.01, "amazon-670k": 0.02, "amazon-3m": 0.005}


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """(X, Y, X_test, Y_test) in the shape of amazon-670k, small."""
    folder = tmp_path_factory.mktemp("synthetic") / "small"
    synthesize("amazon-670k", folder, scale=0.02)
    return read(folder)


def read(folder):
    return [
        sp.load_npz(folder / name) for name in ("X.trn.npz", "Y.trn.npz", "X.tst.npz", "Y.tst.npz")
    ]


def content(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def rows_per_label(Y):
    return np.bincount(Y.indices, minlength=Y.shape[1])


@pytest.mark.parametrize("like", SHAPES)
def test_sizes_and_averages_are_the_published_ones(tmp_path, like):
    shape, scale = SHAPES[like], SCALES[like]
    synthesize(like, tmp_path / "out", scale=scale)
    X, Y, X_test, Y_test = read(tmp_path / "out")
    n_features, n_labels = round(shape.features * scale**0.5), round(shape.labels * scale)
    assert X.shape == (round(shape.rows * scale), n_features)
    assert X_test.shape == (round(shape.test_rows * scale), n_features)
    assert (Y.shape, Y_test.shape) == (
        (len(X.indptr) - 1, n_labels),
        (len(X_test.indptr) - 1, n_labels),
    )
    for features, labels in [(X, Y), (X_test, Y_test)]:
        assert features.nnz / features.shape[0] == pytest.approx(shape.features_per_row, rel=0.01)
        assert labels.nnz / labels.shape[0] == pytest.approx(shape.labels_per_row, rel=0.03)


def test_matrices_are_canonical_csr(made):
    for M in made:
        assert (M.format, M.dtype, M.indices.dtype, M.indptr.dtype) == (
            "csr",
            np.float32,
            np.int32,
            np.int32,
        )
        M.check_format(full_check=True)
        assert M.has_canonical_format


def test_rows_have_unit_length_and_labels_are_ones(made):
    X, Y, X_test, Y_test = made
    for M in (X, X_test):
        np.testing.assert_allclose(np.sqrt(M.multiply(M).sum(axis=1)), 1, rtol=1e-5)
    for M in (Y, Y_test):
        assert (M.data == 1).all()
        assert np.diff(M.indptr).min() >= 1


def test_label_frequencies_have_a_long_tail(made):
    counts = rows_per_label(made[1])
    assert counts.min() >= 1
    assert 0.6 < (counts <= 3).mean() < 0.9
    assert counts.max() > 20 * counts.mean()


@pytest.mark.parametrize("like", SHAPES)
def test_label_counts_add_up_and_leave_no_label_out(like):
    shape = synthetic.scaled(SHAPES[like], 0.1)
    counts = synthetic._label_counts(shape)
    assert counts.sum() == round(shape.rows * shape.labels_per_row)
    assert counts.min() >= 1
    assert (np.diff(counts) <= 1).all()  # falling, but for rounding


def test_labels_of_a_row_are_near_in_the_tree():
    shape = synthetic.scaled(SHAPES["amazon-670k"], 0.05)
    rng = np.random.default_rng(0)
    tree = synthetic._plant(shape.labels, rng)
    Y = synthetic._deal_rows(tree, rng.permutation(synthetic._label_counts(shape)), shape.rows, rng)
    topics = tree.paths[Y.indices, -2]
    together = (topics[1:, None] == topics[:-1, None]).ravel()
    pairs = np.repeat(np.arange(shape.rows), np.diff(Y.indptr))
    same_row = pairs[1:] == pairs[:-1]
    assert together[same_row].mean() > 20 * together[~same_row].mean()


def test_every_topic_lies_within_its_parent_and_holds_about_30_children():
    tree = synthetic._plant(20_000, np.random.default_rng(0))
    for parents, children in zip(tree.paths.T[:-1], tree.paths.T[1:], strict=True):
        pairs = np.unique(np.stack([children, parents]), axis=1)
        assert len(np.unique(pairs[0])) == pairs.shape[1]
        assert 20 < pairs.shape[1] / len(np.unique(parents)) < 45


def test_the_planted_structure_is_learnable(made):
    """Nearest centroids are right at least 20 times as often as the most frequent label, and not
    always.
    """
    X, Y, X_test, Y_test = made
    Z = (Y.T @ X).tocsr()
    test = np.arange(500)
    scores = (X_test[test] @ Z.T).toarray() / norm(Z, axis=1)
    best = np.argmax(scores, axis=1)
    right = Y_test[test, best].mean()
    right_by_frequency = Y_test[test, np.argmax(rows_per_label(Y))].mean()
    assert right_by_frequency < 0.05
    assert 20 * right_by_frequency < right < 0.75


def test_the_same_seed_gives_the_same_bytes_for_any_block_size(tmp_path, monkeypatch):
    synthesize("amazon-670k", tmp_path / "a", scale=0.005, seed=3)
    monkeypatch.setattr(synthetic, "BLOCK", 999)
    synthesize("amazon-670k", tmp_path / "b", scale=0.005, seed=3)
    assert content(tmp_path / "a") == content(tmp_path / "b")


def test_another_seed_gives_other_bytes(tmp_path):
    synthesize("amazon-670k", tmp_path / "a", scale=0.005, seed=3)
    synthesize("amazon-670k", tmp_path / "b", scale=0.005, seed=4)
    a, b = content(tmp_path / "a"), content(tmp_path / "b")
    assert sorted(a) == sorted(b) == sorted(SPLIT)
    assert all(a[name] != b[name] for name in a)


def test_mix_is_splitmix64():
    """The first two numbers of its reference implementation for seed 0."""
    golden = 0x9E3779B97F4A7C15
    got = [int(synthetic._mix(np.uint64(i * golden % 2**64))) for i in (1, 2)]
    assert got == [0xE220A8397B1DCDAF, 0x6E789E6AA1B965F4]


def test_returns_the_shape_that_was_written(tmp_path):
    shape = synthesize("wiki10-31k", tmp_path / "out", scale=0.02)
    X, Y, X_test, _ = read(tmp_path / "out")
    assert (shape.rows, shape.features) == X.shape
    assert (shape.rows, shape.labels) == Y.shape
    assert shape.test_rows == X_test.shape[0]


def test_progress_is_told_of_every_row_in_both_stages(tmp_path):
    told = {}

    class Progress:
        def stage(self, title, total):
            told[title] = [total, 0]
            return lambda amount: told[title].__setitem__(1, told[title][1] + amount)

    synthesize("wiki10-31k", tmp_path / "out", scale=0.02, progress=Progress())
    assert told == {"drawing rows": [415, 415], "weighting rows": [415, 415]}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            {"like": "amazon"},
            "like must be one of wiki10-31k, amazoncat-13k, amazon-670k, amazon-3m, got 'amazon'",
        ),
        ({"scale": 0}, "scale must be a number from 0.005 to 1, got 0"),
        ({"scale": 1.5}, "scale must be a number from 0.005 to 1, got 1.5"),
        ({"scale": float("nan")}, "scale must be a number from 0.005 to 1, got nan"),
        ({"scale": "half"}, "scale must be a number from 0.005 to 1, got 'half'"),
        ({"seed": -1}, "seed must be an int >= 0, got -1"),
        ({"seed": 0.5}, "seed must be an int >= 0, got 0.5"),
    ],
)
def test_wrong_settings_are_refused(tmp_path, arguments, message):
    with pytest.raises(ParameterError, match=f"^synthesize: {message}$"):
        synthesize(**{"like": "wiki10-31k", "out": tmp_path / "out", "scale": 0.02, **arguments})
    assert not any(tmp_path.iterdir())


def test_an_existing_folder_is_refused_without_overwrite(tmp_path):
    with pytest.raises(DataError, match="exists already; overwrite replaces it"):
        synthesize("wiki10-31k", tmp_path, scale=0.02)


def test_overwrite_replaces_a_synthetic_set(tmp_path):
    synthesize("wiki10-31k", tmp_path / "out", scale=0.02, seed=0)
    before = content(tmp_path / "out")
    synthesize("wiki10-31k", tmp_path / "out", scale=0.02, seed=1, overwrite=True)
    assert content(tmp_path / "out") != before
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_overwrite_needs_nothing_to_replace(tmp_path):
    synthesize("wiki10-31k", tmp_path / "new", scale=0.005, overwrite=True)
    assert content(tmp_path / "new").keys() == set(SPLIT)


def test_overwrite_spares_a_folder_with_other_files(tmp_path):
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(
        DataError, match="expected a synthetic data set to replace, got 'thesis.txt'; choose a new"
    ):
        synthesize("wiki10-31k", tmp_path, scale=0.02, overwrite=True)
    assert (tmp_path / "thesis.txt").read_text() == "mine"


def test_overwrite_spares_a_file(tmp_path):
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(
        DataError, match="expected a synthetic data set to replace, got 'thesis.txt'"
    ):
        synthesize("wiki10-31k", tmp_path / "thesis.txt", scale=0.02, overwrite=True)


def test_a_failure_leaves_nothing_behind(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(synthetic, "_save_features", full)
    with pytest.raises(DataError, match="out: can't be written: No space left on device$"):
        synthesize("wiki10-31k", tmp_path / "out", scale=0.02)
    assert not any(tmp_path.iterdir())
