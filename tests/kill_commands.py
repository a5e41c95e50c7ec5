"""Kill commands at random moments, and look at what they leave.

    python tests/kill_commands.py 200 [--only "train trees"] [--seed 0]

Each case runs a command in a child process and kills it (SIGKILL) after a random part of the time
that it takes. Then the target must be the old one or the new one, whole; and the same command, run
again, must end in the very bytes of one that was never killed, and leave nothing beside them. The
trainings keep a checkpoint and go on from it. With --reads N, a child replaces a model all the time
while this process opens it N times: each time it must answer as the one or the other.
"""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

import numpy as np
from folders import content

from xmc import LabelTreeClassifier, OneVsAllClassifier, checkpoint, load
from xmc.cli.main import xmc
from xmc.datasets import load_sample, sample_texts
from xmc.io import Dataset, blocks, write, write_matrix

N_ROWS, N_TEXTS, N_LABELS = 1500, 1000, 200


class Case(NamedTuple):
    """A command, what it writes, and what makes the old one that it replaces."""

    command: list[str]
    outputs: list[str]
    before: Callable[[], None] | None = None


def prepare() -> dict[str, Case]:
    """Files to work on in this folder, and the commands."""
    sample = load_sample()
    X, Y = sample.X[:N_ROWS], sample.Y[:N_ROWS][:, :N_LABELS]
    write_matrix("X.npz", X)
    write_matrix("Y.npz", Y)
    write("rows.svm", Dataset(X=X, Y=Y))
    ids = [f"id{n:03d}" for n in range(N_LABELS)]
    texts = sample_texts(X, sample.features)
    write("train.tsv", Dataset(texts=texts[:N_TEXTS], Y=Y[:N_TEXTS], label_ids=ids))
    names = zip(ids, sample.label_names[:N_LABELS], strict=True)
    Path("names.tsv").write_text("".join(f"{own}\t{name}\n" for own, name in names))
    trained = OneVsAllClassifier(random_state=0, n_jobs=1).fit(X, Y)
    trained.save("trained")
    train = ["train", "X.npz", "Y.npz", "--model", "model", "--quiet"]
    kept = ["--checkpoint", "kept"]
    trees = [*kept, "--tree", "shallow", "--arity", "8", "--n-trees", "3"]

    def old_model() -> None:
        LabelTreeClassifier(random_state=1, n_jobs=1).fit(X[:300], Y[:300]).save("model")

    def old_file(name: str) -> Callable[[], None]:
        return lambda: write_matrix(name, Y[:10])

    predict = ["predict", "trained", "X.npz", "--out", "found.npz", "--overwrite", "--quiet"]
    resumed = ["predict", "trained", "X.npz", "--out", "kept.npz", "--resume", "--quiet"]
    convert = ["convert", "rows.svm", "a.npz", "b.npz", "--overwrite", "--quiet"]
    compress = ["compress", "trained", "model", "--overwrite", "--quiet"]
    of_texts = [
        "train",
        "train.tsv",
        "--model",
        "model",
        "--vocabulary",
        "names.tsv",
        "--threads",
        "1",
        "--quiet",
    ]
    return {
        "train trees": Case([*train, *trees], ["model"]),
        "train one-vs-all": Case([*train, *kept, "--one-vs-all"], ["model"]),
        "train pairs": Case(
            [*train, *kept, "--one-vs-all", "--tfidf", "--pairs", "0.5"], ["model"]
        ),
        "train low rank": Case([*train, *kept, "--method", "low-rank", "--rank", "20"], ["model"]),
        "train texts": Case([*of_texts, *kept], ["model"]),
        "overwrite": Case([*train, "--one-vs-all", "--overwrite"], ["model"], old_model),
        "predict": Case(predict, ["found.npz"], old_file("found.npz")),
        "predict and go on": Case(resumed, ["kept.npz"]),
        "convert": Case(convert, ["a.npz", "b.npz"], old_file("a.npz")),
        "compress": Case(compress, ["model"], old_model),
    }


def child(work: Callable[[], object]) -> int:
    """The process id of a child that does this work."""
    pid = os.fork()
    if pid:
        return pid
    try:
        work()
        os._exit(0)
    except BaseException as error:
        print(repr(error), file=sys.stderr)
        os._exit(1)


