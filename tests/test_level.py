import naive
import numpy as np
import pytest

from xmc.checkpoint import Checkpoint
from xmc.params import LabelTreeParams
from xmc.training import level
from xmc.training.level import train_layers, train_levels, work
from xmc.training.problem import LevelProblem, pose_chunk, sibling_groups

N_FEATURES = 30
WIDTHS = [20, 1, 0, 3, 2]  # of the chunks; the last has no rows
CHUNK_PTR = np.concatenate([[0], np.cumsum(WIDTHS)])


@pytest.fixture
def problem(rng):
    """Five chunks: a wide one, an only child, one without children, one of 3, one without rows."""
    return make_problem(rng)


def make_problem(rng, n_rows=80, inner=False, seed=(0, 0, 1)):
    chunk_rows = rng.random((5, n_rows)) < 0.6
    chunk_rows[4] = False
    nodes = naive.as_targets(rng.random((n_rows, CHUNK_PTR[-1])) < 0.3)
    return LevelProblem(
        naive.random_rows(rng, n_rows, N_FEATURES),
        nodes,
        naive.as_lists(chunk_rows),
        CHUNK_PTR,
        1,
        inner,
        seed,
    )


def trained(problem, **settings):
    """The layer and the dense weights (features + bias, nodes) that it holds."""
    params = LabelTreeParams(**{"n_jobs": 1, "weight_threshold": 0.0, **settings})
    ((layer, _),) = train_layers([problem], [params], lambda amount: None)
    return layer, naive.layer_weights(layer, N_FEATURES)


def bits(layer):
    return [part.tobytes() for part in layer]


@pytest.mark.parametrize("loss", ["squared_hinge", "hinge"])
def test_every_node_is_trained_on_the_rows_of_its_chunk(problem, loss):
    _, W = trained(problem, loss=loss, tol=1e-5, max_iter=3000)
    X = np.hstack([naive.to_dense(*problem.X), np.ones((problem.X.n_rows, 1))])
    Y = np.where(
        naive.to_dense(*[problem.nodes.indptr, problem.nodes.ids], 1, CHUNK_PTR[-1]) > 0, 1.0, -1.0
    )
    for node in (0, 13, 19, 20, 22, 23):
        chunk = np.searchsorted(CHUNK_PTR, node, side="right") - 1
        rows = naive.split(*problem.chunk_rows)[chunk]
        w, _ = naive.dual_coordinate_descent(
            X[rows], Y[rows, node], 1.0, loss == "squared_hinge", tol=1e-6
        )
        assert W[:, node] == pytest.approx(w, abs=1e-3)


@pytest.mark.parametrize("solver", ["block", "liblinear"])
def test_a_layer_holds_exactly_the_weights_at_or_above_the_threshold(problem, solver):
    _, W = trained(problem, solver=solver)
    layer, pruned = trained(problem, solver=solver, weight_threshold=0.2)
    assert np.array_equal(pruned[:-1], np.where(np.abs(W[:-1]) >= 0.2, W[:-1], 0))
    assert np.array_equal(pruned[-1], W[-1])
    assert len(layer.weight) == (pruned[:-1] != 0).sum()


def test_an_only_child_is_trained_on_the_last_level_only(rng):
    leaves, inner = (
        trained(make_problem(np.random.default_rng(0), inner=inner))[1] for inner in (False, True)
    )
    assert leaves[:, 20].any()
    assert not inner[:, 20].any()
    others = np.arange(CHUNK_PTR[-1]) != 20
    assert np.array_equal(leaves[:, others], inner[:, others])


@pytest.mark.parametrize("solver", ["block", "liblinear"])
@pytest.mark.parametrize("inner", [False, True])
def test_wide_and_narrow_chunks_give_the_same_bits(monkeypatch, rng, inner, solver):
    problem = make_problem(rng, inner=inner)
    narrow = [bits(trained(problem, n_jobs=n, solver=solver)[0]) for n in (1, 2, 4)]
    monkeypatch.setattr(level, "WIDE", 1)
    wide = [bits(trained(problem, n_jobs=n, solver=solver)[0]) for n in (1, 2, 4)]
    assert all(found == narrow[0] for found in narrow + wide)


