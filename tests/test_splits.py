import gzip

import cli_tools as cli
import pytest

from xmc.datasets import read_split, read_texts
from xmc.errors import DataError
from xmc.params import TextParams
from xmc.text import make_vectorizer

TRAIN = ["b,a\tred green", "b\tred blue", "c\tblue green"]
TEST = ["z,a\tred", "c\tyellow"]


@pytest.fixture
def texts(tmp_path):
    for name, lines in (("train", TRAIN), ("test", TEST)):
        with gzip.open(tmp_path / f"{name}.tsv.gz", "wt", encoding="utf-8") as file:
            file.write("".join(f"{line}\n" for line in lines))
    return tmp_path


@pytest.fixture
def matrices(tmp_path):
    for name, rows in {
        "X.trn": [[1, 2, 0], [0, 0, 3]],
        "Y.trn": [[1, 0], [0, 1]],
        "X.tst": [[4, 0, 0]],
        "Y.tst": [[0, 1]],
    }.items():
        cli.save_dense(tmp_path / f"{name}.npz", rows)
    return tmp_path


def test_matrices_are_read_as_they_are(matrices):
    split = read_split(matrices)
    assert split.X.toarray().tolist() == [[1, 2, 0], [0, 0, 3]]
    assert split.Y.toarray().tolist() == [[1, 0], [0, 1]]
    assert (split.X_test.toarray().tolist(), split.Y_test.toarray().tolist()) == (
        [[4, 0, 0]],
        [[0, 1]],
    )


def test_texts_become_tfidf_by_a_vectoriser_of_the_training_rows(texts):
    split = read_split(texts, TextParams(opening=0))
    vectorizer = make_vectorizer(TextParams(opening=0)).fit(
        [line.partition("\t")[2] for line in TRAIN]
    )
    assert (split.X_test != vectorizer.transform(["red", "yellow"])).nnz == 0
    assert split.X.shape == (3, 3)


def test_test_labels_stand_in_the_columns_of_the_training_labels_unknown_ones_behind(texts):
    split = read_split(texts)
    assert split.Y.toarray().tolist() == [[1, 1, 0], [0, 1, 0], [0, 0, 1]]
    assert split.Y_test.toarray().tolist() == [[1, 0, 0, 1], [0, 0, 1, 0]]


def test_text_parameters_ask_for_the_texts_even_beside_matrices(texts, matrices):
    assert texts == matrices
    assert read_split(texts).X.shape == (2, 3)
    assert read_split(texts, TextParams(opening=0, max_ngram=2, min_df=1)).X.shape == (3, 6)


def test_a_folder_without_data_is_told_with_the_place_to_get_them(tmp_path):
    with pytest.raises(DataError) as raised:
        read_split(tmp_path / "nothing", source="a place")
    expected = "X.trn.npz, Y.trn.npz, X.tst.npz, Y.tst.npz, or train.tsv.gz and test.tsv.gz"
    assert (
        str(raised.value)
        == f"{tmp_path}/nothing: expected {expected}, got none; to be had from a place"
    )


def test_a_folder_without_texts_is_told_if_texts_are_asked_for(matrices):
    with pytest.raises(DataError, match="expected train.tsv.gz and test.tsv.gz, got none$"):
        read_split(matrices, TextParams())


@pytest.mark.parametrize(
    ("file", "rows", "said"),
    [
        ("Y.trn.npz", [[1, 0]], "Y.trn.npz: expected 2 rows as in X.trn.npz, got 1"),
        ("Y.tst.npz", [[1, 0], [1, 0]], "Y.tst.npz: expected 1 rows as in X.tst.npz, got 2"),
        ("X.tst.npz", [[1, 0]], "X.tst.npz: expected 3 features as in X.trn.npz, got 2"),
    ],
)
def test_matrices_that_do_not_fit_together_are_refused(matrices, file, rows, said):
    cli.save_dense(matrices / file, rows)
    with pytest.raises(DataError) as raised:
        read_split(matrices)
    assert str(raised.value) == f"{matrices}/{said}"


def test_texts_that_are_missing_are_told_with_the_place_to_get_them(matrices):
    with pytest.raises(DataError) as raised:
        read_texts(matrices, "a place")
    said = str(raised.value)
    assert said.startswith(f"{matrices}: ") and "train.tsv.gz and test.tsv.gz" in said
    assert "a place" in said


def test_a_part_that_is_missing_is_named(matrices):
    (matrices / "Y.tst.npz").unlink()
    with pytest.raises(DataError, match=r"Y\.tst\.npz: can't be read: No such file or directory"):
        read_split(matrices)
