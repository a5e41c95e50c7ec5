"""Train on matrices, rank labels for new rows, keep the model and open it again.

The sample comes along: Debian packages with their tags. X holds word counts, Y the tags, both as
scipy CSR; any matrices of that form will do.
"""

import tempfile

from xmc import LabelTreeClassifier, load
from xmc.datasets import load_sample

sample = load_sample()
model = LabelTreeClassifier(tree="shallow", random_state=0).fit(sample.X, sample.Y)

# The five best labels of every row: (n_rows, 5) labels and scores, best first.
labels, scores = model.predict_topk(sample.X_test, k=5)
print(f"ranked {len(labels):,} rows; P@1 is {100 * model.score(sample.X_test, sample.Y_test):.1f}%")

# Sets instead of ranks: 0/1 CSR with the labels that are likely enough.
sets = model.predict(sample.X_test)
print(
    f"{sets.nnz / sets.shape[0]:.1f} labels a row, {sample.Y_test.nnz / sets.shape[0]:.1f} are true"
)

# A model is a folder. It opens at once, as its arrays are mapped, not read.
with tempfile.TemporaryDirectory() as folder:
    model.save(f"{folder}/model")
    again = load(f"{folder}/model")
    labels, scores = again.predict_topk(sample.X_test[498], k=3)
    for label, score in zip(labels[0], scores[0], strict=True):
        print(f"  {score:.2f}  {sample.label_names[label]}")
