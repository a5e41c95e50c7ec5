"""`xmc convert`."""

import json

import cli_tools as cli
import numpy as np
import pytest
import scipy.sparse as sp

from xmc.io import read
from xmc.text import load_vectorizer


def convert(*args):
    return cli.done("convert", *args, "--quiet")


def same(path, other):
    """Whether two matrix files hold the same, wherever the last columns without entries end."""
    A, B = sp.load_npz(path), sp.load_npz(other)
    arrays = zip((A.data, A.indices, A.indptr), (B.data, B.indices, B.indptr), strict=True)
    return all(np.array_equal(a, b) for a, b in arrays)


@pytest.mark.parametrize("name", ["rows.txt", "rows.txt.gz", "rows.svm", "rows.svm.gz"])
def test_matrices_come_back_from_text(tmp_path, name):
    X, Y = cli.home() / "X.npz", cli.home() / "Y.npz"
    convert(X, Y, tmp_path / name)
    convert(tmp_path / name, tmp_path / "X.npz", tmp_path / "Y.npz")
    assert same(tmp_path / "X.npz", X)
    assert same(tmp_path / "Y.npz", Y)


def test_ids_may_count_from_1_on_either_side(tmp_path):
    source = cli.write_lines(tmp_path / "a.txt", "1 3 2", "1 0:1.5 2:2")
    convert(source, tmp_path / "b.svm", "--out-one-based")
    assert (tmp_path / "b.svm").read_text() == "2 1:1.5 3:2\n"
    convert(tmp_path / "b.svm", tmp_path / "c.svm", "--one-based")
    assert (tmp_path / "c.svm").read_text() == "1 0:1.5 2:2\n"


def test_a_pair_may_become_a_pair(tmp_path):
    convert(cli.home() / "X.npz", cli.home() / "Y.npz", tmp_path / "X.npz", tmp_path / "Y.npz")
    assert same(tmp_path / "Y.npz", cli.home() / "Y.npz")


@pytest.mark.parametrize("suffix", ["txt", "txt.gz"])
def test_pairs_of_sparse_text_come_back(tmp_path, suffix):
    names = [tmp_path / f"{name}.{suffix}" for name in "XY"]
    convert(cli.home() / "X.npz", cli.home() / "Y.npz", *names)
    convert(*names, tmp_path / "X.npz", tmp_path / "Y.npz")
    for name in ("X.npz", "Y.npz"):
        assert same(tmp_path / name, cli.home() / name)


def test_rows_without_any_label_are_one_matrix(tmp_path):
    source = cli.write_lines(tmp_path / "a.svm", "0:1.5 2:2", " 1:1")
    convert(source, tmp_path / "X.npz")
    assert sp.load_npz(tmp_path / "X.npz").toarray().tolist() == [[1.5, 0, 2], [0, 1, 0]]
    convert(source, tmp_path / "b.svm")
    assert (tmp_path / "b.svm").read_text() == " 0:1.5 2:2\n 1:1\n"
    line = cli.refusal(tmp_path, "convert", source, tmp_path / "A.npz", tmp_path / "B.npz")
    reason = "expected labels to write, the rows have none; X alone is one path"
    assert line == f"{tmp_path / 'B.npz'}: {reason}"


def test_weights_of_labels_reach_a_matrix_of_their_own_only(tmp_path):
    source = cli.write_lines(tmp_path / "a.svm", "0:0.5,3 2:2", "1:2 1:1")
    convert(source, tmp_path / "X.npz", tmp_path / "Y.npz")
    assert sp.load_npz(tmp_path / "Y.npz").toarray().tolist() == [[0.5, 0, 0, 1], [0, 2, 0, 0]]
    told = cli.done("convert", source, tmp_path / "b.svm").stderr.splitlines()
    assert told[0] == (
        "convert: weights of labels other than 1: 2 of 3; they are left out; X Y holds them"
    )
    assert (tmp_path / "b.svm").read_text() == "0,3 2:2\n1 1:1\n"


def test_of_three_paths_the_first_two_are_a_pair_if_the_first_holds_one_matrix(tmp_path):
    X = cli.write_lines(tmp_path / "X.txt", "2 3", "0:1.5 2:2", "")
    Y = cli.write_lines(tmp_path / "Y.txt", "2 2", "1:1", "0:1 1:1")
    convert(X, Y, tmp_path / "rows.txt")
    assert (tmp_path / "rows.txt").read_text() == "2 3 2\n1 0:1.5 2:2\n0,1\n"
    convert(tmp_path / "rows.txt", tmp_path / "X2.txt", tmp_path / "Y2.txt", "--out-one-based")
    assert (tmp_path / "X2.txt").read_text() == "2 3\n1:1.5 3:2\n\n"
    assert (tmp_path / "Y2.txt").read_text() == "2 2\n2:1\n1:1 2:1\n"


