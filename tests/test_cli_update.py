import json

import numpy as np
import pytest
import scipy.sparse as sp
from cli_tools import done, misuse, refusal, run
from folders import content
from planted_names import IDS, NAMES, UNTRAINED, named_texts

from xmc import load

TREE = ("--no-rerank", "--seed", 0, "--quiet")


def write_tsv(path, texts, labels):
    lines = [f"{','.join(own)}\t{text}\n" for text, own in zip(texts, labels, strict=True)]
    path.write_text("".join(lines))
    return path


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """train.tsv, new.tsv with a label that train.tsv lacks, and models of train.tsv: `plain`, and
    `kept`, which keeps its rows.
    """
    folder = tmp_path_factory.mktemp("update")
    texts, labels = named_texts(400, 0)
    write_tsv(folder / "train.tsv", texts, labels)
    write_tsv(folder / "new.tsv", texts[:30], [[*own, "x9"] for own in labels[:30]])
    done("train", folder / "train.tsv", "--model", folder / "plain", *TREE)
    done("train", folder / "train.tsv", "--model", folder / "kept", *TREE, "--keep-rows")
    return folder


def test_new_labels_are_learned_and_the_model_is_replaced(folder, tmp_path):
    model = tmp_path / "model"
    done("update", folder / "kept", folder / "new.tsv", "--model", model)
    result = done("update", model, folder / "new.tsv", "--json", "-")
    told = json.loads(result.stdout)
    assert (told["n_labels_new"], told["n_rows_new"], told["n_labels_solved"]) == (0, 0, 0)
    assert told["n_rows"] == 400
    learned = load(model, verify=True)
    assert learned.label_ids_[-1] == "x9"
    assert learned.label_counts_[-1] == 30
    assert "x9" not in load(folder / "kept").label_ids_
    assert "nothing new" in result.stderr


def test_rows_may_be_given_and_give_the_same_model(folder, tmp_path):
    news = folder / "new.tsv"
    done("update", folder / "kept", news, "--model", tmp_path / "a", "--threads", 1)
    given = ("--rows", folder / "train.tsv")
    result = done("update", folder / "plain", news, *given, "--model", tmp_path / "b")
    assert "1 labels solved, 1 labels new" in result.stderr
    arrays = [load(tmp_path / name).classifier_.members_[0] for name in "ab"]
    for own, other in zip(arrays[0].layers[-1], arrays[1].layers[-1], strict=True):
        np.testing.assert_array_equal(own, other)


def test_a_model_in_place_is_replaced_without_a_word_about_overwriting(folder, tmp_path):
    model = tmp_path / "model"
    done("update", folder / "kept", folder / "new.tsv", "--model", model)
    done("update", model, "--remove", "x9", "--remove", IDS[1])
    learned = load(model)
    assert learned.label_counts_[-1] == 0
    assert IDS[1] not in [found.id for found in learned.suggest(NAMES[IDS[1]], 20)]
    assert refusal(tmp_path, "update", folder / "kept", "--remove", IDS[1], "--model", model)


def test_inspect_tells_what_was_learned_since(folder, tmp_path):
    model = tmp_path / "model"
    assert "updated" not in done("inspect", folder / "kept").stdout
    done("update", folder / "kept", folder / "new.tsv", "--model", model, "--remove", IDS[1])
    shown = " ".join(done("inspect", model).stdout.split())
    assert "1 labels solved, 0 rows new, 1 labels removed; " in shown
    assert f"{load(model).drift_:.1%} of the labels have changed" in shown
    facts = json.loads(done("inspect", model, "--json", "-").stdout)
    assert facts["updates"] == {"n_rows": 0, "n_labels": 1, "n_removed": 1}


def test_much_drift_asks_for_a_new_training(folder, tmp_path):
    texts, labels = named_texts(400, 5)
    news = write_tsv(tmp_path / "many.tsv", texts, labels)
    result = done("update", folder / "kept", news, "--model", tmp_path / "model")
    assert "of the labels have changed since the training: it is time to train again" in (
        result.stderr
    )


def test_feedback_of_the_service_is_learned(folder, tmp_path):
    texts, _ = named_texts(5, 9)
    records = [
        {"text": texts[0], "accepted": [IDS[1], "x9"], "rejected": []},
        {"text": texts[1], "accepted": [], "rejected": [IDS[1]]},
        {"text": texts[2], "accepted": ["x9"], "rejected": [IDS[2]], "time": "now"},
    ]
    path = tmp_path / "model.feedback.jsonl"
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    done("update", folder / "kept", path, "--model", tmp_path / "model")
    learned = load(tmp_path / "model")
    assert learned.label_counts_[learned.label_ids_.index("x9")] == 2
    assert learned.model_.updates.n_rows == 2


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{", "expected feedback as JSON, got '{'"),
        ('{"text": "a"}', "expected feedback as JSON"),
        ('{"text": "a", "accepted": [3]}', "expected feedback as JSON"),
        ('{"text": "a", "accepted": []}', "expected feedback that accepts a label, got none"),
    ],
)
def test_what_is_no_feedback_is_refused(folder, tmp_path, line, message):
    path = tmp_path / "feedback.jsonl"
    path.write_text(line + "\n")
    assert message in refusal(tmp_path, "update", folder / "kept", path, "--model", tmp_path / "m")


