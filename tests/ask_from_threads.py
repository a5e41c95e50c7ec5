"""Ask models from many threads at once, and hold each answer against the one that came alone.

    python tests/ask_from_threads.py 1000000 [--threads 16] [--seed 0]

Rows are asked one at a time, by `model.ranker()`, in small parts and in large ones, of trees,
one-vs-all and a model of texts with a last stage.
"""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

from xmc import LabelTreeClassifier, OneVsAllClassifier, TextClassifier, TopK
from xmc.datasets import load_sample, sample_texts

PARTS = (1, 1, 1, 7, 64, 500)  # rows that are asked at once
K = 5


def models() -> dict[str, tuple[Any, Any]]:
    """Models by name, each with what it is asked."""
    sample = load_sample()
    X, Y = sample.X[:1500], sample.Y[:1500][:, :200]
    base = OneVsAllClassifier(random_state=0)
    tree = LabelTreeClassifier(tree="shallow", arity=8, n_trees=3, random_state=0)
    texts, asked = (sample_texts(rows, sample.features) for rows in (X, sample.X_test))
    known = {"label_ids": [f"id{n}" for n in range(200)], "label_names": sample.label_names[:200]}
    return {
        "trees": (tree.fit(X, Y), sample.X_test),
        "one-vs-all": (base.fit(X, Y), sample.X_test),
        "texts": (TextClassifier((tree, base), rerank=True).fit(texts, Y, **known), asked),
    }


def ask(model: Any, rows: Any, first: int, n: int) -> TopK:
    """The answer to n rows; to one row, as often as not, by the ranker."""
    if n == 1 and first % 2:
        return model.ranker()(rows[first], K)
    return model.predict_topk(rows[first : first + n], K)


def count_wrong(model: Any, rows: Any, n_rows: int, threads: int, rng: Any) -> Counter[str]:
    """Rows that were asked from threads, and how many of the answers differ from those alone."""
    size = rows.shape[0] if hasattr(rows, "shape") else len(rows)
    expected = model.predict_topk(rows, K)

    def job(part: tuple[int, int]) -> Counter[str]:
        first, n = part
        found = ask(model, rows, first, n)
        wanted = expected.labels[first : first + n], expected.scores[first : first + n]
        differs = (found.labels != wanted[0]) | (found.scores != wanted[1])
        return Counter(rows=n, wrong=int(differs.any(axis=1).sum()))

    return _total(job, _parts(n_rows, size, rng), threads)


def _parts(n_rows: int, size: int, rng: Any) -> list[tuple[int, int]]:
    """First row and number of rows of each question, n_rows in all."""
    parts, asked = [], 0
    while asked < n_rows:
        n = int(rng.choice(PARTS))
        parts.append((int(rng.integers(size - n + 1)), n))
        asked += n
    return parts


def _total(job: Callable, parts: list, threads: int) -> Counter[str]:
    with ThreadPoolExecutor(threads) as pool:
        return sum(pool.map(job, parts), Counter())


def main() -> None:
    parser = argparse.ArgumentParser(description="Ask models from many threads at once.")
    parser.add_argument("n_rows", type=int)
    parser.add_argument("--threads", type=int, default=16)
    parser.add_argument("--seed", type=int, default=0)
    wanted = parser.parse_args()
    rng, n_wrong = np.random.default_rng(wanted.seed), 0
    asked = models()
    for name, (model, rows) in asked.items():
        n_rows = wanted.n_rows // len(asked)
        seen = count_wrong(model, rows, n_rows, wanted.threads, rng)
        n_wrong += seen["wrong"]
        print(f"{name}: {seen['rows']:,} rows, {seen['wrong']:,} answered otherwise than alone")
    raise SystemExit(bool(n_wrong))


if __name__ == "__main__":
    main()
