"""liblinear-official: one-vs-rest over a sample of the labels, a process for every thread."""

import multiprocessing
import os

import numpy as np
import scipy.sparse as sp
from inputs import sampled_labels
from liblinear.liblinearutil import parameter, problem, train

from peers.base import Peer

shared = {}  # what the forked processes see: the rows, the labels' columns, the options


class Adapter(Peer):
    """Its form of the rows is made before the clock starts, once for all labels and processes."""

    predicts = False  # a sample of the labels ranks nothing

    def prepare(self, X, Y, scratch):
        sample = sampled_labels(Y, self.settings["n_labels"], self.seed)
        self.share = len(sample) / np.count_nonzero(np.bincount(Y.indices, minlength=Y.shape[1]))
        rows = problem(
            np.ones(X.shape[0]), X.astype(np.float64), parameter(self.settings["options"]).bias
        )
        return rows, Y[:, sample].tocsc()

    def train(self, inputs):
        """Weights of each sampled label, the bias last: (n_features + 1, n_sampled)."""
        shared["rows"], shared["Y"] = inputs
        shared["options"] = self.settings["options"]
        with multiprocessing.get_context("fork").Pool(self.threads) as pool:
            found = pool.map(weights, range(shared["Y"].shape[1]), chunksize=1)
            pool.close()
            pool.join()
        return sp.hstack(found, format="csc")

    def save(self, model, folder):
        os.makedirs(folder)
        sp.save_npz(os.path.join(folder, "weights.npz"), model, compressed=False)


def weights(column):
    """The weights of one label as a sparse column."""
    rows, Y = shared["rows"], shared["Y"]
    y = np.ctypeslib.as_array(rows.y, (rows.l,))
    y[:] = -1
    y[Y.indices[Y.indptr[column] : Y.indptr[column + 1]]] = 1
    model = train(rows, parameter(shared["options"]))
    w = np.ctypeslib.as_array(model.w, (rows.n,)).astype(np.float32)
    return sp.csc_matrix((w if model.label[0] > 0 else -w)[:, None])
