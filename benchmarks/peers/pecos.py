"""PECOS XR-Linear (libpecos): PIFA embeddings, balanced k-means, linear models by level."""

import os

from inputs import top_of_rows
from pecos.xmc import Indexer, LabelEmbeddingFactory
from pecos.xmc.xlinear.model import XLinearModel

from peers.base import Peer


class Adapter(Peer):
    """Training begins with the embeddings; models are loaded as predict-only, to rank fast."""

    def prepare(self, X, Y, scratch):
        return X, Y.tocsc()

    def train(self, inputs):
        X, Y = inputs
        splits = self.settings["nr_splits"]
        Z = LabelEmbeddingFactory.create(Y, X, method="pifa", threads=self.threads)
        tree = Indexer.gen(
            Z,
            indexer_type="hierarchicalkmeans",
            nr_splits=splits,
            max_leaf_size=100,
            seed=self.seed,
            threads=self.threads,
        )
        return XLinearModel.train(
            X,
            Y,
            C=tree,
            nr_splits=splits,
            threshold=0.1,
            threads=self.threads,
            beam_size=10,
            only_topk=20,
        )

    def save(self, model, folder):
        model.save(os.path.join(folder, "npz"))
        XLinearModel.compile_mmap_model(os.path.join(folder, "npz"), os.path.join(folder, "mmap"))

    def stored(self, folder):
        return os.path.join(folder, "mmap" if self.form == "MMAP" else "npz")

    def load(self, folder):
        kind = {} if self.form == "MMAP" else {"weight_matrix_type": self.form}
        return XLinearModel.load(self.stored(folder), is_predict_only=True, **kind)

    @property
    def form(self):
        return self.settings.get("form", "BINARY_SEARCH_CHUNKED")

    def predict(self, model, X, k):
        return model.predict(X, beam_size=10, only_topk=k, threads=self.threads)

    def as_top(self, found, k):
        ends = found.indptr.tolist()
        spans = [slice(a, b) for a, b in zip(ends[:-1], ends[1:], strict=True)]
        return top_of_rows([(found.indices[span], found.data[span]) for span in spans], k)