def test_a_header_of_columns_becomes_no_row(tmp_path):
    source = cli.write_lines(tmp_path / "a.tsv", "text\tlabels", "one text\tx, y")
    told = cli.done("convert", source, tmp_path / "b.tsv").stderr.splitlines()
    assert told[0] == (
        f"convert: {source}: the first line, 'text<TAB>labels', is taken for names of columns"
    )
    assert (tmp_path / "b.tsv").read_text() == "x,y\tone text\n"


def test_labelled_texts_become_plain_ones(tmp_path):
    source = cli.write_lines(tmp_path / "a.tsv", "x,y\tone text", "\tanother")
    convert(source, tmp_path / "a.txt")
    assert (tmp_path / "a.txt").read_text() == "one text\nanother\n"


def test_stdin_and_stdout(tmp_path):
    args = ("-", "-", "--format", "xmc", "--out-format", "svmlight")
    assert cli.done("convert", *args, "--quiet", stdin="1 3 2\n1 0:1.5\n").stdout == "1 0:1.5\n"


def test_texts_become_matrices_and_the_vectoriser_is_kept(tmp_path):
    convert(
        cli.home() / "train.tsv",
        tmp_path / "X.npz",
        tmp_path / "Y.npz",
        "--fit-vectorizer",
        tmp_path / "tfidf",
    )
    data = read(cli.home() / "train.tsv")
    assert same(tmp_path / "Y.npz", cli.home() / "Y.npz")
    X, again = (
        sp.load_npz(tmp_path / "X.npz"),
        load_vectorizer(tmp_path / "tfidf").transform(data.texts),
    )
    assert (X != again).nnz == 0


def test_text_flags_reach_the_vectoriser(tmp_path):
    convert(
        cli.home() / "train.tsv",
        tmp_path / "X.svm",
        "--fit-vectorizer",
        tmp_path / "tfidf",
        "--max-features",
        50,
        "--opening",
        0,
    )
    assert len(load_vectorizer(tmp_path / "tfidf").vocabulary_) == 50


@pytest.mark.parametrize("analyzer", ["stems", "chars", "words+chars", "stems+chars"])
def test_test_rows_have_the_features_of_any_analyzer(tmp_path, analyzer):
    flags = ("--analyzer", analyzer, "--language", "en", "--fit-vectorizer", tmp_path / "tfidf")
    convert(cli.home() / "test.tsv", tmp_path / "X.npz", tmp_path / "Y.npz", *flags)
    again = (tmp_path / "X2.npz", tmp_path / "Y2.npz", "--vectorizer", tmp_path / "tfidf")
    convert(cli.home() / "test.tsv", *again)
    X, X2 = (sp.load_npz(tmp_path / name) for name in ("X.npz", "X2.npz"))
    assert X.shape == X2.shape
    np.testing.assert_allclose(X.toarray(), X2.toarray(), rtol=1e-6)


def test_a_vectoriser_of_texts_without_labels_keeps_no_label_ids(tmp_path):
    plain = cli.write_lines(tmp_path / "notes.txt", "one text", "one more text")
    convert(plain, tmp_path / "X.npz", "--fit-vectorizer", tmp_path / "tfidf", "--min-df", 1)
    assert sp.load_npz(tmp_path / "X.npz").shape[0] == 2
    assert (tmp_path / "tfidf" / "vectorizer.json").exists()
    assert not (tmp_path / "tfidf" / "labels.txt").exists()


def test_stems_without_a_language_are_one_line(tmp_path):
    targets = (tmp_path / "X.svm", "--fit-vectorizer", tmp_path / "tfidf", "--analyzer", "stems")
    line = cli.refusal(tmp_path, "convert", cli.home() / "train.tsv", *targets)
    assert line.startswith("TextParams: analyzer 'stems' needs a language, 'auto' or one of ar, ")


def test_test_labels_stand_in_the_columns_of_the_training_labels(tmp_path):
    train = cli.write_lines(tmp_path / "train.tsv", "b\tone text", "d\tone more text")
    test = cli.write_lines(tmp_path / "test.tsv", "d,a\tone text")
    convert(train, tmp_path / "train.svm", "--fit-vectorizer", tmp_path / "tfidf", "--min-df", 1)
    convert(test, tmp_path / "X.npz", tmp_path / "Y.npz", "--vectorizer", tmp_path / "tfidf")
    assert sp.load_npz(tmp_path / "Y.npz").toarray().tolist() == [
        [0, 1, 1]
    ]  # b, d, and a that training lacks


def test_a_model_has_a_vectoriser_too(tmp_path):
    convert(
        cli.home() / "test.tsv",
        tmp_path / "X.npz",
        tmp_path / "Y.npz",
        "--vectorizer",
        cli.text_model(),
    )
    assert sp.load_npz(tmp_path / "X.npz").shape[0] == cli.N_TEST
    assert same(tmp_path / "Y.npz", cli.home() / "Y.tst.npz")
    line = cli.refusal(
        tmp_path,
        "convert",
        cli.home() / "test.tsv",
        tmp_path / "a.svm",
        "--vectorizer",
        cli.model(),
    )
    assert (
        line == f"{cli.model()}: expected a model that was trained on texts, it has no vectoriser"
    )


