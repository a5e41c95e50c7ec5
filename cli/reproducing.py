"""What `xmc reproduce` measures: the runs of a recipe, each with its seeds."""

from __future__ import annotations

import hashlib
import json
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from functools import cache, partial
from itertools import groupby
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING, Any, NamedTuple

from xmc.cli.data import pad_columns
from xmc.cli.output import Notices
from xmc.datasets.figures import METRICS
from xmc.datasets.recipes import EMBEDDED, Recipe, Run
from xmc.errors import DataError
from xmc.methods import METHODS

if TYPE_CHECKING:
    from xmc.checkpoint import Checkpoint, Identity

KS = (1, 3, 5)  # those of METRICS
MORE = ("nDCG@3", "nDCG@5", "coverage@5")  # that nobody published, in percent


class Outcome(NamedTuple):
    """What a run reached.

    by_seed: METRICS and MORE in percent, the seconds of training, milliseconds per test row, and
        bytes of the model's folder, for each seed.
    """

    run: Run
    by_seed: list[dict[str, float]]

    @property
    def mean(self) -> dict[str, float]:
        """The means over the seeds."""
        return {key: fmean(found[key] for found in self.by_seed) for key in self.by_seed[0]}

    @property
    def misses(self) -> dict[str, float]:
        """What was expected of the metrics that are off by more than the tolerance.

        Differences are rounded to two decimals, as expected figures are.
        """
        mean, tolerance = self.mean, self.run.tolerance or 0
        return {
            key: value
            for key, value in (self.run.expected or {}).items()
            if round(abs(mean[key] - value), 2) > tolerance
        }


class Measuring(NamedTuple):
    """How runs are measured.

    folder: of the recipe's data.
    checkpoint: keeps the figures of each run and seed.
    """

    recipe: Recipe
    folder: Path
    threads: int | None
    notices: Notices
    checkpoint: Checkpoint

    def outcomes(self, runs: Sequence[Run]) -> Iterator[Outcome]:
        """Train and measure each run; neighbours that take the same rows read them once."""
        for _, alike in groupby(runs, key=rows_of):
            own = list(alike)
            rows = cache(partial(self.read, own[0]))  # none, if all that they give is kept
            for run in own:
                yield Outcome(run, [self._of(run, seed, rows) for seed in run.seeds])

    def _of(self, run: Run, seed: int, rows: Callable[[], Any]) -> dict[str, float]:
        """The figures of a seed, measured or kept."""
        measured = self.texts_measured if run.vocabulary else self.measured

        def job() -> dict[str, float]:
            return measured(run, seed, rows())

        name = f"{run.name}.seed{seed}.{fingerprint(run)}"
        return self.checkpoint.once(name, dict[str, float], job)

    def read(self, run: Run) -> Any:
        """The rows that a run takes; texts and the vocabulary that names their labels, if it has
        one.
        """
        if run.vocabulary is None:
            return read_rows(self.recipe, self.folder, run.text)
        from xmc import Vocabulary
        from xmc.datasets import read_texts

        split = read_texts(self.folder, self.recipe.source)
        check_labelled(split.Y_test, self.folder)
        return split, Vocabulary.read(self.folder / run.vocabulary)

    def measured(self, run: Run, seed: int, split: Sequence[Any]) -> dict[str, float]:
        """The figures of a run that is trained once."""
        from xmc.memory import return_freed_arrays
        from xmc.metrics import propensities
        from xmc.warmup import compile_kernels

        return_freed_arrays()
        X, Y, X_test, Y_test = split
        model = new_model(run, seed, self.threads, self.notices.quiet)
        # Kernels are compiled once per machine, which is no part of training.
        compile_kernels(
            getattr(model, "weights", "float32"), getattr(model, "costs", "equal") != "equal"
        )
        seconds = self._fit(model, run, seed, X, Y)
        p = propensities(pad_columns(Y, Y_test.shape[1]), *self.recipe.propensity)
        return _figures(model, X_test, Y_test, p) | {"seconds": seconds}

    def texts_measured(self, run: Run, seed: int, named: Any) -> dict[str, float]:
        """The same of a model of texts, whose time counts how features come about, too."""
        from xmc import TextClassifier
        from xmc.io import align_labels
        from xmc.memory import return_freed_arrays
        from xmc.metrics import propensities

        return_freed_arrays()
        split, vocabulary = named
        below = new_model(run, seed, self.threads, self.notices.quiet)
        model = TextClassifier(below, vocabulary=vocabulary, **(run.text or {}))
        seconds = self._fit(model, run, seed, split.texts, split.Y, label_ids=split.ids)
        self.notices.say(model.notices_[-1])
        Y_test, ids = align_labels(split.Y_test, split.test_ids, model.label_ids_)
        p = propensities(align_labels(split.Y, split.ids, ids)[0], *self.recipe.propensity)
        return _figures(model, split.test_texts, Y_test, p) | {"seconds": seconds}

    def _fit(self, model: Any, run: Run, seed: int, *data: Any, **ids: Any) -> float:
        """Fit the model; gives the seconds."""
        started = time.monotonic()
        model.fit(*data, **ids)
        seconds = time.monotonic() - started
        self.notices.say(f"{run.name}, seed {seed}: trained in {seconds:.1f} s")
        return round(seconds, 3)


