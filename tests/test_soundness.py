import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import scipy.sparse as sp
from damaged import CASES

from xmc.errors import DataError
from xmc.soundness import one_row, sound

FORMATS = ["csr", "csc", "coo", "bsr", "dok", "lil", "dia"]

# What takes a matrix, as an expression in M, and what M is damaged from.
DOORS = {
    "fit X": ("tree().fit(M, Y)", "X"),
    "fit y": ("tree().fit(X, M)", "Y"),
    "user_negatives": ("given_tree().fit(X, Y, [M])", "Y[:, :1]"),
    "forecast": ("tree().forecast(X, M)", "Y"),
    "predict_topk, many rows": ("model.predict_topk(M, 2)", "X"),
    "predict_topk, one row": ("model.predict_topk(M, 2)", "X[:1]"),
    "ranker": ("ranker(M, 2)", "X[:1]"),
    "predict": ("model.predict(M)", "X"),
    "predict_proba, one row": ("model.predict_proba(M)", "X[:1]"),
    "score, X": ("model.score(M, Y)", "X"),
    "score, y": ("model.score(X, M)", "Y"),
    "score, y, one label a row": ("single.score(X, M)", "Y"),
    "metrics, Y_true": ("metrics.report(M, Y, [1])", "Y"),
    "metrics, predictions": ("metrics.report(Y, M, [1])", "Y"),
    "propensities": ("metrics.propensities(M)", "Y"),
    "TopK": ("TopK.from_csr(M, 2)", "Y"),
    "write_matrix": ("io.write_matrix(folder / 'M.npz', M)", "X"),
    "write, X": ("io.write(folder / 'M.svm', io.Dataset(M, Y))", "X"),
    "write, Y": ("io.write(folder / 'M.svm', io.Dataset(X, M))", "Y"),
}
SCRIPT = """
import json
import sys
from pathlib import Path

import numpy as np
import scipy.sparse as sp
from damaged import CASES

from xmc import DataError, LabelTree, LabelTreeClassifier, TopK, io, metrics

folder = Path(sys.argv[1])
rng = np.random.default_rng(0)
dense = rng.random((12, 12)) * (rng.random((12, 12)) < 0.5) + np.eye(12)
X = sp.csr_matrix(dense, dtype=np.float32)
Y = sp.csr_matrix(np.eye(12) + np.eye(12, k=1), dtype=np.float32)
tree = LabelTreeClassifier

def given_tree():
    return tree(tree=LabelTree((np.array([0, 12]),), np.arange(12, dtype=np.int32)))

model = tree().fit(X, Y)
single = tree().fit(X, np.arange(12))
ranker = model.ranker()
for door, (call, source) in json.loads(sys.argv[2]).items():
    for name, damage in CASES.items():
        M = damage(eval(source))
        print(door, name, sep="\\t", end="\\t", flush=True)
        try:
            eval(call)
            print("no error")
        except Exception as error:
            print(type(error).__name__)
"""


@pytest.fixture(scope="module")
def answers(tmp_path_factory):
    """What each door says to each damaged matrix, from a process that compiled code may end."""
    folder = tmp_path_factory.mktemp("doors")
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(folder), json.dumps(DOORS)],
        capture_output=True,
        text=True,
        cwd=Path(__file__).parent,
    )
    assert list(folder.iterdir()) == []
    return [line.split("\t") for line in done.stdout.splitlines()]


@pytest.mark.parametrize("door", DOORS)
def test_no_damaged_matrix_gets_past_a_door(door, answers):
    """The last of all answers ends early where the process was killed."""
    got = {name: rest for where, name, *rest in answers if where == door}
    assert got == {name: ["DataError"] for name in CASES}