def test_plain_texts_become_one_matrix(tmp_path):
    notes = cli.write_lines(tmp_path / "notes.txt", "a game", "a browser")
    convert(notes, tmp_path / "X.npz", "--vectorizer", cli.text_model())
    assert sp.load_npz(tmp_path / "X.npz").shape[0] == 2
    line = cli.refusal(
        tmp_path,
        "convert",
        notes,
        tmp_path / "A.npz",
        tmp_path / "B.npz",
        "--vectorizer",
        cli.text_model(),
    )
    reason = "expected labels to write, the rows have none; X alone is one path"
    assert line == f"{tmp_path / 'B.npz'}: {reason}"


def test_json_tells_sizes(tmp_path):
    source = cli.write_lines(tmp_path / "a.txt", "1 3 2", "1 0:1.5 2:2")
    shown = cli.done("convert", source, tmp_path / "b.svm", "--json", "-")
    assert json.loads(shown.stdout) == {"n_rows": 1, "n_features": 3, "n_labels": 2}
    assert shown.stderr == f"convert: 1 rows, written to {tmp_path / 'b.svm'}\n"


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["a.txt"], "expected SRC DST, where one side, or each, may be a pair X.npz Y.npz"),
        (
            ["a.npz", "b.npz", "c.npz"],
            "expected SRC DST, where one side, or each, may be a pair X.npz Y.npz",
        ),
        (["-", "a.svm"], "stdin needs --format"),
        (["a.svm", "-", "--json", "-"], "data and --json can't both go to stdout"),
        (["a.tsv", "a.svm", "--min-df", "3"], "--min-df goes with --fit-vectorizer"),
        (
            ["a.tsv", "a.svm", "--fit-vectorizer", "v", "--vectorizer", "v"],
            "expected --fit-vectorizer or --vectorizer, got both",
        ),
    ],
)
def test_misuse(args, message):
    assert cli.misuse("convert", *args) == f"Error: {message}"


@pytest.mark.parametrize("targets", [["X.npz", "Y.npz"], ["a.svm"]])
def test_texts_need_a_vectoriser_to_become_features(tmp_path, targets):
    message = cli.misuse("convert", cli.home() / "test.tsv", *[tmp_path / name for name in targets])
    assert message == "Error: texts become features with --fit-vectorizer DIR or --vectorizer DIR"
    assert not list(tmp_path.iterdir())


def test_rows_with_features_need_no_vectoriser(tmp_path):
    source = cli.write_lines(tmp_path / "a.txt", "1 3 2", "1 0:1.5 2:2")
    for flag in ("--fit-vectorizer", "--vectorizer"):
        line = cli.refusal(
            tmp_path, "convert", source, tmp_path / "b.svm", flag, cli.text_model(), "--overwrite"
        )
        assert "expected" in line


def test_bad_rows_leave_nothing(tmp_path):
    source = cli.write_lines(tmp_path / "a.txt", "2 3 2", "1 0:1.5 2:2", "1 7")
    for targets in (["b.svm"], ["X.npz", "Y.npz"]):
        line = cli.refusal(tmp_path, "convert", source, *[tmp_path / name for name in targets])
        assert line == f"{source}:3: expected feature:value, got '7'"


def test_of_several_outputs_all_or_none_appear(tmp_path, monkeypatch):
    def full(*args, **kwargs):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("xmc.io.npz.sp.save_npz", full)
    targets = (tmp_path / "X.npz", tmp_path / "Y.npz", "--fit-vectorizer", tmp_path / "tfidf")
    assert cli.refusal(tmp_path, "convert", cli.home() / "train.tsv", *targets).endswith(
        "No space left on device"
    )


def test_an_existing_output_is_refused_before_anything_is_read_unless_overwrite(tmp_path):
    out = cli.write_lines(tmp_path / "b.svm", "mine")
    line = cli.refusal(tmp_path, "convert", "no-such-file.txt", out)
    assert line == f"{out}: exists already; overwrite replaces it"
    source = cli.write_lines(tmp_path / "a.txt", "1 3 2", "1 0:1.5 2:2")
    convert(source, out, "--overwrite")
    assert out.read_text() == "1 0:1.5 2:2\n"


def test_features_do_not_become_texts(tmp_path):
    source = cli.write_lines(tmp_path / "a.txt", "1 3 2", "1 0:1.5 2:2")
    line = cli.refusal(tmp_path, "convert", source, tmp_path / "b.tsv")
    assert line == f"{tmp_path / 'b.tsv'}: expected texts for format tsv, got none"


def test_a_pair_is_not_zipped_twice(tmp_path):
    out = tmp_path / "Y.npz.gz"
    line = cli.refusal(tmp_path, "convert", "X.npz", "Y.npz", tmp_path / "a.npz", out)
    assert line == f"{out}: expected a plain file for npz, got gzip"


def test_a_pair_is_two_matrices(tmp_path):
    line = cli.refusal(
        tmp_path, "convert", "X.npz", "Y.npz", tmp_path / "a.npz", tmp_path / "b.svm"
    )
    assert line == f"{tmp_path / 'b.svm'}: {cli.NO_MATRIX}"
