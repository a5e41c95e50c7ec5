import subprocess
import sys

import numpy as np
import pytest

import xmc.datasets
from xmc.datasets import PUBLIC, SHAPES, cards, load_sample, sample_texts
from xmc.errors import DataError


@pytest.fixture(scope="module")
def sample():
    return load_sample()


def test_sample_has_the_shape_of_its_card(sample):
    card = cards()[0]
    assert sample.X.shape == (card.rows, card.features)
    assert sample.Y.shape == (card.rows, card.labels)
    assert sample.X_test.shape == (card.test_rows, card.features)
    assert sample.Y_test.shape == (card.test_rows, card.labels)
    assert (sample.Y.nnz + sample.Y_test.nnz) / (card.rows + card.test_rows) == pytest.approx(
        card.labels_per_row, abs=0.01
    )


@pytest.mark.parametrize("part", ["X", "Y", "X_test", "Y_test"])
def test_sample_matrices_are_canonical_csr(sample, part):
    M = getattr(sample, part)
    assert (M.format, M.dtype, M.indices.dtype) == ("csr", np.float32, np.int32)
    assert M.has_canonical_format


def test_sample_names_are_unique_and_one_per_column(sample):
    for names, width in [
        (sample.features, sample.X.shape[1]),
        (sample.label_names, sample.Y.shape[1]),
    ]:
        assert len(names) == len(set(names)) == width
        assert all(name.split() == [name] for name in names)
    assert sample.label_names == sorted(sample.label_names)


def test_texts_hold_each_word_as_often_as_counted(sample):
    texts = sample_texts(sample.X_test, sample.features)
    column = {word: j for j, word in enumerate(sample.features)}
    counts = np.zeros(sample.X_test.shape, np.float32)
    for row, text in enumerate(texts):
        for word in text.split():
            counts[row, column[word]] += 1
    assert (counts == sample.X_test.toarray()).all()


def test_an_empty_row_is_an_empty_text(sample):
    nothing = sample.X[np.flatnonzero(np.diff(sample.X.indptr) == 0)]
    assert set(sample_texts(nothing, sample.features)) == {""}


def test_texts_refuse_a_foreign_vocabulary(sample):
    with pytest.raises(
        DataError, match="expected one word per column, got 2 words for 14248 columns"
    ):
        sample_texts(sample.X, ["a", "b"])


def test_cards_are_complete_and_their_names_unique():
    assert len({card.name for card in cards()}) == len(cards()) == 1 + len(SHAPES) + len(PUBLIC)
    assert all(all(card) for card in cards())


def test_every_public_name_resolves():
    assert all(getattr(xmc.datasets, name) for name in dir(xmc.datasets))
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        xmc.datasets.nothing  # noqa: B018


def test_listing_imports_nothing_heavy():
    code = (
        "import sys; from xmc.datasets import cards; cards(); "
        "print({'numpy', 'scipy', 'numba'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"
