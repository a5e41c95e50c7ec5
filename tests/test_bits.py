"""Later code reads format 2 as it was written, ranks with it as before, and trains the same models.

The folders in tests/data/format2.zip come from the version that format2.py names.
"""

import sys
import zipfile
from pathlib import Path

import format2
import numpy as np
import pytest
from cli_tools import MAIN

from xmc import load
from xmc.io.folder import read_folder

ARCHIVE = Path(__file__).with_name("data") / "format2.zip"
KINDS = (*format2.MATRIX_KINDS, "text")
TOLERANCE = {"psp": 1e-6, "tail": 1e-6}  # the other kinds keep every bit
QUANTUM = {"int8": 1}  # another processor may round a weight to the integer beside


@pytest.fixture(scope="module")
def kept(tmp_path_factory):
    """The folder that holds the models of format 2."""
    folder = tmp_path_factory.mktemp("format2")
    with zipfile.ZipFile(ARCHIVE) as archive:
        archive.extractall(folder)
    return folder


@pytest.fixture(scope="module")
def data():
    return format2.sample_slice()


@pytest.fixture(scope="module")
def trained(tmp_path_factory, data):
    """trained(kind): the model of that kind, trained by the code of now."""
    folder = tmp_path_factory.mktemp("trained")

    def model(kind):
        if kind in format2.MATRIX_KINDS:
            return format2.train(kind, data)
        return load(format2.train_on_text(data, folder, [sys.executable, "-c", MAIN]))

    return model


def asked(kind, data):
    return data.texts_test if kind == "text" else data.X_test


def one_row(rows, i):
    return rows[i : i + 1]


def ranks_alike(top, labels, scores, tolerance):
    """Raise unless the scores are equal, place by place, and so are the labels of every score.

    Labels of equal scores may change places, among those that the last place cuts off, too.
    """
    np.testing.assert_allclose(top.scores, scores, rtol=0, atol=tolerance)
    assert (top.scores == scores).all() or tolerance
    for i in range(len(labels)):
        before, now = (
            dict(zip(*map(np.ndarray.tolist, row), strict=True))
            for row in ((labels[i], scores[i]), (top.labels[i], top.scores[i]))
        )
        for label in before.keys() | now.keys():
            old, new = before.get(label, scores[i, -1]), now.get(label, top.scores[i, -1])
            assert abs(old - new) <= tolerance, f"row {i}, label {label}: {old} became {new}"


def arrays_of(model, folder):
    """All that a model's folder holds, as the code of now writes and reads it."""
    model.save(folder)
    meta, arrays = read_folder(folder, "model.json")
    del meta["versions"]
    meta.pop("n_rows_without_features", None)  # younger than the kept folders
    for younger in ("neighbors", "rerank"):
        (meta["text_parameters"] or {}).pop(younger, None)
    return meta, arrays


@pytest.mark.parametrize("kind", KINDS)
def test_folders_of_format_2_rank_as_when_they_were_written(kind, kept, data):
    labels, scores = (
        np.load(kept / kind / f"predicted_{what}.npy") for what in ("labels", "scores")
    )
    model, rows = load(kept / kind), asked(kind, data)
    ranks_alike(model.predict_topk(rows, format2.K), labels, scores, TOLERANCE.get(kind, 0))


@pytest.mark.parametrize("kind", KINDS)
def test_one_row_at_a_time_ranks_as_when_it_was_written(kind, kept, data):
    labels, scores = (
        np.load(kept / kind / f"predicted_{what}.npy") for what in ("labels", "scores")
    )
    model, rows = load(kept / kind), asked(kind, data)
    for i in range(format2.N_TEST):
        top = model.predict_topk(one_row(rows, i), format2.K)
        ranks_alike(top, labels[i : i + 1], scores[i : i + 1], TOLERANCE.get(kind, 0))


@pytest.mark.parametrize("kind", KINDS)
def test_training_on_the_same_rows_gives_the_same_arrays(kind, kept, trained, tmp_path):
    kept_meta, kept_arrays = arrays_of(load(kept / kind), tmp_path / "kept")
    meta, arrays = arrays_of(trained(kind), tmp_path / "trained")
    for of_folder in (meta, kept_meta):  # the rest says where arrays differ
        of_folder.pop("sha256")
    assert meta == kept_meta
    for name, array in kept_arrays.items():
        if array.dtype.kind == "f" or name.endswith(".weight"):
            # On another processor sums may round otherwise; on the same one nothing differs.
            close = {"rtol": 1e-5, "atol": QUANTUM.get(kind, 1e-6)}
            np.testing.assert_allclose(arrays[name], array, **close, err_msg=name)
        else:
            np.testing.assert_array_equal(arrays[name], array, err_msg=name)


def test_the_kept_models_differ_from_each_other(kept):
    scores = [np.load(kept / kind / "predicted_scores.npy") for kind in KINDS]
    assert len({array.tobytes() for array in scores}) == len(KINDS)
