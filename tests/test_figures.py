import numpy as np
import scipy.sparse as sp

from xmc.datasets.figures import METRICS, published
from xmc.metrics import report
from xmc.topk import TopK


def test_a_row_holds_the_figures_that_its_source_gives():
    by_method = {row.method: row for row in published(["EURLex-4K"], "bow")}
    assert by_method["XReg-t"].metrics == {"PSP@1": 45.23, "PSP@3": 48.51, "PSP@5": 50.4}
    assert by_method["DiSMEC"].metrics["P@5"] == 57.7
    assert by_method["Omikuji, Parabel-like, 3 trees"].metrics.keys() == {"P@1", "P@3", "P@5"}
    assert by_method["Omikuji, Parabel-like, 3 trees"].source == "Omikuji README, 4 cores"


def test_sparse_inputs_come_first():
    inputs = [row.inputs for row in published(["Wiki10-31K", "AmazonCat-13K"])]
    assert inputs == sorted(inputs, key=lambda kind: kind != "sparse")
    assert {"sparse", "deep"} <= set(inputs)


def test_features_tell_two_sets_of_one_name_apart():
    parabel = [
        row.metrics["P@1"] for row in published(["EURLex-4K"], "tfidf") if row.method == "Parabel"
    ]
    assert parabel == [82.12]


def test_every_figure_is_a_percentage_of_a_metric_that_report_gives():
    eye = sp.eye(5, format="csr", dtype=np.float32)
    known = report(
        eye,
        TopK(np.zeros((5, 5), np.int32) - 1, np.zeros((5, 5), np.float32)),
        propensity=np.ones(5),
    )
    assert set(METRICS) <= known.keys()
    names = ["Bibtex", "EURLex-4K", "Amazon-670K", "Wikipedia-500K"]
    assert all(0 < value < 100 for row in published(names) for value in row.metrics.values())