def random_matrix(seed=0):
    return sp.random(7, 9, density=0.3, format="csr", dtype=np.float32, random_state=seed)


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("kind", [sp.csr_matrix, sp.csr_array])
def test_every_format_keeps_its_entries(format, kind):
    M = kind(random_matrix()).asformat(format)
    got = sound(M, "who", "X")
    assert np.array_equal(got.toarray(), random_matrix().toarray())
    assert got.dtype == M.dtype


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("shape", [(0, 3), (3, 0), (3, 4), (1, 1)])
def test_matrices_without_entries_are_sound(format, shape):
    got = sound(sp.csr_matrix(shape, dtype=np.float32).asformat(format), "who", "X")
    assert (got.shape, got.nnz) == (shape, 0)


def test_entries_beyond_the_pointers_are_left_out():
    M = random_matrix()
    expected = M.toarray()
    M.data, M.indices = np.append(M.data, np.float32(5)), np.append(M.indices, np.int32(10**8))
    assert np.array_equal(sound(M, "who", "X").toarray(), expected)


def test_the_order_and_the_duplicates_of_csr_are_kept():
    M = sp.csr_matrix(([3, 0, 1], [2, 0, 2], [0, 3]), shape=(1, 4))
    got = sound(M, "who", "X")
    assert (got.data.tolist(), got.indices.tolist()) == ([3, 0, 1], [2, 0, 2])


@pytest.mark.parametrize("format", ["csr", "csc", "coo"])
def test_numbers_that_scipy_does_not_convert_are_sound(format):
    M = random_matrix().asformat(format)
    for dtype in (np.float16, ">f4", ">f8"):
        M.data = np.ones(len(M.data), dtype)
        assert np.array_equal(
            sp.csr_matrix(sound(M, "who", "X")).toarray(), random_matrix().toarray() != 0
        )


def test_diagonals_may_lie_outside():
    M = sp.dia_matrix((np.ones((3, 5)), [0, 9, -9]), shape=(3, 4))
    assert np.array_equal(sound(M, "who", "X").toarray(), np.eye(3, 4))


@pytest.mark.filterwarnings("ignore:the matrix subclass")
def test_a_numpy_matrix_is_an_array():
    got = sound(np.matrix([[1, 2]]), "who", "X")
    assert type(got) is np.ndarray
    assert got.tolist() == [[1, 2]]


def test_masked_places_are_refused():
    masked = np.ma.masked_array([[1, 2]], [[False, True]])
    with pytest.raises(
        DataError, match="^fit: expected a value in each place of X, got masked ones"
    ):
        sound(masked, "fit", "X")


@pytest.mark.parametrize("form", [sp.coo_array, sp.csr_array, sp.dok_array])
def test_a_one_dimensional_row_becomes_a_matrix_of_one_row(form):
    got = one_row(form(np.float32([0, 2, 0, 1])), "who", "x")
    assert isinstance(got, sp.csr_matrix)
    assert got.toarray().tolist() == [[0, 2, 0, 1]]


@pytest.mark.parametrize("damage", [("coords", (np.array([0, 10**8]),)), ("data", np.ones(3))])
def test_a_damaged_one_dimensional_row_is_refused(damage):
    x = sp.coo_array(np.float32([0, 2, 0, 1]))
    setattr(x, *damage)
    with pytest.raises(DataError, match="^rank: expected "):
        one_row(x, "rank", "x")


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("indptr", np.array([0, 1]), "expected 3 pointers from 0 on in X, got 2 from 0 on"),
        ("indptr", np.array([1, 1, 2]), "expected 3 pointers from 0 on in X, got 3 from 1 on"),
        ("indptr", np.array([0, 1, 9]), "expected pointers up to 2 in X, its entries, got 9"),
        ("data", np.ones(3), "expected as many values as indices in X, got 3 and 2"),
        ("indices", np.ones(2), "expected indices of X to be a vector of ints, got 1-D float64"),
        ("indices", [0, 1], "expected a sound matrix in X, got one that is broken: 'list' object "),
    ],
)
def test_damage_is_named(name, value, message):
    M = sp.csr_matrix(np.eye(2))
    setattr(M, name, value)
    with pytest.raises(DataError) as caught:
        sound(M, "fit", "X")
    assert str(caught.value).startswith(f"fit: {message}")