def test_a_chunk_that_workers_would_wait_for_is_wide(monkeypatch):
    X = naive.as_rows(np.ones((4, 3)))
    rows = naive.as_lists(np.array([[1] * 4, [1, 0, 0, 0], [0] * 4]))
    problem = LevelProblem(
        X, naive.as_targets(np.zeros((4, 96))), rows, np.array([0, 64, 80, 96]), 0, False, ()
    )
    assert work(problem).tolist() == [12 * 64, 3 * 16, 0]
    assert level.is_wide(problem).tolist() == [False] * 3  # none takes long enough
    monkeypatch.setattr(level, "LONG", 1)
    assert level.is_wide(problem).tolist() == [True, True, False]
    monkeypatch.setattr(level, "PART_OF_LEVEL", 0.1)
    assert level.is_wide(problem).tolist() == [True, False, False]
    monkeypatch.setattr(level, "WIDE", 48)
    assert level.is_wide(problem).tolist() == [True, True, False]


def test_chunks_are_trained_independently_of_each_other(problem):
    rows = naive.to_dense(*problem.chunk_rows, 1, 80) > 0
    rows[3, :40] ^= True
    other = problem._replace(chunk_rows=naive.as_lists(rows))
    before, after = trained(problem)[1], trained(other)[1]
    assert np.array_equal(before[:, :21], after[:, :21])
    assert not np.array_equal(before[:, 21:24], after[:, 21:24])


def test_the_seed_decides_the_bits(problem):
    same, again, other = (
        bits(trained(problem._replace(seed=seed))[0]) for seed in ((1, 2), (1, 2), (1, 3))
    )
    assert same == again != other


def test_every_chunk_has_a_seed_of_its_own(rng):
    has = rng.random((60, 3)) < 0.3
    X, everyone = naive.random_rows(rng, 60, N_FEATURES), naive.as_lists(np.ones((2, 60)))
    _, W = trained(
        LevelProblem(
            X,
            naive.as_targets(np.hstack([has, has])),
            everyone,
            np.array([0, 3, 6]),
            0,
            False,
            (0,),
        )
    )
    assert W[:, :3] == pytest.approx(W[:, 3:], abs=0.5)
    assert not np.array_equal(W[:, :3], W[:, 3:])


@pytest.mark.parametrize("wide", [1, 1 << 28])
@pytest.mark.parametrize("inner", [False, True])
def test_the_work_told_adds_up_to_the_work_announced(monkeypatch, rng, inner, wide):
    monkeypatch.setattr(level, "WIDE", wide)
    problem, told = make_problem(rng, inner=inner), []
    train_layers([problem] * 2, [LabelTreeParams(n_jobs=2)] * 2, told.append)
    assert sum(told) == pytest.approx(2 * work(problem).sum())


def test_levels_that_are_trained_together_are_those_trained_alone(monkeypatch, rng):
    monkeypatch.setattr(level, "WIDE", 60 * 32)  # the first chunk is wide, the others aren't
    both = [make_problem(rng, inner=True, seed=(0, 0)), make_problem(rng, 60, seed=(0, 1))]
    params = [LabelTreeParams(n_jobs=2, C=C) for C in (1.0, 3.0)]
    together = train_layers(both, params, lambda amount: None)
    for problem, own, (layer, passes) in zip(both, params, together, strict=True):
        ((alone, own_passes),) = train_layers([problem], [own], lambda amount: None)
        assert (bits(layer), passes) == (bits(alone), own_passes)


def test_work_is_nonzeros_times_lanes():
    X = naive.as_rows([[1, 1, 0], [1, 0, 0], [0, 0, 0]])
    rows = naive.as_lists([[1, 0, 0], [1, 1, 1], [1, 1, 1], [0, 0, 1]])
    problem = LevelProblem(
        X, naive.as_targets(np.zeros((3, 24))), rows, np.array([0, 20, 21, 21, 24]), 0, False, ()
    )
    assert work(problem).tolist() == [2 * 32, 3 * 16, 0, 0]
    assert work(problem._replace(inner=True)).tolist() == [2 * 32, 0, 0, 0]


def test_the_most_passes_of_any_chunk_are_told(problem):
    for max_iter in (1, 4):
        params = LabelTreeParams(n_jobs=1, tol=1e-9, max_iter=max_iter)
        ((_, passes),) = train_layers([problem], [params], lambda amount: None)
        assert passes == max_iter


def test_a_chunk_without_rows_has_no_weights(problem):
    layer, W = trained(problem)
    assert layer.entry_ptr[4] == layer.entry_ptr[3]  # the chunk without nodes has no page
    assert not W[:, 24:].any()


