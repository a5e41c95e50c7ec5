import numpy as np

from xmc import LabelTreeClassifier, OneVsAllClassifier, TextClassifier, Vocabulary
from xmc.identity import identity_of
from xmc.label_tree import one_vs_all


def named(name):
    return Vocabulary.of([("a", name, "preferred", None)])


def settings(estimator):
    return identity_of(estimator, {})["settings"]


def test_threads_memory_and_words_on_the_way_are_no_settings():
    quiet, loud = OneVsAllClassifier(), OneVsAllClassifier(n_jobs=2, verbose=1, memory=10**9)
    assert settings(quiet) == settings(loud)


def test_settings_of_estimators_below_count_too():
    bases = LabelTreeClassifier(random_state=0), OneVsAllClassifier(C=2.0)
    found = settings(TextClassifier(bases))
    assert found["classifier0.class"] == "LabelTreeClassifier"
    assert found["classifier1.C"] == 2.0
    assert settings(TextClassifier(bases[0]))["classifier0.random_state"] == 0


def test_trees_generators_and_vocabularies_count_by_what_they_hold():
    trees = [LabelTreeClassifier(tree=one_vs_all(np.arange(n))) for n in (2, 2, 3)]
    assert settings(trees[0]) == settings(trees[1]) != settings(trees[2])
    seeds = [LabelTreeClassifier(random_state=np.random.RandomState(n)) for n in (0, 0, 1)]
    assert settings(seeds[0]) == settings(seeds[1]) != settings(seeds[2])
    known = [TextClassifier(vocabulary=named(n)) for n in ("x", "x", "y")]
    assert settings(known[0]) == settings(known[1]) != settings(known[2])


def test_data_that_is_not_given_has_no_checksum():
    assert identity_of(OneVsAllClassifier(), {"X": None, "y": [1]})["data"].keys() == {"y"}