def check_files(recipe: Recipe, folder: Path, runs: Sequence[Run]) -> None:
    """Raise DataError if a file is missing that these runs read."""
    from xmc.datasets.splits import files_of

    for run in runs if recipe.data != EMBEDDED else ():
        of_texts = run.text is not None or run.vocabulary is not None
        more = () if run.vocabulary is None else (run.vocabulary,)
        for name in (*files_of(folder, of_texts, recipe.source), *more):
            if not (folder / name).is_file():
                got = "something else" if (folder / name).exists() else "nothing there"
                raise DataError(f"{folder / name}: expected a file, got {got}")


def opened(path: str | None, recipe: Recipe, folder: Path) -> AbstractContextManager[Checkpoint]:
    """The checkpoint of a recipe, in a folder of its own within the one at a path."""
    from xmc.checkpoint import opened

    if path is not None:
        try:
            Path(path).mkdir(exist_ok=True)
        except OSError as error:
            raise DataError(f"{path}: can't be made: {error.strerror}") from None
        path = str(Path(path, recipe.name))
    return opened(path, lambda: identity_of(recipe, folder))


def identity_of(recipe: Recipe, folder: Path) -> Identity:
    """What the figures of all runs of a recipe depend on."""
    from xmc.checkpoint import Identity
    from xmc.model_files import versions

    settings = {**versions(), "propensity": recipe.propensity}
    there = recipe.data != EMBEDDED and folder.is_dir()
    files = sorted(folder.iterdir()) if there else []
    return Identity(settings=settings, data={path.name: _stamp(path) for path in files})


def fingerprint(run: Run) -> str:
    """Tells a run from what it was before its recipe was edited: then it is measured again."""
    trained = run.method, run.settings, run.bases, run.text, run.vocabulary
    return hashlib.sha256(json.dumps(trained, sort_keys=True).encode()).hexdigest()[:16]


def _stamp(path: Path) -> list[int]:
    found = path.stat()
    return [found.st_size, found.st_mtime_ns]


def rows_of(run: Run) -> tuple[Any, ...]:
    """What says which rows a run takes: the same for runs of the same rows."""
    return run.text, run.vocabulary is not None


def read_rows(recipe: Recipe, folder: Path, text: dict[str, Any] | None) -> Sequence[Any]:
    """X, Y, X_test and Y_test, where Y_test has at least the labels of Y."""
    from xmc.datasets import load_sample, read_split
    from xmc.params import TextParams

    if recipe.data == EMBEDDED:
        X, Y, X_test, Y_test = load_sample()[:4]
    else:
        params = None if text is None else TextParams(**text)
        X, Y, X_test, Y_test = read_split(folder, params, recipe.source)
        check_labelled(Y_test, folder)
    return X, Y, X_test, pad_columns(Y_test, Y.shape[1])


def check_labelled(Y_test: Any, folder: Path) -> None:
    """Raise DataError if no test row has a label: there is nothing to measure on."""
    if not Y_test.nnz:
        raise DataError(f"{folder}: expected test rows with labels, no row has one")


def new_model(run: Run, seed: int, threads: int | None, quiet: bool) -> Any:
    """The estimator that the run describes, not fitted."""
    how = {"n_jobs": threads or -1, "random_state": seed, "verbose": int(not quiet)}
    own = {}
    if run.bases is not None:
        own["classifier"] = tuple(METHODS[kind].load()(**known) for kind, known in run.bases)
    return METHODS[run.method].load()(**(run.settings | own | how))


def _figures(model: Any, rows: Any, Y_test: Any, propensity: Any) -> dict[str, float]:
    """What a trained model reaches on test rows, how fast, and what it takes on disk."""
    from xmc.metrics import report

    model.predict_topk(rows[:1], max(KS))  # loads the compiled kernels
    started = time.monotonic()
    top = model.predict_topk(rows, max(KS))
    seconds = time.monotonic() - started
    found = report(Y_test, top, KS, propensity)
    with tempfile.TemporaryDirectory() as folder:
        model.save(home := Path(folder, "model"))
        size = sum(file.stat().st_size for file in home.iterdir())
    measured = {key: found[key] for key in (*METRICS, *MORE)}
    per_row = 1000 * seconds / Y_test.shape[0]
    return measured | {"ms_per_row": round(per_row, 4), "n_bytes": size}
