"""LibMultiLabel's linear tree.

K-means makes up to 100 clusters of a node; liblinear-multicore trains one-vs-rest in each.
"""

import os
import pickle

import numpy as np
import psutil

from peers.base import Peer

BLOCK = 1000  # rows at a time: predictions come as a dense matrix


class Adapter(Peer):
    """Ranks on one thread: the library has no other way."""

    def __init__(self, settings, threads, seed):
        super().__init__(settings, threads, seed)
        psutil.cpu_count = lambda logical=True: (
            threads
        )  # what the library trains with, it has no parameter for it
        import libmultilabel.linear as linear

        self.linear = linear

    def prepare(self, X, Y, scratch):
        return X.astype(np.float64), Y

    def train(self, inputs):
        X, Y = inputs
        np.random.seed(self.seed)
        return self.linear.train_tree(Y, X, self.settings["options"], verbose=False)

    def save(self, model, folder):
        os.makedirs(folder)
        with open(os.path.join(folder, "model.pickle"), "wb") as file:
            pickle.dump(model, file, pickle.HIGHEST_PROTOCOL)

    def load(self, folder):
        with open(os.path.join(folder, "model.pickle"), "rb") as file:
            return pickle.load(file)

    def predict(self, model, X, k):
        blocks = [self._block(model, X[a : a + BLOCK], k) for a in range(0, X.shape[0], BLOCK)]
        return tuple(map(np.concatenate, zip(*blocks, strict=True)))

    def _block(self, model, X, k):
        scores = np.asarray(model.predict_values(X.astype(np.float64)))
        best = np.argpartition(-scores, k - 1, axis=1)[:, :k]
        values = np.take_along_axis(scores, best, axis=1)
        order = np.argsort(-values, axis=1, kind="stable")
        return np.take_along_axis(best, order, axis=1), np.take_along_axis(values, order, axis=1)

    def as_top(self, found, k):
        return found[0].astype(np.int32), found[1].astype(np.float32)
