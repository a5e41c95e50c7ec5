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
    texts += [f"{text} {'or ' * n} {text}" for n, text in enumerate(texts)]
    texts += [f"{'or ' * (n % 20)} {text}" for n, text in enumerate(texts)]  # past the opening, too
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


@pytest.mark.parametrize("n_words", [15, 16, 17])
def test_the_opening_are_the_first_16_words(n_words):
    index = door.name_index(["abc", "de"], np.int32([0, 1]), 2)
    text = f"de {'or ' * (n_words - 1)}abc"
    (row,) = door.evidence_of(
        index, door.mentions(index, [text]), np.array([0, 1]), np.zeros(1, np.int32)
    )
    idf = naive_names.name_idf(["abc", "de"])
    assert row == pytest.approx(naive_names.figures("abc", text, idf, idf), abs=2e-5)
    opening = door.COLUMNS.index(next(name for name in door.COLUMNS if "opening" in name))
    assert (row[opening] > 0) == (n_words < 16)


def test_the_best_name_of_a_label_is_the_first_of_those_that_fit_best(case):
    """Also where a label has one name, names without terms, or the same name twice."""
    names, labels, texts = case
    names = [*names, "abcd", "abcd", "-", "-", "_", "abc bcd", "-", "_"]
    of_these = [N_LABELS + n for n in (0, 0, 1, 2, 2, 2, 3, 3)]
    labels = np.append(labels, np.int32(of_these))
    index = door.name_index(names, labels, N_LABELS + 4)
    idf = naive_names.name_idf(names)
    for text in [*texts, "abcd", "abc bcd"]:
        found = door.mentions(index, [text])
        for label in range(N_LABELS + 4):
            fits = [
                (naive_names.score(own), -n)
                for n in np.flatnonzero(labels == label)
                if (own := naive_names.figures(names[n], text, idf, idf))
            ]
            best = door.best_name(index, found, label)
            if not fits or fits[0][0] == max(fits)[0]:  # the first one, also if others tie
                assert best == (-fits[0][1] if fits else -1)
            else:
                assert dict((-n, fit) for fit, n in fits)[best] == pytest.approx(max(fits)[0])


def test_a_name_may_weigh_as_little_as_a_term_can():
    """A term that all names have has the weight 1, and so has a name that is nothing else."""
    index = door.name_index(["a"], np.zeros(1, np.int32), 1)
    assert index.norms.tolist() == [[1, 1]]
    found = door.mentions(index, ["a b"])
    assert door.best_name(index, found, 0) == 0
    assert door.best_names(index, found, 2).labels.tolist() == [[0, -1]]
    index = door.name_index(["a", "a"], np.zeros(2, np.int32), 1)
    assert door.best_name(index, door.mentions(index, ["b a"]), 0) == 0


def test_labels_with_several_names_are_found_once_and_the_smaller_of_equal_ones():
    names = ["abc", "abc d", "def", "def a"]
    index = door.name_index(names, np.int32([0, 0, 1, 1]), 2)
    found = door.best_names(index, door.mentions(index, ["def abc", "abc def", "abc"]), 3)
    assert found.labels.tolist() == [[0, 1, -1], [0, 1, -1], [0, -1, -1]]
    one = door.best_names(index, door.mentions(index, ["def abc", "abc def"]), 1)
    assert one.labels.tolist() == [[0], [0]]


@pytest.mark.parametrize("scale", [0.001, 1.0, 1000.0])
def test_names_are_guessed_by_the_number_and_the_weight_of_their_keys(rng, scale):
    n_names, n_terms, terms = 40, 30, np.int32([3, 8, 9, 20, 25])
    own = [np.sort(rng.permutation(n_terms)[: rng.integers(1, 13)]) for _ in range(n_names)]
    by_term = [[name for name in range(n_names) if t in own[name]] for t in range(n_terms)]
    by_term[9] = []
    keys = kernels.Keys(
        pointers([len(part) for part in by_term]),
        np.array(sum(by_term, []), np.int32),
        np.array([len(part) for part in own], np.uint8),
    )
    product = np.float32([0, *(scale * rng.random(5))])
    product[3] = 2 * scale  # of a term that is nobody's key
    text = kernels.Text(None, product, None, None, None)
    tally, touched = np.zeros(n_names, np.uint16), np.empty(n_names + 1, np.int32)
    n = kernels._tell(terms, text, keys, tally, touched)

    most = max(product[[1, 2, 4, 5]])
    steps = {t: int(p * (kernels.STEPS / most)) for t, p in zip(terms, product[1:], strict=True)}
    told = [[t for t in terms if name in by_term[t]] for name in range(n_names)]
    assert sorted(touched[:n].tolist()) == [name for name in range(n_names) if told[name]]
    assert (tally >> kernels.SUM_BITS).tolist() == [len(part) for part in told]
    sums = [sum(steps[t] for t in part) for part in told]
    assert (tally & ((1 << kernels.SUM_BITS) - 1)).tolist() == sums

    fit, norms = np.empty(n_names + 1, np.float32), rng.random((n_names, 2)).astype(np.float32)
    names = kernels.Names(None, None, None, None, None, norms)
    n_kept = kernels._guess(touched, fit, n, names, keys, tally)
    kept = [name for name in range(n_names) if 6 * len(told[name]) >= len(own[name])]
    kept = [name for name in kept if told[name]]
    assert sorted(touched[:n_kept].tolist()) == kept and len(kept) < n
    shares = {name: len(told[name]) / len(own[name]) for name in kept}
    expected = {name: sums[name] * shares[name] ** 1.5 / norms[name, 0] for name in kept}
    assert fit[:n_kept] == pytest.approx([expected[name] for name in touched[:n_kept].tolist()])
    assert not tally.any()


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


@pytest.mark.parametrize("n", [0, 1, 30, 200])
@pytest.mark.parametrize("scale", [0.0, 0.001, 1.0, 1000.0])
@pytest.mark.parametrize("wanted", [1, 10, 50])
def test_keep_keeps_the_fittest_and_those_of_the_same_step(rng, n, scale, wanted):
    names = np.arange(n, dtype=np.int32)
    fit = np.float32(scale) * rng.random(n).astype(np.float32)
    fit[::7] = 0
    n_kept = kernels._keep(names, fit.copy(), n, wanted)
    most = max(fit, default=0)
    steps = (fit * (kernels.STEPS / most if most else 0.0)).astype(int)
    least = np.sort(steps)[-wanted] if n >= wanted else 0
    assert names[:n_kept].tolist() == np.flatnonzero(steps >= least).tolist()
    assert set(names[:n_kept].tolist()) >= set(np.argsort(-fit, kind="stable")[:wanted].tolist())


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
