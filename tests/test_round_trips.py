"""What is written is read again, whatever it is: for each format that we write."""

from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st
from parsers import same_csr

from xmc import Vocabulary
from xmc.io import (
    Dataset,
    read,
    read_label_names,
    read_predictions,
    write,
    write_matrix,
    write_predictions,
)
from xmc.topk import TopK

UNHURRIED = settings(deadline=None, database=None, max_examples=60)
MARK = "\ufeff"
FINITE = st.floats(width=32, allow_nan=False, allow_infinity=False)
LINES = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\n")).filter(
    lambda text: not text.startswith(MARK) and not text.endswith("\r")
)
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1)
IDS = st.text(
    st.characters(exclude_categories=["Cs"], exclude_characters="\t\n,"), min_size=1
).filter(lambda label: label == label.strip() and not label.startswith(MARK))


@st.composite
def matrices(draw, n_rows=None, values=FINITE, wide=True):
    """CSR as readers give it, up to the widest that there is."""
    n_rows = draw(st.integers(1, 4)) if n_rows is None else n_rows
    width = draw(st.sampled_from([1, 3, 2**31 - 1] if wide else [1, 3]))
    rows = [draw(st.sets(st.integers(0, width - 1), max_size=4)) for _ in range(n_rows)]
    columns = [column for row in rows for column in sorted(row)]
    data = np.array([draw(values) for _ in columns], np.float32)
    indptr = np.cumsum([0, *map(len, rows)])
    return sp.csr_matrix((data, np.array(columns, np.int32), indptr), shape=(n_rows, width))


@st.composite
def pairs(draw):
    X = draw(matrices())
    return X, draw(matrices(X.shape[0], st.just(1)))


def again(suffix, put, get):
    """What is read from a file that was written."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / f"file{suffix}"
        put(path)
        return get(path)


@UNHURRIED
@given(pairs(), st.booleans(), st.sampled_from(["", ".gz"]))
def test_xmc_text(pair, zero_based, packed):
    how = {"zero_based": zero_based}
    found = again(
        f".txt{packed}", lambda p: write(p, Dataset(*pair), **how), lambda p: read(p, **how)
    )
    same_csr(found.X, pair[0])
    same_csr(found.Y, pair[1])


@UNHURRIED
@given(pairs(), st.booleans())
def test_svmlight_but_for_the_columns_after_the_last_entry(pair, zero_based):
    how = {"zero_based": zero_based}
    found = again(".svm", lambda p: write(p, Dataset(*pair), **how), lambda p: read(p, **how))
    for M, got in zip(pair, found[:2], strict=True):
        width = max(M.indices, default=-1) + 1
        same_csr(got, sp.csr_matrix((M.data, M.indices, M.indptr), shape=(M.shape[0], width)))


@UNHURRIED
@given(matrices())
def test_npz(M):
    same_csr(again(".npz", lambda p: write_matrix(p, M), read).X, M)


@UNHURRIED
@given(st.lists(st.tuples(st.sets(IDS, max_size=3), LINES), min_size=1, max_size=4))
def test_documents(rows):
    ids = sorted(set().union(*(labels for labels, _ in rows)))
    Y = sp.csr_matrix([[label in labels for label in ids] for labels, _ in rows], dtype=np.float32)
    Y.resize(len(rows), len(ids))
    texts = [text for _, text in rows]
    told = {"tsv_columns": "labels,text"}  # or rows of chance may look like something else
    found = again(
        ".tsv", lambda p: write(p, Dataset(None, Y, texts, ids)), lambda p: read(p, **told)
    )
    assert (found.texts, found.label_ids) == (texts, ids)
    assert np.array_equal(found.Y.toarray(), Y.toarray())


@UNHURRIED
@given(st.lists(LINES, min_size=1, max_size=4))
def test_plain_text(texts):
    found = again(
        ".txt",
        lambda p: write(p, Dataset(texts=texts), format="text"),
        lambda p: read(p, format="text"),
    )
    assert found.texts == texts


@UNHURRIED
@given(st.dictionaries(IDS, LINES, min_size=1, max_size=4))
def test_label_names(named):
    names = [name.strip() or label for label, name in named.items()]
    lines = "".join(f"{label}\t{name}\n" for label, name in named.items())
    found = again(".txt", lambda p: p.write_bytes(lines.encode()), read_label_names)
    assert found == (list(named), names)


@UNHURRIED
@given(
    st.sampled_from(["npz", "tsv", "jsonl"]),
    st.lists(IDS, min_size=3, max_size=3, unique=True),
    st.lists(st.lists(st.tuples(st.integers(0, 2), FINITE), max_size=3), min_size=1, max_size=3),
)
def test_predictions(format, ids, rows):
    rows = [sorted(dict(row).items(), key=lambda pair: -pair[1]) for row in rows]
    top = TopK(np.full((len(rows), 3), -1, np.int32), np.full((len(rows), 3), -np.inf, np.float32))
    for i, row in enumerate(rows):
        for place, (label, score) in enumerate(row):
            top.labels[i, place], top.scores[i, place] = label, score
    P, known = again(
        f".{format}", lambda p: write_predictions(p, top, 3, label_ids=ids), read_predictions
    )
    named = ids if known is None else known
    entries = zip(P.indices, P.data.tolist(), strict=True)
    found = [(named[label], score) for label, score in entries]
    assert found == [(ids[label], score) for row in rows for label, score in row]
    assert np.diff(P.indptr).tolist() == [len(row) for row in rows]


@UNHURRIED
@given(st.dictionaries(IDS, st.lists(TEXTS, max_size=3), min_size=1))
def test_vocabularies_in_the_arrays_of_a_model(named):
    entries = [(label, name, "preferred", "en") for label, names in named.items() for name in names]
    vocabulary = Vocabulary.of(entries)
    assert Vocabulary.from_arrays(vocabulary.to_arrays()) == vocabulary
