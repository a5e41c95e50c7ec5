import naive_names
import numpy as np
import pytest

from xmc.arrays import pointers
from xmc.evidence import names as door
from xmc.kernels import names as kernels

N_LABELS = 12


@pytest.fixture(params=[0, 1, 30], ids=["no-name", "one-name", "random"])
def case(request, rng):
    """Names, the label of each, and texts that hold some of them."""
    names = naive_names.random_texts(rng, request.param, 12)
    labels = np.sort(rng.integers(0, N_LABELS, len(names))).astype(np.int32)
    texts = naive_names.random_texts(rng, 8) + ["", *(f"a {name} {name}" for name in names[::6])]
    texts += [f"{text} {'or ' * n} {text}" for n, text in enumerate(texts)]  # past the opening, too
    return names, labels, texts


def candidates(rng, n_texts):
    """Some labels for each text, in any order; none for the first."""
    own = [rng.permutation(N_LABELS)[: rng.integers(1, N_LABELS) * (i > 0)] for i in range(n_texts)]
    return pointers([len(part) for part in own]), np.concatenate(own).astype(np.int32)


@pytest.mark.parametrize("known", [False, True], ids=["idf of names", "idf of texts"])
def test_figures_agree_with_their_twin(rng, case, known):
    names, labels, texts = case
    index = door.name_index(names, labels, N_LABELS, texts if known else ())
    indptr, ids = candidates(rng, len(texts))
    got = door.evidence_of(index, door.mentions(index, texts), indptr, ids)
    idf = naive_names.name_idf(names)
    weights = naive_names.text_idf(idf, texts) if known else idf
    assert got.shape == (len(ids), len(door.COLUMNS)) and got.dtype == np.float32
    for row in range(len(texts)):
        for c in range(indptr[row], indptr[row + 1]):
            own = [name for name, label in zip(names, labels, strict=True) if label == ids[c]]
            want = naive_names.best_figures(own, texts[row], idf, weights)
            assert got[c] == pytest.approx(
                want or [np.nan] * len(door.COLUMNS), abs=2e-5, nan_ok=True
            )


def test_best_labels_are_those_of_the_best_names_with_a_sixth_of_their_keys(case):
    names, labels, texts = case
    index = door.name_index(names, labels, N_LABELS)
    found = door.mentions(index, texts)
    best, scores = door.best_names(index, found, 5)
    keys = naive_names.keys(index.name_indptr, index.name_terms, index.n_grams, door.USUAL_KEYS)
    idf = naive_names.name_idf(names)
    for row, text in enumerate(texts):
        terms = set(found.terms[found.indptr[row] : found.indptr[row + 1]].tolist())
        want = {}
        for name, label, own in zip(names, labels.tolist(), keys, strict=True):
            if own and 6 * len(terms.intersection(own)) >= len(own):
                fit = naive_names.score(naive_names.figures(name, text, idf, idf))
                want[label] = max(want.get(label, 0), fit)
        order = sorted(want.values(), reverse=True)[:5]
        n = len(order)
        assert scores[row, :n] == pytest.approx(order, abs=1e-5)
        assert [want[label] for label in best[row, :n].tolist()] == pytest.approx(order, abs=1e-5)
        assert (best[row, n:] == -1).all() and (scores[row, n:] == -np.inf).all()


@pytest.mark.parametrize("n", [0, 1, 200])
def test_keep_keeps_the_fittest_and_few_others(rng, n):
    names, fit = np.arange(n, dtype=np.int32), rng.random(n).astype(np.float32)
    n_kept = kernels._keep(names, fit.copy(), n, 50)
    kept = set(names[:n_kept].tolist())
    assert kept >= set(np.argsort(-fit)[:50].tolist()) and n_kept <= 60


def test_fewer_names_compared_give_a_part_of_the_answer(rng):
    names = naive_names.random_texts(rng, 300, 9)
    index = door.name_index(names, np.arange(300, dtype=np.int32), 300)
    found = door.mentions(index, ["".join(names[:150])])
    n_terms = len(index.idf)
    ids, scores = np.empty((2, 1, 300), np.int32), np.empty((2, 1, 300), np.float32)
    for i, n_compared in enumerate((20, 300)):
        scratch = np.zeros(n_terms, np.int32), np.zeros(300, np.uint16), np.zeros(300, np.float32)
        kernels.best_labels(
            *door._names(index), index.name_labels, *index[8:11], *found, n_compared, *scratch,
            ids[i], scores[i],
        )  # fmt: skip
    few, all_of_them = (dict(zip(ids[i, 0], scores[i, 0], strict=True)) for i in (0, 1))
    assert 20 < len(few) < len(all_of_them) - 20
    assert few.items() <= all_of_them.items()


def test_keys_agree_with_their_twin(case):
    names, labels, _ = case
    index = door.name_index(names, labels, N_LABELS)
    twin = naive_names.keys(index.name_indptr, index.name_terms, index.n_grams, door.USUAL_KEYS)
    assert index.n_keys.tolist() == [len(own) for own in twin]
    by_term = [[] for _ in index.hashes]
    for name, own in enumerate(twin):
        for t in own:
            by_term[t].append(name)
    ends = index.key_indptr
    assert by_term == [
        index.key_names[a:b].tolist() for a, b in zip(ends[:-1], ends[1:], strict=True)
    ]


def test_distinct_agrees_with_sorted_sets(rng):
    sizes = rng.integers(0, 9, 20)
    indptr, ids = pointers(sizes), rng.integers(0, 6, sizes.sum()).astype(np.int32)
    out_indptr, out = kernels.distinct(indptr, ids)
    lists = [sorted(set(ids[a:b].tolist())) for a, b in zip(indptr[:-1], indptr[1:], strict=True)]
    assert out.tolist() == sum(lists, [])
    assert np.diff(out_indptr).tolist() == [len(own) for own in lists]
