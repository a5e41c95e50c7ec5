"""`make run`: the command line on the embedded sample, from labelled documents to answers."""

from __future__ import annotations

import shlex
import subprocess
import sys
from pathlib import Path

from xmc.io import align_labels, read_predictions
from xmc.io.documents import read_documents

XMC = Path(sys.executable).with_name("xmc")
N_EXAMPLES = 3
DESCRIPTION = "text-mode email client with IMAP support for the terminal"


def main(folder: str) -> None:
    """Train, predict and evaluate in `folder`; what an earlier run left there is replaced."""
    here = Path(folder)
    here.mkdir(parents=True, exist_ok=True)
    data, model, predictions = (str(here / name) for name in ("debtags", "model", "pred.jsonl"))
    train, test = f"{data}/train.tsv", f"{data}/test.tsv"
    xmc("datasets", "export", "debtags", data, "--overwrite")
    xmc("train", train, "--model", model, "--overwrite")
    xmc("predict", model, test, "--out", predictions, "--overwrite")
    xmc("evaluate", predictions, test, "--train-labels", train)
    show_examples(predictions, test)
    xmc("predict", model, "--text", DESCRIPTION)


def xmc(*arguments: str) -> None:
    """Show a command and run it."""
    print(f"\n$ xmc {shlex.join(arguments)}", flush=True)
    if code := subprocess.run([XMC, *arguments]).returncode:
        sys.exit(code)


def show_examples(predictions: str, test: str) -> None:
    """Print some test rows, equally far apart: the predicted tags, and whether they are true."""
    texts, Y, true_ids = read_documents(test)
    P, ids = read_predictions(predictions)
    P, tags = align_labels(P, ids or [], true_ids)
    n_rows = P.shape[0]
    print(
        f"\n{N_EXAMPLES} of {n_rows:,} test packages; the words of each stand in alphabetical order"
    )
    for row in range(n_rows // (2 * N_EXAMPLES), n_rows, n_rows // N_EXAMPLES):
        print(f"\n  {texts[row]}")
        true = [tags[label] for label in Y[row].indices]
        predicted = slice(P.indptr[row], P.indptr[row + 1])
        for label, score in zip(P.indices[predicted], P.data[predicted], strict=True):
            print(
                f"    {score:.2f}  {tags[label]:28}{'true' if tags[label] in true else ''}".rstrip()
            )
        missed = [tag for tag in true if tag not in {tags[label] for label in P.indices[predicted]}]
        print(f"    also true: {', '.join(missed) or 'none'}")


if __name__ == "__main__":
    main(sys.argv[1])