@pytest.mark.parametrize("n_rows", [0, 1])
@pytest.mark.parametrize("inner", [False, True])
def test_hardly_any_rows_are_no_error(rng, n_rows, inner):
    problem = make_problem(rng, n_rows, inner)
    layer, W = trained(problem)
    assert np.isfinite(W).all()
    assert layer.chunk_ptr.tolist() == CHUNK_PTR.tolist()


def test_a_layer_without_weights_is_no_error(problem):
    layer, _ = trained(problem, weight_threshold=1e6)
    assert len(layer.weight) == len(layer.child) == 0
    assert not layer.feature_ptr.any() and not layer.entry_ptr.any() and not layer.bucket.any()


def test_chunks_that_are_shared_are_not_taken_for_each_other(rng):
    problem, other = make_problem(rng), make_problem(rng)
    asked = level.Latest()
    for of, n in ((problem, 0), (problem, 3), (other, 0), (problem, 3), (problem, 0)):
        posed = asked.pose(of, n)
        expected = pose_chunk(of, n)
        assert all(np.array_equal(a, b) for a, b in zip(posed.chunk, expected, strict=True))
        groups = [own.tolist() for own in sibling_groups(expected)]
        assert [own.tolist() for own in posed.groups] == groups
        assert asked.pose(of, n) is posed
    assert len(asked.kept) == 2
    asked.forget()
    assert not asked.kept


def test_two_wide_chunks_are_trained_as_two_narrow_ones(monkeypatch, rng):
    problem = make_problem(rng)
    problem = problem._replace(
        nodes=naive.as_targets(rng.random((80, 60)) < 0.3),
        chunk_ptr=np.array([0, 20, 40, 40, 41, 60]),
    )
    params = LabelTreeParams(n_jobs=1, weight_threshold=0.0)
    ((narrow, passes),) = train_layers([problem], [params], lambda amount: None)
    monkeypatch.setattr(level, "WIDE", 1)
    ((wide, again),) = train_layers([problem], [params], lambda amount: None)
    assert bits(narrow) == bits(wide) and passes == again > 0


def test_long_jobs_come_first_and_the_groups_of_a_chunk_together():
    parts = [
        level.Part(0, 2, 1, 5.0),
        level.Part(0, 2, 0, 5.0),
        level.Part(1, 0, None, 7.0),
        level.Part(0, 1, None, 5.0),
        level.Part(1, 1, None, 5.0),
    ]
    assert sorted(parts, key=level._long_first) == [parts[n] for n in (2, 3, 1, 0, 4)]


def test_each_level_has_its_own_cost_and_its_own_name(rng):
    said, kept = [], []
    problems = [make_problem(rng)._replace(level=n) for n in (0, 2)]

    class Telling(Checkpoint):
        def part(self, name):
            kept.append(name)
            return self

    class Counting:
        def stage(self, title, amount):
            said.append((title, amount))
            return said.append

    params = LabelTreeParams(C=(0.5, 1.0, 2.0), n_jobs=1)
    found = train_levels(problems, params, Counting(), "levels", Telling())
    assert kept == ["level0+2"]
    total = sum(work(problem).sum() for problem in problems)
    assert said[0] == ("levels", total) and sum(said[1:]) == pytest.approx(total)
    for problem, C, (layer, _) in zip(problems, (0.5, 2.0), found, strict=True):
        ((alone, _),) = train_layers(
            [problem], [LabelTreeParams(C=C, n_jobs=1)], lambda amount: None
        )
        assert bits(layer) == bits(alone)


@pytest.mark.parametrize("weights", ["float32", "int8"])
def test_groups_of_a_wide_chunk_are_stored_as_the_parameters_say(monkeypatch, problem, weights):
    narrow = bits(trained(problem, weights=weights)[0])
    monkeypatch.setattr(level, "WIDE", 1)
    assert bits(trained(problem, weights=weights)[0]) == narrow


def test_a_pair_of_children_is_trained_and_no_chunk_has_no_passes(rng):
    problem = make_problem(rng, inner=True)
    pair = problem._replace(
        nodes=naive.as_targets(rng.random((80, 2)) < 0.3),
        chunk_rows=naive.as_lists(np.ones((1, 80))),
        chunk_ptr=np.array([0, 2]),
    )
    assert work(pair).tolist() == [len(pair.X.data) * 16]
    assert trained(pair)[1].any(axis=0).all()
    none = pair._replace(chunk_rows=naive.as_lists(np.zeros((0, 80))), chunk_ptr=np.array([0]))
    ((layer, passes),) = train_layers([none], [LabelTreeParams(n_jobs=1)], lambda amount: None)
    assert passes == 0 and len(layer.weight) == 0
