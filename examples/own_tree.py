"""A label tree of your own, where labels have a hierarchy that people made.

Debtags have one: role::program and role::shared-lib are facets of role. A tree is a value: pointers
from every node to its children, level by level, and the label of each leaf.
"""

import numpy as np

from xmc import LabelTree, LabelTreeClassifier
from xmc.datasets import load_sample

sample = load_sample()
facets = [name.partition("::")[0] for name in sample.label_names]
order = np.argsort(facets, kind="stable")  # labels of a facet stand together
names, sizes = np.unique(facets, return_counts=True)

tree = LabelTree(
    chunks=(
        np.array([0, len(names)]),  # the root's children are all facets
        np.concatenate([[0], np.cumsum(sizes)]),  # the children of each facet are its labels
    ),
    labels=order.astype(np.int32),
)
model = LabelTreeClassifier(tree=tree, beam_size=10, random_state=0).fit(sample.X, sample.Y)
grown = LabelTreeClassifier(tree="shallow", random_state=0).fit(sample.X, sample.Y)

print(f"{len(names)} facets above {len(sample.label_names)} tags")
print(f"P@1 with the tree of facets: {100 * model.score(sample.X_test, sample.Y_test):.1f}%")
print(
    f"P@1 with a tree grown from the data: {100 * grown.score(sample.X_test, sample.Y_test):.1f}%"
)
