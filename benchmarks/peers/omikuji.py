"""Omikuji, through its C interface.

That takes buffers without a copy; its Python class makes a list of pairs for every row.
"""

import os
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from omikuji._libomikuji import ffi, lib

from peers.base import Peer

RANGES = 8  # of rows, per thread


class Adapter(Peer):
    """Trains from a text file, which is written and read before the clock starts."""

    def prepare(self, X, Y, scratch):
        path = os.path.join(scratch, "train.txt")
        write_text(path, X, Y)
        pool = lib.init_omikuji_thread_pool(self.threads)
        data = lib.load_omikuji_data_set(text(path), pool)
        os.remove(path)
        if data == ffi.NULL:
            raise RuntimeError("omikuji can't read the data")
        return data, pool

    def train(self, inputs):
        data, pool = inputs
        parameters = lib.omikuji_default_hyper_param()
        for name in ("n_trees", "cluster_k", "cluster_balanced"):
            if name in self.settings:
                setattr(parameters, name, self.settings[name])
        model = lib.train_omikuji_model(data, parameters, pool)
        if model == ffi.NULL:
            raise RuntimeError("omikuji can't train")
        return model

    def save(self, model, folder):
        os.makedirs(folder)
        if lib.save_omikuji_model(model, text(folder)) < 0:
            raise RuntimeError("omikuji can't save the model")

    def load(self, folder):
        model = lib.load_omikuji_model(text(folder))
        if model == ffi.NULL:
            raise RuntimeError("omikuji can't load the model")
        lib.densify_omikuji_model(model, self.settings["max_sparse_density"], ffi.NULL)
        return model

    def predict(self, model, X, k):
        """One call a row, ranges of rows on threads: a call leaves Python's lock to the others."""
        ids, values = X.indices.view(np.uint32), X.data
        labels, scores = np.zeros((X.shape[0], k), np.uint32), np.zeros((X.shape[0], k), np.float32)
        counts = np.zeros(X.shape[0], np.int64)
        buffers = [
            ffi.from_buffer(kind, array) for kind, array in self._kinds(ids, values, labels, scores)
        ]
        ends = X.indptr.tolist()

        def span(first, last):
            x, v, found, score = buffers
            for i in range(first, last):
                a = ends[i]
                places = found + i * k, score + i * k
                counts[i] = lib.omikuji_predict(
                    model, 10, ends[i + 1] - a, x + a, v + a, k, *places, ffi.NULL
                )

        if self.threads == 1:
            span(0, X.shape[0])
        else:
            marks = np.linspace(0, X.shape[0], RANGES * self.threads + 1).astype(int).tolist()
            with ThreadPoolExecutor(self.threads) as pool:
                list(pool.map(span, marks[:-1], marks[1:]))
        return labels, scores, counts

    def predict_one(self, model, row, k):
        labels, scores = np.empty(k, np.uint32), np.empty(k, np.float32)
        arrays = self._kinds(row.indices.view(np.uint32), row.data, labels, scores)
        x, v, found, score = (ffi.from_buffer(kind, array) for kind, array in arrays)
        n = lib.omikuji_predict(model, 10, len(row.data), x, v, k, found, score, ffi.NULL)
        return labels[:n], scores[:n]

    def as_top(self, found, k):
        labels, scores, counts = found
        filled = np.arange(k) < counts[:, None]
        return np.where(filled, labels, -1).astype(np.int32), np.where(
            filled, scores, -np.inf
        ).astype(np.float32)

    def _kinds(self, ids, values, labels, scores):
        return zip(
            ("uint32_t[]", "float[]", "uint32_t[]", "float[]"),
            (ids, values, labels, scores),
            strict=True,
        )


def text(path):
    """A path as the C interface takes it."""
    return ffi.new("char[]", os.fspath(path).encode())


def write_text(path, X, Y):
    """Both matrices as XMC text: three sizes, then lines `label,label feature:value`."""
    with open(path, "w") as file:
        file.write(f"{X.shape[0]} {X.shape[1]} {Y.shape[1]}\n")
        for i in range(X.shape[0]):
            a, b = X.indptr[i], X.indptr[i + 1]
            labels = ",".join(map(str, Y.indices[Y.indptr[i] : Y.indptr[i + 1]].tolist()))
            pairs = zip(X.indices[a:b].tolist(), X.data[a:b].tolist(), strict=True)
            file.write(
                f"{labels} {' '.join([f'{feature}:{value:.9g}' for feature, value in pairs])}\n"
            )
