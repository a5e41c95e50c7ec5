import cli_tools as cli
import numpy as np
import pytest

from xmc import LabelTreeClassifier, OneVsAllClassifier, ParameterError, load, preset
from xmc.datasets import load_sample
from xmc.methods import METHODS
from xmc.params import check
from xmc.presets import PRESETS


@pytest.fixture(scope="module")
def sample():
    data = load_sample()
    return data.X[:2000], data.Y[:2000]


def chunks(model):
    """Pointers per level of every tree."""
    return [member.tree.chunks for member in model.members_]


@pytest.mark.parametrize("name", PRESETS)
def test_every_preset_is_a_valid_estimator(name):
    check(preset(name))
    assert isinstance(preset(name), METHODS[PRESETS[name].method].load())


def test_parabel_is_three_binary_trees_with_at_most_100_labels_a_leaf(sample):
    model = preset("parabel", random_state=0, max_leaf_size=20).fit(*sample)
    assert len(model.members_) == 3
    for levels in chunks(model):
        assert all(set(np.diff(level)) <= {1, 2} for level in levels[:-1])
        assert np.diff(levels[-1]).max() <= 20
    assert preset("parabel").max_leaf_size == 100
    assert len({tuple(member.tree.labels) for member in model.members_}) == 3


def test_bonsai_is_three_shallow_trees_of_up_to_100_clusters_of_any_size(sample):
    model = preset("bonsai", random_state=0).fit(*sample)
    assert len(model.members_) == 3
    for levels in chunks(model):
        assert len(levels) <= 3 and len(levels[0]) == 2
        assert 50 < levels[0][-1] <= 100
        assert len(set(np.diff(levels[1]))) > 2


def test_bonsai_ranks_as_three_shallow_trees_do_and_not_by_the_squared_hinge(sample):
    X, Y = sample
    model = preset("bonsai", random_state=0).fit(X, Y)
    trees = LabelTreeClassifier(tree="shallow", n_trees=3, random_state=0).fit(X, Y)
    found, expected = (m.predict_topk(X, 10) for m in (model, trees))
    assert np.array_equal(found.labels, expected.labels)
    assert np.array_equal(found.scores, expected.scores)
    squared = model.set_params(score_transform="l2_hinge").predict_topk(X, 10)
    assert not np.array_equal(found.labels, squared.labels)


@pytest.mark.parametrize(
    ("name", "arity"), [("xr-linear", 16), ("xr-linear-man", 16), ("attentionxml-tree", 32)]
)
def test_balanced_presets_have_their_arity(sample, name, arity):
    model = preset(name, random_state=0, max_leaf_size=2).fit(*sample)
    (levels,) = chunks(model)
    assert all(np.diff(level).max() <= arity for level in levels[:-1])
    assert max(np.diff(level).max() for level in levels[:-1]) > arity / 2
    assert preset(name).max_leaf_size == 100


def test_pfastre_re_ranks_what_a_tree_finds_by_tail_classifiers(sample):
    model = preset("pfastre", random_state=0, n_trees=1).fit(*sample)
    assert (model.tail_share, model.tail_gamma) == (0.2, 30.0)
    assert model.model_.label_embeddings.n_rows == sample[1].shape[1]
    plain = preset("parabel", random_state=0, n_trees=1).fit(*sample)
    rare = [
        np.diff(sample[1].tocsc().indptr)[m.predict_topk(sample[0], 5).labels].mean()
        for m in (model, plain)
    ]
    assert rare[0] < rare[1]


def test_xr_linear_differs_by_its_negatives_only():
    plain, man = preset("xr-linear").get_params(), preset("xr-linear-man").get_params()
    assert {name for name in plain if plain[name] != man[name]} == {"negatives"}
    assert (man["negatives"], plain["score_transform"], plain["beam_size"]) == (
        "tfn+man",
        "l3_hinge",
        10,
    )


def test_dismec_scores_every_label_and_keeps_weights_from_a_hundredth_on(sample):
    model = preset("dismec", random_state=0).fit(*sample)
    (layer,) = model.members_[0].layers
    assert len(layer.chunk_ptr) == 2
    assert 0.01 <= np.abs(layer.weight).min() < 0.02


def test_settings_go_on_top():
    assert (
        preset("bonsai", n_trees=1, C=2.0).get_params()
        == preset("bonsai").set_params(n_trees=1, C=2.0).get_params()
    )


def test_an_unknown_preset_is_refused():
    with pytest.raises(ParameterError, match="preset must be one of 'parabel', .* got 'parable'"):
        preset("parable")


def test_the_command_line_takes_presets_and_flags_on_top(tmp_path):
    files = cli.home() / "X.npz", cli.home() / "Y.npz"
    cli.done(
        "train",
        *files,
        "--model",
        tmp_path / "model",
        "--preset",
        "parabel",
        "--n-trees",
        1,
        "--quiet",
    )
    found = load(tmp_path / "model").get_params()
    expected = preset("parabel", n_trees=1).get_params()
    assert all(
        found[name] == expected[name]
        for name in found
        if name not in ("n_jobs", "random_state", "verbose")
    )
    cli.done("train", *files, "--model", tmp_path / "ova", "--preset", "dismec", "--quiet")
    assert isinstance(load(tmp_path / "ova"), OneVsAllClassifier)


def test_a_tree_preset_is_not_one_vs_all_and_the_other_way_round():
    both = ("train", "X.npz", "Y.npz", "--model", "m", "--preset")
    assert cli.misuse(*both, "bonsai", "--one-vs-all").startswith(
        "Error: --one-vs-all doesn't go with --preset bonsai"
    )
    assert (
        cli.misuse(*both, "dismec", "--arity", 3)
        == "Error: --arity doesn't go with --method one-vs-all"
    )