def run(case: Case) -> int:
    return child(lambda: xmc(case.command, prog_name="xmc", standalone_mode=False))


def finish(pid: int) -> None:
    """Wait for a child that must succeed."""
    _, status = os.waitpid(pid, 0)
    if status:
        raise SystemExit(f"the command ended with {os.waitstatus_to_exitcode(status)}")


def state(case: Case) -> list:
    """The content of each output, None where there is none."""
    return [_content(Path(name)) for name in case.outputs]


def _content(path: Path) -> object:
    if path.is_dir():
        return content(path)
    return path.read_bytes() if path.exists() else None


def clear(case: Case) -> None:
    for name in (*case.outputs, "kept", "kept.npz.part"):
        remove(name)


def remove(name: str) -> None:
    shutil.rmtree(name, ignore_errors=True)
    Path(name).unlink(missing_ok=True)


def kill_often(name: str, case: Case, n_cases: int, rng: np.random.Generator) -> None:
    """Kill a command so often, and print what was found."""
    clear(case)
    if case.before is not None:
        finish(child(case.before))
    old = state(case)
    finish(run(case))  # compiles what is left to be compiled
    new, beside = state(case), set(os.listdir())
    clear(case)
    if case.before is not None:
        finish(child(case.before))
    started = time.perf_counter()
    finish(run(case))
    seconds = time.perf_counter() - started
    seen: Counter[str] = Counter()
    for _ in range(n_cases):
        clear(case)
        if case.before is not None:
            finish(child(case.before))
        pid = run(case)
        time.sleep(rng.uniform(0, 1.02 * seconds))
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        found = state(case)
        for now, first, last in zip(found, old, new, strict=True):
            seen["old" if now == first else "new" if now == last else "NEITHER"] += 1
        seen["with a checkpoint"] += Path("kept").exists() or Path("kept.npz.part/done").exists()
        if found == new and "--overwrite" not in case.command:
            remove(case.outputs[0])
        finish(run(case))
        seen["right at the end"] += state(case) == new
        seen["nothing beside"] += set(os.listdir()) == beside
        for entry in set(os.listdir()) - beside:
            print(f"{name} left {entry}", file=sys.stderr)
    print(f"{name}: {n_cases} kills within {seconds:.2f} s: {dict(seen)}", flush=True)
    wrong = seen["NEITHER"] or min(seen["right at the end"], seen["nothing beside"]) < n_cases
    if wrong:
        raise SystemExit(1)


def read_often(n_reads: int) -> None:
    """Open a model so often while a child replaces it."""
    sample = load_sample()
    X, Y = sample.X[:400], sample.Y[:400]
    models = [OneVsAllClassifier(C=C, random_state=0, n_jobs=1).fit(X, Y) for C in (0.1, 10.0)]
    asked = sample.X_test[:20]
    answers = [model.predict_topk(asked).scores.tobytes() for model in models]

    def replace() -> None:
        for n in range(10**9):
            models[n % 2].save("replaced", overwrite=True)

    models[1].save("replaced")
    pid, seen = child(replace), Counter()
    for _ in range(n_reads):
        answer = load("replaced").set_params(n_jobs=1).predict_topk(asked).scores.tobytes()
        seen[answers.index(answer) if answer in answers else "NEITHER"] += 1
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    print(f"{n_reads} reads: {dict(seen)}")
    if seen["NEITHER"]:
        raise SystemExit(1)


def main() -> None:
    parser = argparse.ArgumentParser(description="Kill commands at random moments.")
    parser.add_argument("n_cases", type=int)
    parser.add_argument("--only")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--reads", type=int, default=0)
    wanted = parser.parse_args()
    checkpoint.EVERY, blocks.BLOCK_BYTES = 0.05, 10_000
    rng = np.random.default_rng(wanted.seed)
    with TemporaryDirectory(prefix="xmc-kill-") as folder:
        os.chdir(folder)
        for name, case in prepare().items():
            if wanted.only in (None, name):
                kill_often(name, case, wanted.n_cases, rng)
        if wanted.reads:
            read_often(wanted.reads)
        os.chdir("/")


if __name__ == "__main__":
    main()