def test_matrices_are_learned_with_columns_behind_those_of_the_model(rng, tmp_path):
    X = sp.csr_matrix(rng.random((200, 20)) * (rng.random((200, 20)) < 0.4))
    Y = sp.csr_matrix(rng.random((200, 12)) < 0.1, dtype=np.float32)
    old = sp.csr_matrix(Y[:, :10])
    for name, M in (("X", X), ("Y", Y), ("old", old)):
        sp.save_npz(tmp_path / f"{name}.npz", M)
    pair = [tmp_path / "X.npz", tmp_path / "old.npz"]
    done("train", *pair, "--model", tmp_path / "model", "--seed", 0)
    rows = ("--rows", pair[0], "--rows", pair[1])
    done("update", tmp_path / "model", pair[0], tmp_path / "Y.npz", *rows)
    model = load(tmp_path / "model")
    assert model.n_labels_ == 12
    assert model.label_counts_.tolist() == Y.getnnz(axis=0).tolist()
    done("update", tmp_path / "model", "--remove", 3)
    assert load(tmp_path / "model").label_counts_[3] == 0


def test_a_vocabulary_brings_names_and_concepts(folder, tmp_path):
    known = [own for own in IDS if own != UNTRAINED[0]]
    for name, ids in (("some", known), ("all", IDS)):
        (tmp_path / f"{name}.tsv").write_text("".join(f"{own}\t{NAMES[own]}\n" for own in ids))
    train = ("train", folder / "train.tsv", "--model", tmp_path / "model", "--seed", 0, "--rerank")
    done(*train, "--vocabulary", tmp_path / "some.tsv", "--method", "tree")
    text = f"about {NAMES[UNTRAINED[0]]}"
    assert UNTRAINED[0] not in done("predict", tmp_path / "model", "--text", text).stdout
    done("update", tmp_path / "model", "--vocabulary", tmp_path / "all.tsv")
    assert UNTRAINED[0] in done("predict", tmp_path / "model", "--text", text, "-k", 1).stdout
    news = ("update", tmp_path / "model", folder / "new.tsv", "--model", tmp_path / "later")
    result = done(*news, "--vocabulary", tmp_path / "all.tsv")
    assert "labels that the vocabulary lacks" in result.stderr
    result = done("update", tmp_path / "later", folder / "new.tsv")
    assert "1 of " in result.stderr and "labels that the model's vocabulary lacks" in result.stderr


def test_a_model_without_rows_asks_for_them(folder, tmp_path):
    line = refusal(
        tmp_path, "update", folder / "plain", folder / "new.tsv", "--model", tmp_path / "m"
    )
    assert line.endswith(
        "plain: expected a model that has rows to learn new ones beside: give those of the "
        "training with --rows, or train with --keep-rows"
    )


def test_unknown_labels_are_refused_with_the_closest(folder, tmp_path):
    line = refusal(
        tmp_path, "update", folder / "plain", "--remove", "c01x", "--model", tmp_path / "m"
    )
    assert "expected a label of the model, got 'c01x'; the closest is 'c1" in line


def test_a_failed_update_leaves_the_folder_alone(folder, tmp_path):
    before = content(folder / "kept")
    (tmp_path / "bad.tsv").write_text("a\n")
    assert run("update", folder / "kept", tmp_path / "bad.tsv").exit_code == 1
    assert content(folder / "kept") == before


@pytest.mark.parametrize(
    ("args", "message"),
    [
        ((), "expected rows, --vocabulary or --remove"),
        (("--remove", "a", "--rows", "b.tsv"), "--rows goes with new rows"),
        (("--remove", "a", "--label-names", "b.tsv"), "--label-names goes with new rows"),
    ],
)
def test_misuse_is_told(folder, args, message):
    assert message in misuse("update", folder / "plain", *args)


def test_matrices_don_t_go_with_a_model_of_texts(folder, tmp_path):
    sp.save_npz(tmp_path / "X.npz", sp.csr_matrix(np.eye(3)))
    args = folder / "kept", tmp_path / "X.npz", tmp_path / "X.npz"
    assert "expected texts, as the model was trained on texts" in misuse("update", *args)
