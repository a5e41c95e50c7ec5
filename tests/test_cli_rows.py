"""Folders of rows on the command line: written by `xmc convert`, read by the others."""

import json

import cli_tools as cli
import pytest
import scipy.sparse as sp
from folders import content

from xmc import open_rows
from xmc.io import read
from xmc.text import load_vectorizer, pack

TRAIN = ("--no-rerank", "--quiet")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Folders of rows: of matrices, and of texts with what was fitted on them."""
    home = tmp_path_factory.mktemp("rows")
    cli.done("convert", cli.home() / "X.npz", cli.home() / "Y.npz", home / "matrix.rows")
    texts = cli.home() / "train.tsv", home / "texts.rows"
    cli.done("convert", *texts, "--fit-vectorizer", home / "words")
    return home


def test_a_pair_becomes_a_folder_and_a_pair_again(folder, tmp_path):
    cli.done("convert", folder / "matrix.rows", tmp_path / "X.npz", tmp_path / "Y.npz")
    for name in ("X.npz", "Y.npz"):
        assert (sp.load_npz(tmp_path / name) != sp.load_npz(cli.home() / name)).nnz == 0


def test_texts_become_what_they_become_as_a_whole(folder, tmp_path):
    source = cli.home() / "train.tsv"
    cli.done("convert", source, tmp_path / "X.npz", tmp_path / "Y.npz",
             "--fit-vectorizer", tmp_path / "words")  # fmt: skip
    rows = open_rows(folder / "texts.rows", verify=True)
    assert (rows.X != sp.load_npz(tmp_path / "X.npz")).nnz == 0
    assert (rows.Y != sp.load_npz(tmp_path / "Y.npz")).nnz == 0
    assert [*rows.texts] == read(source).texts
    assert content(folder / "words") == content(tmp_path / "words")


@pytest.mark.parametrize("name", ["rows.tsv", "rows.tsv.gz"])
def test_a_folder_becomes_a_file_again(folder, tmp_path, name):
    cli.done("convert", folder / "texts.rows", tmp_path / name)
    own, expected = read(tmp_path / name), read(cli.home() / "train.tsv")
    assert own.texts == expected.texts and (own.Y != expected.Y).nnz == 0


def test_stdin_and_another_name_will_do(folder, tmp_path):
    source = (cli.home() / "train.tsv").read_bytes()
    how = "--format", "tsv", "--out-format", "rows", "--vectorizer", folder / "words"
    done = cli.done("convert", "-", tmp_path / "a", *how, "--json", "-", stdin=source)
    rows = open_rows(tmp_path / "a")
    sizes = {"n_rows": rows.n_rows, "n_features": rows.n_features, "n_labels": rows.n_labels}
    assert json.loads(done.stdout) == sizes
    assert content(tmp_path / "a") == content(folder / "texts.rows")


def test_the_vectoriser_may_be_that_of_another_folder(folder, tmp_path):
    source = cli.write_lines(tmp_path / "a.tsv", "zz,new\tsome text for the terminal")
    cli.done("convert", source, tmp_path / "a.rows", "--vectorizer", folder / "texts.rows")
    rows, known = open_rows(tmp_path / "a.rows"), open_rows(folder / "texts.rows")
    assert rows.label_ids == [*known.label_ids, "new", "zz"]
    assert rows.Y.indices.tolist() == [known.n_labels, known.n_labels + 1]
    assert rows.n_features == known.n_features
    assert pack(load_vectorizer(folder / "words"))[0] == known.packed_vectorizer[0]


@pytest.mark.parametrize("more", [("--one-vs-all",), ("--valid", 0.2, "--n-trees", 2)])
def test_a_model_of_a_folder_is_that_of_its_matrices(folder, tmp_path, more):
    pair = cli.home() / "X.npz", cli.home() / "Y.npz"
    cli.done("train", *pair, "--model", tmp_path / "a", *more, "--quiet")
    cli.done("train", folder / "matrix.rows", "--model", tmp_path / "b", *more, "--quiet")
    assert content(tmp_path / "a") == content(tmp_path / "b")


def test_a_model_of_a_folder_is_that_of_its_texts(folder, tmp_path):
    cli.done("train", cli.home() / "train.tsv", "--model", tmp_path / "a", *TRAIN)
    cli.done("train", folder / "texts.rows", "--model", tmp_path / "b", *TRAIN)
    assert content(tmp_path / "a") == content(tmp_path / "b")


def test_held_out_texts_are_measured(folder, tmp_path):
    how = "--valid", 0.2, "--json", "-", *TRAIN
    done = cli.done("train", folder / "texts.rows", "--model", tmp_path / "a", *how)
    result = json.loads(done.stdout)
    assert result["n_rows"] + result["valid"]["n_rows"] == cli.N_ROWS
    assert result["valid"]["P@1"] > 50


def test_settings_of_texts_are_those_of_the_folder(folder, tmp_path):
    source = cli.home() / "train.tsv"
    how = "--opening", 0, "--max-ngram", 2
    cli.done("convert", source, tmp_path / "a.rows", "--fit-vectorizer", tmp_path / "v", *how)
    cli.done("train", source, "--model", tmp_path / "a", *how, *TRAIN)
    cli.done("train", tmp_path / "a.rows", "--model", tmp_path / "b", *TRAIN)
    assert content(tmp_path / "a") == content(tmp_path / "b")
    found = cli.misuse("train", tmp_path / "a.rows", "--model", tmp_path / "c", "--opening", 3)
    assert "--opening goes with `xmc convert --fit-vectorizer`" in found


def test_a_folder_is_ranked_and_is_the_truth(folder, tmp_path):
    texts = cli.home() / "train.tsv", folder / "texts.rows"
    matrices = cli.home() / "X.npz", folder / "matrix.rows"
    for model, pair in ((cli.text_model(), texts), (cli.model(), matrices)):
        for source, out in zip(pair, ("a.tsv", "b.tsv"), strict=True):
            cli.done("predict", model, source, "--out", tmp_path / out, "--overwrite")
        assert (tmp_path / "a.tsv").read_bytes() == (tmp_path / "b.tsv").read_bytes()
    done = cli.done("evaluate", tmp_path / "b.tsv", matrices[1], "--json", "-")
    expected = cli.done("evaluate", tmp_path / "a.tsv", cli.home() / "Y.npz", "--json", "-")
    assert json.loads(done.stdout) == json.loads(expected.stdout)


def test_a_folder_without_labels_is_not_learned(tmp_path):
    cli.done("convert", cli.home() / "X.npz", tmp_path / "a.rows")
    line = cli.refusal(tmp_path, "train", tmp_path / "a.rows", "--model", tmp_path / "m")
    assert line == f"{tmp_path / 'a.rows'}: expected rows with labels, these have none"


def test_what_cannot_become_a_folder_is_refused(folder, tmp_path):
    text, target = cli.home() / "train.tsv", tmp_path / "a.rows"
    needed = "texts become features with --fit-vectorizer DIR or --vectorizer DIR"
    assert needed in cli.misuse("convert", text, target)
    line = cli.refusal(tmp_path, "convert", cli.home() / "X.npz", target,
                       "--vectorizer", folder / "words")  # fmt: skip
    assert line == "convert: expected texts for --vectorizer, the rows have features already"
    lacking = "expected rows that were made of texts, it has no vectoriser"
    line = cli.refusal(tmp_path, "convert", text, target, "--vectorizer", folder / "matrix.rows")
    assert line == f"{folder / 'matrix.rows'}: {lacking}"
    damaged = cli.write_lines(tmp_path / "b.tsv", "a\tone text", "no tab")
    line = cli.refusal(tmp_path, "convert", damaged, target, "--fit-vectorizer", tmp_path / "v")
    assert line == f"{damaged}:2: expected id,id<TAB>text, got 'no tab'"
    pair = cli.home() / "X.npz", cli.home() / "Y.npz"
    line = cli.refusal(tmp_path, "convert", *pair, tmp_path / "a.rows.gz")
    assert line.endswith("a.rows.gz: expected a folder for rows, which can't be compressed")


def test_a_vectoriser_and_its_rows_are_replaced_together(folder, tmp_path):
    how = cli.home() / "train.tsv", tmp_path / "a.rows", "--fit-vectorizer", tmp_path / "words"
    cli.done("convert", *how, "--min-df", 5)
    cli.done("convert", *how, "--overwrite")
    assert content(tmp_path / "a.rows") == content(folder / "texts.rows")
    assert content(tmp_path / "words") == content(folder / "words")


def test_two_outputs_of_one_name_are_refused(tmp_path):
    target = tmp_path / "a.rows"
    line = cli.refusal(tmp_path, "convert", cli.home() / "train.tsv", target,
                       "--fit-vectorizer", target)  # fmt: skip
    assert line == f"{target}: expected a path for each output, got this one twice"


def test_only_a_folder_of_rows_is_replaced(folder, tmp_path):
    target = tmp_path / "a.rows"
    cli.done("convert", cli.home() / "X.npz", target)
    line = cli.refusal(tmp_path, "convert", cli.home() / "X.npz", target)
    assert line == f"{target}: exists already; overwrite replaces it"
    pair = cli.home() / "X.npz", cli.home() / "Y.npz"
    cli.done("convert", *pair, target, "--overwrite")
    assert content(target) == content(folder / "matrix.rows")
    (target / "notes.txt").write_text("mine")
    line = cli.refusal(tmp_path, "convert", *pair, target, "--overwrite")
    assert line == f"{target}: expected nothing but rows to replace, there is notes.txt"


def test_a_pair_of_different_lengths_is_refused(tmp_path):
    Y = sp.load_npz(cli.home() / "Y.npz")[:-1]
    sp.save_npz(tmp_path / "Y.npz", Y)
    pair = cli.home() / "X.npz", tmp_path / "Y.npz"
    line = cli.refusal(tmp_path, "convert", *pair, tmp_path / "a.rows")
    n = cli.N_ROWS
    counts = f"got {n:,} in X.indptr, {n - 1:,} in Y.indptr"
    assert line == f"{tmp_path / 'a.rows'}: expected as many rows in each part, {counts}"
