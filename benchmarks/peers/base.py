"""What the worker asks of every peer."""


class Peer:
    """Trains, keeps, loads and predicts by one library.

    Only `train`, `load`, `predict` and `predict_one` are timed; nothing is shared between the calls
    but the arguments.
    """

    share = 1.0  # of the labels that `train` trains; the worker divides time and size by it
    predicts = True

    def __init__(self, settings, threads, seed):
        self.settings, self.threads, self.seed = settings, threads, seed

    def prepare(self, X, Y, scratch):
        """What stands for loading the data: whatever `train` takes.

        scratch: a folder for files.
        """
        return X, Y

    def train(self, inputs):
        """A trained model."""
        raise NotImplementedError

    def save(self, model, folder):
        """Write the model to a new folder, in every form that `load` may be asked for."""
        raise NotImplementedError

    def stored(self, folder):
        """The files of the saved model that `load` reads: a folder."""
        return folder

    def load(self, folder):
        """The model, ready to predict."""
        raise NotImplementedError

    def predict(self, model, X, k):
        """The best k labels of each row, in the library's own form."""
        raise NotImplementedError

    def predict_one(self, model, row, k):
        """The same for X of one row, as fast as the library can from Python."""
        return self.predict(model, row, k)

    def as_top(self, found, k):
        """(labels, scores) of what `predict` gave: (n_rows, k), best first.

        Empty places are -1 and -inf.
        """
        raise NotImplementedError
