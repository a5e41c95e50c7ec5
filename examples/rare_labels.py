"""Bring up rare labels, for those who look for the unusual.

Rare labels are missing from the truth more often than frequent ones. A label's propensity estimates
how likely it is recorded where it is true. Missing one may cost 1 / propensity in training
(`costs`), and scores may be divided by it (`optimize`), which can be set after training.
"""

from xmc import OneVsAllClassifier
from xmc.datasets import load_sample
from xmc.metrics import coverage_at_k, precision_at_k, propensities, psp_at_k

sample = load_sample()
propensity = propensities(sample.Y)


def show(name, model):
    top = model.predict_topk(sample.X_test, k=5)
    figures = [
        precision_at_k(sample.Y_test, top, k=1),
        psp_at_k(sample.Y_test, top, k=1, propensity=propensity),
        psp_at_k(sample.Y_test, top, k=5, propensity=propensity),
        coverage_at_k(sample.Y_test, top, k=5),  # labels that are found at least once
    ]
    print(f"{name:36}" + "".join(f"{100 * figure:8.1f}" for figure in figures))


print(f"{'':36}     P@1   PSP@1   PSP@5  cover@5")
show("as it is", OneVsAllClassifier(random_state=0).fit(sample.X, sample.Y))

model = OneVsAllClassifier(costs="propensity", random_state=0).fit(sample.X, sample.Y)
show('costs="propensity"', model)

model.set_params(optimize="psp")
show('costs="propensity", optimize="psp"', model)
