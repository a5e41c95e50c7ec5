"""Trees in outline, and their drawings."""

import re
from xml.etree import ElementTree

import numpy as np
import planted
import pytest
from sklearn.base import clone

from xmc import LabelTreeClassifier, OneVsAllClassifier, TextClassifier
from xmc.layer import weights_of
from xmc.reporting.dot import dot
from xmc.reporting.labels import Labels, labels_of
from xmc.reporting.outline import Bounds, more_text, outlines, telling
from xmc.reporting.tree_figure import tree_figure
from xmc.reporting.words import N_WORDS

ALL = Bounds(n_nodes=10**6, n_children=10**6, depth=99)
FEW = Bounds(n_nodes=12, n_children=2, depth=9)
HOSTILE = 'a"]; evil [\\" <b>&\u202e\x1b[31m\uffff'


def outlined(model, bounds=ALL):
    return outlines(model, labels_of(model), bounds)


def walk(node):
    yield node
    for child in node.children:
        yield from walk(child)


@pytest.fixture(scope="module")
def tree():
    return LabelTreeClassifier(n_trees=2, **planted.SMALL).fit(planted.X, planted.Y)


def test_without_bounds_every_node_is_shown(tree):
    for found, member in zip(outlined(tree), tree.members_, strict=True):
        assert found.n_shown == found.n_nodes == sum(len(own.bias_weight) for own in member.layers)
        assert len(list(walk(found.root))) == 1 + found.n_nodes
        labels = [node.name for node in walk(found.root) if node.name]
        assert sorted(map(int, labels)) == sorted(member.tree.labels.tolist())


@pytest.mark.parametrize("bounds", [ALL, FEW, Bounds(30, 3, 2)])
def test_a_node_has_the_labels_and_rows_of_its_children(tree, bounds):
    for found in outlined(tree, bounds):
        assert found.root.n_labels == planted.N_LABELS
        assert found.root.n_rows == planted.Y.nnz
        for node in walk(found.root):
            shown = sum(child.n_labels for child in node.children)
            assert node.name or node.n_labels == shown + node.n_more_labels
            if not node.n_more and node.children:
                assert node.n_rows == sum(child.n_rows for child in node.children)


def test_no_more_is_shown_than_fits(tree):
    found = outlined(tree, FEW)
    assert [own.n_shown for own in found] == [6, 6]  # each has its half
    nodes = [node for own in found for node in walk(own.root)]
    assert max(len(node.children) for node in nodes) == 2


def test_no_deeper_level_is_shown_than_fits(tree):
    for own in outlined(tree, Bounds(10**6, 10**6, 1)):
        assert all(not child.children and not child.name for child in own.root.children)


def test_what_has_most_training_rows_comes_first(tree):
    for own in outlined(tree):
        for node in walk(own.root):
            rows = [child.n_rows for child in node.children]
            assert rows == sorted(rows, reverse=True)


def test_a_flat_tree_shows_as_many_labels_as_fit():
    model = OneVsAllClassifier(random_state=0).fit(planted.X, planted.Y)
    (own,) = outlined(model, Bounds(n_nodes=25, n_children=2, depth=9))
    assert (len(own.root.children), own.root.n_more, own.root.n_more_labels) == (25, 15, 15)
    assert more_text(own.root) == "and 15 more labels"
    counts = np.sort(model.label_counts_)[::-1]
    assert [child.n_rows for child in own.root.children] == counts[:25].tolist()


def test_telling_features_have_the_largest_weights_above_0(tree):
    (layer, *_) = tree.members_[0].layers
    for node in range(len(layer.bias_weight)):
        features, weights = weights_of(layer, node, tree.n_features_in_)
        pairs = sorted(zip(-weights.astype(float), features.tolist(), strict=True))
        expected = [feature for weight, feature in pairs if weight < 0][:5]
        assert telling(layer, node, tree.n_features_in_, 5).tolist() == expected


def test_features_of_matrices_are_numbers(tree):
    (first, *_) = outlined(tree)[0].root.children
    assert all(re.fullmatch(r"feature \d+", word) for word in first.words)
    assert 0 < len(first.words) <= N_WORDS


