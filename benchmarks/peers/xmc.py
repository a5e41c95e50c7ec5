"""This package."""

from inputs import sampled_labels

from peers.base import Peer
from xmc import LabelTreeClassifier, OneVsAllClassifier, load
from xmc.memory import return_freed_arrays

MODELS = {model.__name__: model for model in (LabelTreeClassifier, OneVsAllClassifier)}


class Adapter(Peer):
    """Training is `fit` as a user calls it, validation and normalisation included.

    Memory is returned as `xmc train` does it.
    """

    def prepare(self, X, Y, scratch):
        if "n_labels" in self.settings:
            Y = Y[:, sampled_labels(Y, self.settings["n_labels"], self.seed)]
        return X, Y

    def train(self, inputs):
        return_freed_arrays()
        arguments = {
            name: value
            for name, value in self.settings.items()
            if name not in ("model", "n_labels")
        }
        model = MODELS[self.settings["model"]](
            **arguments, n_jobs=self.threads, random_state=self.seed
        )
        return model.fit(*inputs)

    def save(self, model, folder):
        model.save(folder)

    def load(self, folder):
        return load(folder).set_params(n_jobs=self.threads)

    def predict(self, model, X, k):
        return model.predict_topk(X, k)

    def as_top(self, found, k):
        return found
