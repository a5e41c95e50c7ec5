"""Damage model folders at random, load them, and ask what loads.

    python tests/fuzz_folders.py 100000 [--seed 0]

Each case changes a bit, a byte, a number or a whole array, swaps two arrays of equal shape, or puts
another value anywhere in the JSON. The model must be refused in one line, or answer: whatever it
answers, it may not crash, hang, take much memory, or end in an error of another kind. With
checksums, whatever loads must answer as before.

Cases run in child processes, many in each; one that kills its process is named with its seed.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import resource
import signal
import sys
import time
from collections import Counter
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import scipy.sparse as sp

from xmc import LabelTreeClassifier, OneVsAllClassifier, RerankedClassifier, TextClassifier, load
from xmc.datasets import load_sample, sample_texts
from xmc.errors import XmcError
from xmc.io import tensors
from xmc.io.folder import ARRAYS

FILE = "model.json"
PER_CHILD = 100
SECONDS, WAIT = 20, 600  # of the processor and of the clock, for one case
VALUES = [None, True, -1, 0, 1, 3.5, 2**31, 2**63, 10**30, 1e300, "", "x", [], {}, [[]], [10**9]]
KINDS = (
    "tree",
    "several",
    "one-vs-all",
    "tail",
    "text",
    "stage",
    "stage of texts",
    "wide",
    "pairs",
)


def models() -> dict:
    """A small model of each kind, and what it is asked."""
    sample = load_sample()
    X, Y = sample.X[:600], sample.Y[:600][:, :80]
    asked = sample.X_test[:70]  # enough for pages to be mapped
    shallow = {"tree": "shallow", "arity": 6, "max_depth": 3, "random_state": 0}
    texts, asked_texts = (sample_texts(rows, sample.features) for rows in (X, asked))
    base = OneVsAllClassifier(random_state=0)
    trees = LabelTreeClassifier(**shallow)
    features = sp.csr_matrix(Y.T @ X)  # as if a label were called what its rows are about
    stage = RerankedClassifier((trees, base), label_features=features, random_state=0)
    ids = [f"id{n}" for n in range(Y.shape[1])]
    known = {"label_ids": ids, "label_names": sample.label_names[:80]}
    of_texts = [TextClassifier(base, rerank=rerank, opening=0) for rerank in (False, True)]
    fitted = (
        LabelTreeClassifier(**shallow, keep_rows=True).fit(X, Y).add(X[:9], Y[:9]).remove(3),
        LabelTreeClassifier(**shallow, n_trees=2, weights="int8").fit(X, Y),
        OneVsAllClassifier(weights="float16", optimize="psp").fit(X, Y),
        LabelTreeClassifier(tree="balanced", arity=3, max_leaf_size=9, tail_share=0.3).fit(X, Y),
        of_texts[0].fit(texts, Y, **known),
        stage.fit(X, Y),
        of_texts[1].fit(texts, Y, **known),
        LabelTreeClassifier(**shallow, n_trees=2, optimize="psp", tail_share=0.3).fit(
            spread(X), spread(Y)
        ),
        OneVsAllClassifier(tfidf=True, pairs=0.5, keep_rows=True, random_state=0).fit(X, Y),
    )
    rows = (asked,) * 4 + (asked_texts, asked, asked_texts, spread(asked), asked)
    return dict(zip(KINDS, zip(fitted, rows, strict=True), strict=True))


def spread(M: sp.csr_matrix) -> sp.csr_matrix:
    """The matrix with its columns far apart, so that models number them anew."""
    columns = M.indices * np.int32(1000) + np.int32(7)
    return sp.csr_matrix((M.data, columns, M.indptr), shape=(M.shape[0], 2**31 - 1))


def answers(model: object, rows: object) -> list:
    """What a model says, by each way to ask it."""
    few, one = rows[:3], rows[:1]
    found = [*model.predict_topk(rows, 4), *model.predict_topk(few, 2), *model.ranker()(one[0], 2)]
    P = model.predict_proba(few)
    if hasattr(model, "keep_rows") and model.has_rows_:
        model.add(few[:2], sp.eye(2, model.n_labels_, format="csr"))
        found += model.predict_topk(few, 2)
    return [*found, P.indptr, P.indices, P.data, sp.csr_matrix(model.predict(few)).indices]


def damage(rng: np.random.Generator, home: Path, folder: Path) -> str:
    """Write a damaged copy; what was done."""
    content = {path.name: path.read_bytes() for path in home.iterdir()}
    arrays = {name: array.copy() for name, array in tensors.read(home / ARRAYS).items()}
    what = rng.choice(["bit", "bytes", "number", "array", "swap", "json", "length"])
    if what in ("bit", "bytes", "length"):
        name = str(rng.choice(list(content)))
        raw = bytearray(content[name])
        at = int(rng.integers(len(raw)))
        if what == "bit":
            raw[at] ^= 1 << int(rng.integers(8))
        elif what == "bytes":
            raw[at : at + 8] = rng.bytes(len(raw[at : at + 8]))
        else:
            del raw[at:]
        content[name], what = bytes(raw), f"{what} of {name} at {at}"
    elif what == "json":
        meta = json.loads(content[FILE])
        what = f"json: {_spoil(rng, meta)}"
        content[FILE] = json.dumps(meta).encode()
    else:
        name = str(rng.choice([name for name, array in arrays.items() if array.size]))
        what = f"{what} {name}: {_change(rng, what, arrays, name)}"
        path = folder / ARRAYS
        path.unlink(missing_ok=True)
        tensors.write(path, arrays)
        content[ARRAYS] = path.read_bytes()
        meta = json.loads(content[FILE])
        for key, array in arrays.items():
            meta["arrays"][key] |= {"shape": list(array.shape), "dtype": array.dtype.str}
        content[FILE] = json.dumps(meta).encode()
    for name, raw in content.items():
        (folder / name).write_bytes(raw)
    return what


def _change(rng: np.random.Generator, what: str, arrays: dict, name: str) -> str:
    array = arrays[name]
    if what == "swap":
        alike = [n for n, a in arrays.items() if (a.shape, a.dtype) == (array.shape, array.dtype)]
        other = str(rng.choice(alike))
        arrays[name], arrays[other] = arrays[other], array
        return f"with {other}"
    info = np.iinfo(array.dtype) if array.dtype.kind in "iu" else None
    extremes = [info.min, info.max, 0, 1] if info else [np.nan, np.inf, -1e30, 0]
    if array.dtype == bool:
        what = "array" if what == "number" else what
    flat, at = array.reshape(-1), int(rng.integers(array.size))
    with np.errstate(all="ignore"):
        if what == "number":
            near = [flat[at] + flat.dtype.type(1), flat[at] - flat.dtype.type(1)]
            flat[at] = extremes[int(rng.integers(4))] if rng.random() < 0.5 else near[at % 2]
            return f"{flat[at]} at {at}"
        changes = (
            lambda a: a[: len(a) // 2],
            lambda a: np.concatenate([a, a]),
            lambda a: a[::-1],
            lambda a: np.full_like(a, extremes[int(rng.integers(4))]),
            lambda a: a.astype(np.float64),
            lambda a: a.reshape(-1),
            lambda a: a[:0],
        )
        n = int(rng.integers(len(changes)))
        arrays[name] = np.ascontiguousarray(changes[n](array))
    return f"change {n}"


def _spoil(rng: np.random.Generator, meta: dict) -> str:
    """Put another value somewhere into the JSON, or leave something out."""
    place, path = meta, []
    while True:
        keys = list(place) if isinstance(place, dict) else range(len(place))
        key = keys[int(rng.integers(len(keys)))]
        path.append(key)
        if isinstance(place[key], (dict, list)) and place[key] and rng.random() < 0.8:
            place = place[key]
            continue
        if rng.random() < 0.2:
            del place[key]
            return f"{path} left out"
        place[key] = VALUES[int(rng.integers(len(VALUES)))]
        return f"{path} = {place[key]!r}"


def run_cases(home: Path, kinds: dict, expected: dict, seeds: range, out: object) -> None:
    """Each case in this process; says what it does before it does it."""
    with TemporaryDirectory(dir=home) as folder:
        for seed in seeds:
            rng = np.random.default_rng(seed)
            kind = KINDS[seed % len(KINDS)]
            done = damage(rng, home / kind, Path(folder))
            out.send((seed, kind, done, "begun"))
            signal.setitimer(signal.ITIMER_PROF, SECONDS)  # both signals end the process
            signal.alarm(WAIT)
            before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
            out.send((seed, kind, done, _outcome(Path(folder), kinds[kind][1], expected[kind])))
            signal.setitimer(signal.ITIMER_PROF, 0)
            signal.alarm(0)
            grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
            if grown > 300_000:  # kB
                out.send((seed, kind, done, f"BAD took {grown:,} kB more"))


def _outcome(folder: Path, rows: object, expected: list) -> str:
    try:
        found = answers(load(folder), rows)
    except XmcError as error:
        return "refused" if "\n" not in str(error) else f"BAD {error}"
    except Exception as error:  # what nobody foresaw is what is looked for
        return f"BAD {type(error).__name__}: {' '.join(str(error).split())[:200]}"
    same = all(
        np.array_equal(a, b, equal_nan=a.dtype.kind == "f")
        for a, b in zip(found, expected, strict=True)
    )
    try:
        load(folder, verify=True)
    except XmcError:
        return "same" if same else "other, which verify finds"
    return "same" if same else "BAD another answer that verify doesn't find"


def fuzz(n: int, seed: int, say: object = print) -> Counter:
    """How often each outcome came out; says what is bad."""
    kinds, outcomes = models(), Counter()
    with TemporaryDirectory() as home:
        expected = {}
        for kind, (model, rows) in kinds.items():
            model.save(Path(home) / kind)
            expected[kind] = answers(load(Path(home) / kind), rows)
        start, next_seed, end = time.monotonic(), seed, seed + n
        while next_seed < end:
            last = min(next_seed + PER_CHILD, end)
            for case in _in_a_child(Path(home), kinds, expected, range(next_seed, last)):
                if case[3] != "begun":
                    outcomes[case[3].split(":")[0]] += 1
                    if case[3].startswith("BAD"):
                        say(*case)
                next_seed = case[0] + 1
            if next_seed % 5000 < PER_CHILD:
                say(f"{next_seed - seed:,} of {n:,}, {time.monotonic() - start:.0f} s", outcomes)
    return outcomes


def _in_a_child(home: Path, kinds: dict, expected: dict, seeds: range) -> list:
    """What a child process says of these cases; its death is the last thing that it says."""
    ours, theirs = multiprocessing.Pipe(duplex=False)
    context = multiprocessing.get_context("fork")
    child = context.Process(target=run_cases, args=(home, kinds, expected, seeds, theirs))
    child.start()
    theirs.close()
    cases: list = []
    try:
        while True:
            cases.append(ours.recv())
    except EOFError:
        child.join()
    if child.exitcode:
        last = cases[-1][:3] if cases else (seeds[0], "", "")
        cases.append((*last, f"BAD died of {child.exitcode}"))
    return cases


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("n", type=int)
    parser.add_argument("--seed", type=int, default=0)
    wanted = parser.parse_args()
    found = fuzz(wanted.n, wanted.seed)
    print(*found.most_common(), sep="\n")
    sys.exit(any(outcome.startswith("BAD") for outcome in found))
