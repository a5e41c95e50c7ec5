"""napkinXC: the label tree of its Python class's defaults, a logistic regression per node."""

import os
import shutil

import numpy as np
from inputs import top_of_rows
from napkinxc.models import PLT

from peers.base import Peer


class Adapter(Peer):
    """Training ends with the weights on disk: there is no way to train without writing them."""

    def prepare(self, X, Y, scratch):
        folder = os.path.join(scratch, "plt")
        shutil.rmtree(folder, ignore_errors=True)
        return X, Y, folder

    def train(self, inputs):
        X, Y, folder = inputs
        self._plt(folder).fit(X, Y)
        return folder

    def save(self, model, folder):
        shutil.move(model, folder)

    def load(self, folder):
        model = self._plt(folder)
        model.load()
        return model

    def _plt(self, folder):
        return PLT(os.fspath(folder), threads=self.threads, seed=self.seed, **self.settings)

    def predict(self, model, X, k):
        return model.predict_proba(X, top_k=k)

    def as_top(self, found, k):
        return top_of_rows(
            [(np.array([label for label, _ in row], int), [p for _, p in row]) for row in found], k
        )
