"""`xmc warmup`: compile every kernel now, so that no later command has to wait for it."""

from __future__ import annotations

import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import click

from xmc.cli import options
from xmc.cli.output import Output

if TYPE_CHECKING:
    import scipy.sparse as sp


@click.command("warmup", short_help="Compile every kernel for this machine.")
@options.output
def command(output: Output) -> None:
    """Compile every kernel for this machine and save the results on disk.

    That takes a minute or two; afterwards no command has to compile.
    """
    output.check()
    started = time.monotonic()
    compile_all()
    seconds = time.monotonic() - started
    output.notices.say(f"all kernels are ready, after {seconds:.1f} s")
    output.write_json({"seconds": round(seconds, 3)})


def compile_all() -> None:
    """Run what compiles: training, ranking with each kind of weights, metrics, text formats."""
    import numpy as np
    import scipy.sparse as sp

    from xmc.io import Dataset, read, write
    from xmc.metrics import report
    from xmc.topk import TopK
    from xmc.warmup import compile_kernels

    for weights in options.WEIGHTS["among"]:
        compile_kernels(weights)
    compile_kernels("float32", costs=True)
    eye = sp.eye(3, format="csr", dtype=np.float32)
    report(eye, TopK(np.zeros((3, 1), np.int32), np.ones((3, 1), np.float32)), (1,), np.ones(3))
    with TemporaryDirectory() as folder:
        for format in ("xmc", "svmlight"):
            write(Path(folder) / format, Dataset(X=eye, Y=eye), format=format)
            read(Path(folder) / format, format=format)
        _compile_what_is_left(Path(folder), eye)
        _compile_the_stage(Path(folder), eye)


def _compile_what_is_left(folder: Path, eye: sp.csr_matrix) -> None:
    """Run what few commands need: probabilities, compression, labels chosen for all rows together,
    products of features, predictions as text, synthetic sets.

    A test runs every command after the warmup and finds what is missing here.
    """
    from xmc import LowRankClassifier, OneVsAllClassifier
    from xmc.datasets import synthesize
    from xmc.io import write_predictions
    from xmc.ranking.together import Target, best_together

    for weights in options.WEIGHTS["among"]:
        model = OneVsAllClassifier(max_iter=1, weights=weights).fit(eye, eye)
        model.predict_proba(eye)
        model.compress(weights, weight_threshold=0.01)
    top = model.predict_topk(eye, 1)
    best_together(top, 1, Target(0, 1.0))
    OneVsAllClassifier(max_iter=1, tfidf=True, pairs=1.0).fit(eye, eye).predict_topk(eye, 1)
    LowRankClassifier(factorization="als", max_sweeps=1).fit(eye, eye).predict_topk(eye, 1)
    for format in ("tsv", "jsonl"):
        write_predictions(folder / f"predictions.{format}", top, 3)
    synthesize("wiki10-31k", folder / "synthetic", scale=0.005)


def _compile_the_stage(folder: Path, eye: sp.csr_matrix) -> None:
    """Train a last stage on texts and on matrices, open a model that has one, and ask it."""
    from xmc import LabelTreeClassifier, RerankedClassifier, TextClassifier, Vocabulary, load

    ids = ["a", "b", "c"]
    names = Vocabulary.of((label, f"name {label}", "preferred", None) for label in ids)
    texts = [f"name {label} of {label}" for label in ids] * 4
    below = LabelTreeClassifier(max_iter=1, random_state=0)
    model = TextClassifier(below, vocabulary=names, rerank=True).fit(texts, [[i] for i in ids] * 4)
    model.save(folder / "model")
    load(folder / "model").suggest(texts[0], 1)
    RerankedClassifier(below, label_features=eye).fit(eye, eye).predict_proba(eye)