def test_features_of_frames_have_the_names_of_columns():
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame(planted.X.toarray()).add_prefix("column")
    model = OneVsAllClassifier(random_state=0).fit(frame, planted.Y)
    assert all(
        word.startswith("column") for node in walk(outlined(model)[0].root) for word in node.words
    )


TEXTS = ["a red apple", "a red cherry", "green grass", "a green lime", "a blue plum", "blue sky"]
COLOURS = [["red"], ["red"], ["green"], ["green"], ["blue"], ["blue"]]


@pytest.mark.parametrize(
    "settings", [{}, {"opening": 0}, {"analyzer": "words+chars"}, {"analyzer": "chars"}]
)
def test_nodes_of_texts_have_their_words(settings):
    model = TextClassifier(OneVsAllClassifier(random_state=0), min_df=1, **settings)
    (own,) = outlined(model.fit(TEXTS, COLOURS))
    for node in own.root.children:
        words = [word.strip("“” ") for word in node.words]
        assert node.name.startswith(words[0]) or words[0] in node.name
        assert not any(":" in word for word in node.words)


def test_parts_of_a_word_that_is_told_are_not_told_as_well():
    model = TextClassifier(OneVsAllClassifier(random_state=0), min_df=1, analyzer="words+chars")
    (own,) = outlined(model.fit(TEXTS, COLOURS))
    red = next(node for node in own.root.children if node.name == "red")
    assert "red" in red.words and "“ red ”" not in red.words


def test_a_model_of_several_has_the_trees_of_each():
    model = clone(planted.MODELS["reranked"]).fit(planted.X, planted.Y)
    assert [own.title for own in outlined(model)] == [
        "LabelTreeClassifier, tree 1 of 1",
        "OneVsAllClassifier, tree 1 of 1",
    ]


def test_a_model_without_trees_has_no_outline(third_method):
    assert outlined(clone(planted.MODELS["frequency"]).fit(planted.X, planted.Y)) == []


def test_labels_without_ids_are_numbers_and_without_names_ids():
    assert Labels(None, None).record(7) == {"id": "7"}
    known = Labels(["x", "y"], ["x", "why"])
    assert [known.record(n) for n in range(3)] == [
        {"id": "x"},
        {"id": "y", "name": "why"},
        {"id": "2"},
    ]


def test_labels_of_a_model_of_one_label_per_row_are_its_classes():
    model = OneVsAllClassifier(random_state=0).fit(planted.X, np.array(["n", "m"] * 150))
    assert labels_of(model).ids == ["m", "n"]


@pytest.fixture(scope="module")
def hostile():
    names = [HOSTILE] * planted.N_LABELS
    model = LabelTreeClassifier(**planted.SMALL)
    return model.fit(planted.X, planted.Y, label_names=names)


def test_the_drawing_is_xml_with_a_line_for_each_node(hostile):
    found = outlined(hostile)
    drawn = ElementTree.fromstring(str(tree_figure(found)))
    lines = [own.text for own in drawn.iter("{http://www.w3.org/2000/svg}text")]
    assert lines.count(lines[-2]) == planted.N_LABELS and lines[-2].startswith('a"]; evil [\\" <b>')
    assert "\u202e" not in "".join(lines) and "\x1b" not in "".join(lines)


def test_a_drawing_says_what_it_leaves_out(tree):
    assert re.search(r"and \d+ more nodes? with \d+ labels", str(tree_figure(outlined(tree, FEW))))


def test_dot_has_an_edge_to_every_node_but_the_roots(tree):
    text = dot(outlined(tree))
    nodes = set(re.findall(r"^(n\d+) \[", text, re.M))
    edges = re.findall(r"^(n\d+) -> (n\d+)$", text, re.M)
    assert len(nodes) == 2 + sum(own.n_nodes for own in outlined(tree))
    assert {a for edge in edges for a in edge} == nodes
    assert len(edges) == len({b for _, b in edges}) == len(nodes) - 2


def test_nothing_in_a_name_ends_its_quotes_in_dot(hostile):
    lines = dot(outlined(hostile)).splitlines()
    for line in lines[3:-1]:
        label = r'n\d+ \[label="(?:[^"\\]|\\.)*"(?: style=dashed)?\]'
        assert re.fullmatch(rf"{label}|n\d+ -> n\d+", line), line
    assert "\x1b" not in "".join(lines)
