"""What one-vs-all training minimises, of any solver's weights.

1/2 |w|^2 + C sum_i max(0, 1 - y_i w.x_i)^2 with C = 1.

The bias is one more weight, of a feature that is 1 in every row.
"""

import numpy as np
import scipy.sparse as sp
from configurations import N_SAMPLED
from inputs import features, labels, sampled_labels

import xmc

BLOCK = 10_000  # rows


def objective(folder, W):
    """Sum over the sampled labels; W is dense, (n_features + 1, n_sampled), the bias last."""
    X, Y = features(folder / "X.trn.npz"), labels(folder / "Y.trn.npz")
    Y = Y[:, sampled_labels(Y, N_SAMPLED, seed=0)]
    total = 0.5 * np.square(W, dtype=np.float64).sum()
    for start in range(0, X.shape[0], BLOCK):
        margins = X[start : start + BLOCK] @ W[:-1] + W[-1]
        signs = 2 * Y[start : start + BLOCK].toarray() - 1
        total += np.square(np.maximum(0, 1 - signs * margins)).sum()
    return float(total)


def weights_of_liblinear(folder):
    """As its adapter saved them."""
    return sp.load_npz(folder / "weights.npz").toarray()


def weights_of_ours(folder):
    """From the logistic scores of rows with a single feature, and of an empty row."""
    model = xmc.load(folder).set_params(score_transform="log_sigmoid", normalize=False)
    n = model.n_features_in_
    rows = sp.csr_matrix(
        (np.ones(n), np.arange(n), np.minimum(np.arange(n + 2), n)), (n + 1, n), np.float32
    )
    W = np.empty((n + 1, model.n_labels_))
    for start in range(0, n + 1, BLOCK):
        scores = model.predict_proba(rows[start : start + BLOCK]).toarray().astype(np.float64)
        W[start : start + BLOCK] = np.log(scores) - np.log1p(-scores)
    W[:-1] -= W[-1]
    return W
