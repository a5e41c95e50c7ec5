"""Small models of folder format 2 and their predictions, to hold against what later code makes.

tests/data/format2.zip was written by the last version that knew format 2 alone, with this file:

    cd /tmp && PYTHON_OF_THAT_VERSION /path/to/tests/format2.py /path/to/tests/data/format2.zip

The rows come from the embedded sample, so the tests train on the same ones. Only what every version
has in common is used here: the public names of `xmc` and `xmc.datasets`, and the command line.
"""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import numpy as np
import scipy.sparse as sp

from xmc import LabelTreeClassifier, OneVsAllClassifier, load
from xmc.datasets import load_sample, sample_texts

N_ROWS, N_TEST, N_LABELS, K = 300, 40, 60, 10
SHALLOW = {"tree": "shallow", "arity": 8, "max_depth": 3}
TREES: dict[str, dict[str, Any]] = {
    "balanced": {"tree": "balanced", "arity": 4, "max_leaf_size": 6},
    "shallow": SHALLOW,
    "three_trees": SHALLOW | {"max_depth": 2, "n_trees": 3},
    "int8": SHALLOW | {"weights": "int8"},
    "psp": SHALLOW | {"optimize": "psp", "costs": "propensity"},
    "tail": SHALLOW | {"tail_share": 0.2},
}
MATRIX_KINDS = (*TREES, "one_vs_all", "classes")
TEXT_FLAGS = (
    "--tree shallow --arity 8 --max-depth 2 --max-ngram 2 --threads 1 --seed 0 --quiet --opening 0"
)


class Slice(NamedTuple):
    """Some rows of the sample, the labels most frequent in them and the features that occur.

    Y_test has the same columns as Y. `texts` and `texts_test` are the rows as words.
    """

    X: sp.csr_matrix
    Y: sp.csr_matrix
    X_test: sp.csr_matrix
    Y_test: sp.csr_matrix
    texts: list[str]
    texts_test: list[str]
    label_names: list[str]


def sample_slice() -> Slice:
    """The rows that all models here are trained on and asked about."""
    sample = load_sample()
    rows = np.linspace(0, sample.X.shape[0] - 1, N_ROWS).astype(int)
    test = np.linspace(0, sample.X_test.shape[0] - 1, N_TEST).astype(int)
    X, Y, X_test, Y_test = sample.X[rows], sample.Y[rows], sample.X_test[test], sample.Y_test[test]
    labels = np.sort(np.argsort(-Y.getnnz(axis=0), kind="stable")[:N_LABELS])
    features = np.flatnonzero(X.getnnz(axis=0))
    texts, texts_test = (sample_texts(counts, sample.features) for counts in (X, X_test))
    return Slice(
        X[:, features],
        Y[:, labels],
        X_test[:, features],
        Y_test[:, labels],
        texts,
        texts_test,
        [sample.label_names[label] for label in labels],
    )


def one_class_per_row(data: Slice) -> np.ndarray:
    """The name of each row's first label; "none" for rows without."""
    return np.array(
        [data.label_names[row.indices[0]] if row.nnz else "none" for row in map(sorted_row, data.Y)]
    )


def sorted_row(row: sp.csr_matrix) -> sp.csr_matrix:
    """The row with its labels in ascending order."""
    row = row.copy()
    row.sort_indices()
    return row


def train(kind: str, data: Slice) -> Any:
    """A model of one of MATRIX_KINDS."""
    if kind in TREES:
        return LabelTreeClassifier(**TREES[kind], n_jobs=1, random_state=0).fit(data.X, data.Y)
    y = one_class_per_row(data) if kind == "classes" else data.Y
    return OneVsAllClassifier(n_jobs=1, random_state=0).fit(data.X, y)


def train_on_text(data: Slice, folder: Path, xmc: list[str]) -> Path:
    """The folder of a model trained from text, with label ids and names; `xmc` is the command."""
    lines = (
        ",".join(data.label_names[label] for label in row.indices) + "\t" + text + "\n"
        for row, text in zip(map(sorted_row, data.Y), data.texts, strict=True)
    )
    (folder / "train.tsv").write_text("".join(lines), encoding="utf-8")
    names = (f"{name}\t{name.replace('::', ' ')}\n" for name in data.label_names)
    (folder / "names.tsv").write_text("".join(names), encoding="utf-8")
    model = folder / "text"
    arguments = ["train", folder / "train.tsv", "--label-names", folder / "names.tsv"]
    subprocess.run([*xmc, *arguments, "--model", model, *TEXT_FLAGS.split()], check=True)
    return model


def main(archive: str) -> None:
    """Train one model of each kind and write their folders and predictions as one archive."""
    data = sample_slice()
    with TemporaryDirectory() as name:
        folder = Path(name)
        for kind in MATRIX_KINDS:
            train(kind, data).save(folder / kind)
        train_on_text(data, folder, [str(Path(sys.executable).with_name("xmc"))])
        for kind in (*MATRIX_KINDS, "text"):
            asked = data.texts_test if kind == "text" else data.X_test
            labels, scores = load(folder / kind).predict_topk(asked, K)
            np.save(folder / kind / "predicted_labels.npy", labels)
            np.save(folder / kind / "predicted_scores.npy", scores)
        with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as out:
            for path in sorted(folder.glob("*/*")):
                entry = zipfile.ZipInfo(str(path.relative_to(folder)))  # no time, no owner
                entry.compress_type = zipfile.ZIP_DEFLATED
                out.writestr(entry, path.read_bytes())


if __name__ == "__main__":
    main(sys.argv[1])
