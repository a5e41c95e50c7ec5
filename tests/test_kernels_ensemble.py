from typing import NamedTuple

import naive
import numpy as np
import pytest

from xmc.arrays import frozen
from xmc.kernels.ensemble import average, best_of_members
from xmc.kernels.score import lowest_path, probability

N_LABELS = 90
NO_BOOST = np.empty(0, np.float32)


class Beams(NamedTuple):
    """Nodes of beams and all leaves below them, as the kernels take them, and where labels are."""

    node: np.ndarray
    path: np.ndarray
    best: np.ndarray
    first: np.ndarray
    width: np.ndarray
    start: np.ndarray
    leaf_path: np.ndarray
    margin: np.ndarray
    labels: np.ndarray
    node_of: np.ndarray
    place_of: np.ndarray

    def below(self, i, member, slot):
        """(path, margin, label) of each leaf of a node."""
        a, n, first = (array[i, member, slot] for array in (self.start, self.width, self.first))
        own = self.labels[member, first : first + n].tolist()
        paths, margins = (array[a : a + n].tolist() for array in (self.leaf_path, self.margin))
        return list(zip(paths, margins, own, strict=True))


def random_beams(rng, n_rows, n_members=3, n_slots=4):
    """Members whose nodes have up to 33 leaves. Some leaves have the same path, so have some nodes;
    one member lacks some labels. The last slot of some beams is empty.
    """
    ends = np.array([0, 5, 8, 9, 42, 45, 61, 85, N_LABELS])
    labels = np.array([rng.permutation(N_LABELS) for _ in range(n_members)], np.int32)
    leaf_of = np.argsort(labels, axis=1)
    node_of = np.searchsorted(ends, leaf_of, side="right").astype(np.int32) - 1
    place_of = (leaf_of - ends[node_of]).astype(np.int32)
    node_of[0, labels[0, -5:]] = -2
    labels[0, -5:] = -1
    ends = ends[:-1]
    shape = n_rows, n_members, n_slots
    node = np.argsort(rng.random((n_rows, n_members, len(ends) - 1)), axis=2)[:, :, :n_slots]
    node, first, width = node.astype(np.int32), ends[node], np.diff(ends)[node]
    empty = rng.random((n_rows, n_members)) < 0.3
    node[:, :, -1][empty], width[:, :, -1][empty] = -1, 0
    path = -np.sort(rng.exponential(2, shape).round(1), axis=2).astype(np.float32)
    start = np.cumsum(width).reshape(shape) - width
    above = np.repeat(path.ravel(), width.ravel())
    leaf_path = above - rng.choice(np.float32([0, 0.5, 3]), len(above))
    margin = rng.choice(np.float32([-1, 0, 1]), len(above))
    best = np.full(shape, np.nan, np.float32)
    best[width > 0] = np.maximum.reduceat(leaf_path, start[width > 0]) if len(above) else 0
    numbers = map(frozen, (labels, node_of, place_of))
    return Beams(node, path, best, first, width, start, leaf_path, margin, *numbers)


def together(beams, i, scored, boost=NO_BOOST):
    """(score, margin, label) of each label that the scored nodes of a row have, by float32."""
    n_members, found = beams.path.shape[1], {}
    for member, slot in np.argwhere(scored[i]):
        for path, margin, label in beams.below(i, member, slot):
            found.setdefault(label, []).append((probability(np.float32(path)), np.float32(margin)))
    out = []
    for label, pairs in found.items():
        total = margins = np.float32(0)
        for p, margin in pairs:
            total, margins = total + p, margins + margin
        score = np.float32(float(total) / n_members)
        score = score * boost[label] if len(boost) else score
        out.append((float(score), float(np.float32(float(margins) / len(pairs))), label))
    return out


def most_of(beams, i, scored, label, boost):
    """What the label may have if all nodes were scored."""
    total, n_members = 0.0, beams.path.shape[1]
    for member, slot in np.argwhere(beams.width[i] > 0):
        for path, _, own in beams.below(i, member, slot):
            if own == label:
                total += np.exp(path if scored[i, member, slot] else beams.path[i, member, slot])
    return total / n_members * (boost[label] if len(boost) else 1)


def asked(beams, scored, k, boost=NO_BOOST, new=None):
    """The best labels of each row, the lowest paths and the wanted nodes."""
    n = len(beams.path)
    kept = np.zeros(n, np.int64), np.zeros((n, k), np.int32), *np.zeros((2, n, k), np.float32)
    lowest, wanted = np.full(n, -np.inf, np.float32), np.zeros(scored.shape, bool)
    given = beams._replace(start=np.where(scored, beams.start, -1))
    new = scored if new is None else new
    best_of_members(*given, frozen(boost), lowest, new, *kept, wanted)
    return kept, lowest, wanted


def some(rng, beams):
    """Nodes that are scored: of each row one at least."""
    scored = (beams.width > 0) & (rng.random(beams.width.shape) < 0.5)
    scored[:, 1, 0] = True
    return scored


def boost_of(rng, boosted):
    return rng.choice(np.float32([1, 0.5, 0.1]), N_LABELS) if boosted else NO_BOOST


