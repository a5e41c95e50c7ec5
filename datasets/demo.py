"""`make run`: the command line on the embedded sample, from labelled documents to tags for a typed description."""

from __future__ import annotations

import shlex
import subprocess
import sys
from pathlib import Path

from xmc.datasets import load_sample, sample_texts
from xmc.io import Dataset, align_labels, read_predictions, write

XMC = Path(sys.executable).with_name("xmc")
N_EXAMPLES = 3
DESCRIPTION = "text-mode email client with IMAP support for the terminal"


def main(folder: str) -> None:
    """Train, predict and evaluate in `folder`; what an earlier run left there is replaced."""
    here = Path(folder)
    train, test, model, predictions = (str(here / name) for name in ("train.tsv", "test.tsv", "model", "pred.tsv"))
    print(f"Debian packages and their tags, as documents: {train}, {test}")
    here.mkdir(parents=True, exist_ok=True)
    sample = load_sample()
    write(train, _documents(sample.X, sample.Y, sample), overwrite=True)
    test_rows = _documents(sample.X_test, sample.Y_test, sample)
    write(test, test_rows, overwrite=True)
    xmc("train", train, "--model", model, "--tree", "shallow", "--n-trees", "3", "--overwrite")
    xmc("predict", model, test, "--out", predictions, "--overwrite")
    xmc("evaluate", predictions, test, "--train-labels", train)
    show_examples(predictions, test_rows)
    xmc("predict", model, "--text", DESCRIPTION)


def _documents(X, Y, sample) -> Dataset:
    return Dataset(Y=Y, texts=sample_texts(X, sample.features), label_ids=sample.label_names)


def xmc(*arguments: str) -> None:
    """Show a command and run it."""
    print(f"\n$ xmc {shlex.join(arguments)}", flush=True)
    if code := subprocess.run([XMC, *arguments]).returncode:
        sys.exit(code)


def show_examples(predictions: str, truth: Dataset) -> None:
    """Packages at equal distances in the test rows: the predicted tags, and the true ones beside them."""
    P, tags = align_labels(*read_predictions(predictions), truth.label_ids)
    n_rows = P.shape[0]
    print(f"\n{N_EXAMPLES} of {n_rows:,} test packages, the words of each in alphabetical order")
    for row in range(n_rows // (2 * N_EXAMPLES), n_rows, n_rows // N_EXAMPLES):
        print(f"\n  {truth.texts[row]}")
        true = [tags[label] for label in truth.Y[row].indices]
        predicted = slice(P.indptr[row], P.indptr[row + 1])
        for label, score in zip(P.indices[predicted], P.data[predicted], strict=True):
            print(f"    {score:.2f}  {tags[label]:28}{'true' if tags[label] in true else ''}".rstrip())
            true = [tag for tag in true if tag != tags[label]]
        print(f"    also true: {', '.join(true) or 'none'}")


if __name__ == "__main__":
    main(sys.argv[1])
