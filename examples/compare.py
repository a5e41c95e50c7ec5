"""Compare one-vs-all, a tree and an ensemble of trees by the metrics of the field.

One-vs-all is the most accurate up to tens of thousands of labels; trees take a fraction of the time
where there are many, and three trees are better than one. PSP weighs rare labels up.
"""

import time

from xmc import LabelTreeClassifier, OneVsAllClassifier
from xmc.datasets import load_sample
from xmc.metrics import f1_at_k, precision_at_k, propensities, psp_at_k

sample = load_sample()
propensity = propensities(sample.Y)  # of the training labels
models = {
    "one-vs-all": OneVsAllClassifier(random_state=0),
    "one tree": LabelTreeClassifier(tree="shallow", random_state=0),
    "three trees": LabelTreeClassifier(tree="shallow", n_trees=3, random_state=0),
}
print("               P@1   P@5  PSP@5   F1@5  seconds")
for name, model in models.items():
    started = time.perf_counter()
    model.fit(sample.X, sample.Y)
    seconds = time.perf_counter() - started
    top = model.predict_topk(sample.X_test, k=5)
    figures = [
        precision_at_k(sample.Y_test, top, k=1),
        precision_at_k(sample.Y_test, top, k=5),
        psp_at_k(sample.Y_test, top, k=5, propensity=propensity),
        f1_at_k(sample.Y_test, top, k=5, average="micro"),
    ]
    print(f"{name:12}" + "".join(f"{100 * figure:6.1f}" for figure in figures) + f"{seconds:9.1f}")