@pytest.mark.parametrize("n_rows", [0, 1, 60])
@pytest.mark.parametrize("boosted", [False, True])
@pytest.mark.parametrize("k", [1, 3, 50])
def test_the_best_labels_are_the_best_of_all_that_are_scored(rng, k, boosted, n_rows):
    beams, boost = random_beams(rng, n_rows), boost_of(rng, boosted)
    scored = some(rng, beams)
    kept, lowest, _ = asked(beams, scored, k, boost)
    found = naive.filled(*kept)
    assert found == [naive.best(together(beams, i, scored, boost), k) for i in range(n_rows)]
    for i, row in enumerate(found):
        full = len(row) == k
        assert lowest[i] == (lowest_path(np.float32(row[-1][0])) if full else -np.inf)


@pytest.mark.parametrize("boosted", [False, True])
@pytest.mark.parametrize("k", [1, 3, 50])
def test_wanted_are_the_nodes_that_may_change_the_best(rng, k, boosted):
    beams, boost = random_beams(rng, 100), boost_of(rng, boosted)
    scored = some(rng, beams)
    kept, lowest, wanted = asked(beams, scored, k, boost)
    unscored = (beams.width > 0) & ~scored
    assert not (wanted & ~unscored).any()
    for i, member, slot in np.argwhere(unscored):
        least = kept[2][i, -1] if kept[0][i] == k else 0
        labels = [label for *_, label in beams.below(i, member, slot)]
        most = {label: most_of(beams, i, scored, label, boost) for label in labels}
        on_top = beams.path[i, member, slot] >= lowest[i]
        reached = {label for path, _, label in seen(beams, i, scored) if path >= lowest[i]}
        if on_top or any(most[label] > least * 1.001 for label in reached & set(labels)):
            assert wanted[i, member, slot]
        elif max(most.values()) < least * 0.999:
            assert not wanted[i, member, slot]
    if k == 3:
        assert wanted.any() and (unscored & ~wanted).any()


def seen(beams, i, scored):
    return [leaf for node in np.argwhere(scored[i]) for leaf in beams.below(i, *node)]


def test_once_nothing_is_wanted_the_best_are_those_of_all_nodes(rng):
    beams = random_beams(rng, 100)
    everything = beams.width > 0
    scored = some(rng, beams)
    wanted = scored
    while wanted.any():
        kept, _, wanted = asked(beams, scored, 3)
        scored = scored | wanted
    assert naive.filled(*kept) == [
        naive.best(together(beams, i, everything), 3) for i in range(100)
    ]
    assert (everything & ~scored).sum() > 100


def test_a_node_that_only_adds_to_a_margin_is_wanted():
    """Labels of equal scores go by it."""
    one, leaf = np.array([[[1], [1]]]), np.array([[[0], [0]]])
    labels = frozen(np.int32([[0], [0]]))
    paths = np.float32([[[0], [-50]]])
    beams = Beams(
        *(np.int32(leaf), paths, paths, leaf, one, np.array([[[0], [1]]])),
        *(np.float32([0, -51]), np.float32([2, 1]), labels, labels, labels),
    )
    scored = np.array([[[True], [False]]])
    kept, lowest, wanted = asked(beams, scored, 1)
    assert np.float32(1 + np.exp(-50)) == 1 and beams.path[0, 1, 0] < lowest[0]
    assert naive.filled(*kept) == [[(0.5, 2, 0)]]
    assert wanted.tolist() == [[[False], [True]]]


def test_a_label_is_found_once_though_the_first_of_all_leaves_is_its_own():
    leaf, one = np.array([[[0], [0]]]), np.array([[[1], [1]]])
    labels, paths = frozen(np.int32([[0], [0]])), np.float32([[[0], [-1]]])
    beams = Beams(
        *(np.int32(leaf), paths, paths, leaf, one, np.array([[[0], [1]]])),
        *(np.float32([0, -1]), np.float32([2, 1]), labels, labels, labels),
    )
    kept, _, _ = asked(beams, np.ones((1, 2, 1), bool), 2)
    assert naive.filled(*kept) == [[(pytest.approx((1 + np.exp(-1)) / 2), 1.5, 0)]]


def test_rows_of_which_nothing_new_is_known_are_left_alone(rng):
    beams = random_beams(rng, 3)
    scored = some(rng, beams)
    new = scored.copy()
    new[1] = False
    kept, lowest, wanted = asked(beams, scored, 2, new=new)
    assert kept[0].tolist() == [2, 0, 2]
    assert lowest[1] == -np.inf and not wanted[1].any() and not kept[1][1].any()


@pytest.mark.parametrize("n_rows", [0, 1, 30])
@pytest.mark.parametrize("n_members", [1, 3])
def test_average_agrees_with_its_twin(rng, n_members, n_rows):
    beams = random_beams(rng, n_rows, n_members)
    slot_of = np.zeros(N_LABELS, np.int64)
    got = naive.scored(*average(*beams[3:9], slot_of))
    assert not slot_of.any()
    everything = beams.width > 0
    for i, ours in enumerate(got):
        assert sorted(ours) == sorted(together(beams, i, everything))


def test_a_label_that_a_member_missed_counts_0_there():
    width, first = np.array([[[2], [1]]]), np.array([[[0], [0]]])
    labels = np.int32([[5, 2], [5, -1]])
    paths, margins = np.log(np.float32([0.5, 0.8, 0.25])), np.float32([1, 2, 4])
    slot_of = np.zeros(6, np.int64)
    (found,) = naive.scored(
        *average(first, width, np.array([[[0], [2]]]), paths, margins, labels, slot_of)
    )
    assert found == [(pytest.approx(0.375), 2.5, 5), (pytest.approx(0.4), 2.0, 2)]
