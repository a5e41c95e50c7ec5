import json

import cli_tools as cli
import pytest
import scipy.sparse as sp

from xmc.cli import datasets as command
from xmc.datasets import PUBLIC

TRAIN = ["3 6 4", "0,1 0:1 5:0.5", "3 1:1", "2 2:2"]
TEST = ["2 6 4", "1 0:1", "0 4:1"]
SIZES = {"rows": 3, "test_rows": 2, "features": 6, "labels": 4}


@pytest.fixture
def files(tmp_path, monkeypatch):
    """Training and test rows that fit the card of wiki10-31k, but not that of eurlex-4k."""
    by_name = {card.name: card for card in PUBLIC}
    small = [
        by_name["wiki10-31k"]._replace(**SIZES),
        by_name["eurlex-4k"]._replace(**SIZES | {"features": 5000}),
    ]
    monkeypatch.setattr(command, "PUBLIC", small)
    return cli.write_lines(tmp_path / "train.txt", *TRAIN), cli.write_lines(
        tmp_path / "test.txt", *TEST
    )


def test_files_that_are_as_on_the_card_become_matrices(tmp_path, files):
    out = tmp_path / "wiki"
    said = cli.done(
        "datasets", "add", "wiki10-31k", *files, "--out", out, "--json", "-", "--quiet"
    ).stdout
    result = json.loads(said)
    assert {name: result[name] for name in SIZES} == SIZES
    assert result["labels_per_row"] == pytest.approx(4 / 3)
    shapes = {path.name: sp.load_npz(path).shape for path in out.iterdir()}
    assert shapes == {
        "X.trn.npz": (3, 6),
        "Y.trn.npz": (3, 4),
        "X.tst.npz": (2, 6),
        "Y.tst.npz": (2, 4),
    }
    assert sp.load_npz(out / "X.trn.npz").toarray()[0].tolist() == [1, 0, 0, 0, 0, 0.5]


def test_what_differs_is_said_and_which_set_it_is(tmp_path, files):
    line = cli.refusal(tmp_path, "datasets", "add", "eurlex-4k", *files, "--out", tmp_path / "out")
    assert (
        line
        == f"{files[0]}: expected eurlex-4k, got 6 features instead of 5,000; this is wiki10-31k"
    )


def test_sets_that_are_none_are_told_apart_by_all_sizes(tmp_path, files):
    line = cli.refusal(
        tmp_path, "datasets", "add", "wiki10-31k", *files[::-1], "--out", tmp_path / "out"
    )
    assert (
        line
        == f"{files[1]}: expected wiki10-31k, got 2 rows instead of 3, 3 test rows instead of 2"
    )


def test_texts_are_no_published_features(tmp_path, files):
    texts = cli.write_lines(tmp_path / "train.tsv", "a,b\tsome words")
    line = cli.refusal(
        tmp_path, "datasets", "add", "wiki10-31k", texts, files[1], "--out", tmp_path / "out"
    )
    assert line == f"{texts}: expected rows of features, as XMC text has them, got texts"


def test_a_folder_is_replaced_only_if_asked_and_only_if_it_holds_a_set(tmp_path, files):
    add = "datasets", "add", "wiki10-31k", *files, "--out", tmp_path / "wiki"
    cli.done(*add, "--quiet")
    assert "exists already" in cli.refusal(tmp_path, *add)
    cli.done(*add, "--overwrite", "--quiet")
    (tmp_path / "wiki" / "mine").touch()
    assert "expected an earlier export to replace, got 'mine'" in cli.refusal(
        tmp_path, *add, "--overwrite"
    )


def test_public_sets_have_names_of_their_own_and_two_are_eurlex():
    assert len({card.name for card in PUBLIC}) == len(PUBLIC)
    assert {card.features for card in PUBLIC if card.name.startswith("eurlex-4k")} == {
        5_000,
        186_104,
    }
