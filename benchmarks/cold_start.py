"""How long `xmc predict` takes for one row from the start of its process, kernels compiled."""

import statistics
import subprocess
import sys
import time
from pathlib import Path

import bench
from configurations import THREADS, trained
from inputs import features

from xmc.io import write_matrix
from xmc.io.documents import read_documents

SHALLOW = "xmc-shallow"


def cold_starts(args, data):
    """Median seconds by what is asked, or why there are none.

    A row of features is asked, and a text if the data set has texts.
    """
    found = {}
    if bench.model_of(data, trained(SHALLOW)).exists():
        row = data.work / "row.npz"
        write_matrix(row, features(data.folder / "X.tst.npz")[:1], overwrite=True)
        found["one row"] = _median(args, ["predict", bench.model_of(data, trained(SHALLOW)), row])
    texts = args.data / data.name / "train.tsv.gz"
    if texts.exists():
        model = data.work / "models" / "xmc-text"
        options = [
            "--tree",
            "shallow",
            "--threads",
            str(THREADS),
            "--seed",
            "0",
            "--quiet",
            "--overwrite",
        ]
        bench.say(f"{data.name}, training on texts")
        trained_now = _xmc(args, ["train", texts, "--model", model, *options])
        text = read_documents(texts.with_name("test.tsv.gz"))[0][0]
        found["one text"] = trained_now or _median(args, ["predict", model, "--text", text])
    return found


def _median(args, words):
    """Median seconds of the command, after one that isn't counted; or why it failed."""
    seconds = []
    for _ in range(args.repeats + 1):
        started = time.perf_counter()
        failure = _xmc(args, words)
        if failure:
            return failure
        seconds.append(time.perf_counter() - started)
    return statistics.median(seconds[1:])


def _xmc(args, words):
    """Run the command; gives its error, or None."""
    command = [Path(sys.executable).with_name("xmc"), *words]
    try:
        done = subprocess.run(
            command,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            timeout=args.limit,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"{type(error).__name__}: xmc {words[0]}"
    return done.stderr.strip() if done.returncode else None
