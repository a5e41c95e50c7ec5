"""What is compared: ways to train, each with its peer and settings, and ways to predict."""

from typing import NamedTuple

THREADS = 2
K = 5  # labels per row, wherever something is predicted
N_SAMPLED = 200  # labels that one-vs-rest by liblinear is timed on
N_QUERIES = 1000


class Configuration(NamedTuple):
    """A way to train.

    settings: what the peer's adapter understands; for ours, `model` and the arguments of its
        constructor.
    rival: the one of ours that it is measured against.
    max_labels: data sets with more labels are left out, as they would take days.
    """

    name: str
    peer: str
    settings: dict
    rival: str | None = None
    max_labels: int | None = None


class Form(NamedTuple):
    """A way to predict with a trained configuration: settings of loading."""

    name: str
    trained: str
    settings: dict = {}


LIBLINEAR = "-s 1 -c 1 -e 0.1 -B 1 -q"  # dual squared hinge, as ours, PECOS's and Omikuji's
OMIKUJI = {"max_sparse_density": 0.1}  # what its command line sets
BONSAI = OMIKUJI | {"cluster_k": 100, "cluster_balanced": False}

# As close to the optimum as liblinear comes with its tolerance of 0.1: the objectives below the
# table tell.
ONE_VS_ALL = {"model": "OneVsAllClassifier", "tol": 0.02, "max_iter": 40}

TRAINED = [
    Configuration("xmc-shallow", "xmc", {"model": "LabelTreeClassifier", "tree": "shallow"}),
    Configuration(
        "xmc-shallow-3", "xmc", {"model": "LabelTreeClassifier", "tree": "shallow", "n_trees": 3}
    ),
    Configuration(
        "xmc-shallow-160", "xmc", {"model": "LabelTreeClassifier", "tree": "shallow", "arity": 160}
    ),
    Configuration(
        "xmc-shallow-int8",
        "xmc",
        {"model": "LabelTreeClassifier", "tree": "shallow", "weights": "int8"},
    ),
    Configuration("xmc-balanced", "xmc", {"model": "LabelTreeClassifier", "tree": "balanced"}),
    Configuration("xmc-one-vs-all", "xmc", ONE_VS_ALL, max_labels=10_000),
    Configuration("pecos", "pecos", {"nr_splits": 16}, "xmc-shallow"),
    Configuration("pecos-32", "pecos", {"nr_splits": 32}, "xmc-shallow"),
    Configuration("omikuji-parabel-1", "omikuji", OMIKUJI | {"n_trees": 1}, "xmc-shallow"),
    Configuration("omikuji-parabel-3", "omikuji", OMIKUJI | {"n_trees": 3}, "xmc-shallow-3"),
    Configuration("omikuji-bonsai-1", "omikuji", BONSAI | {"n_trees": 1}, "xmc-shallow"),
    Configuration("omikuji-bonsai-3", "omikuji", BONSAI | {"n_trees": 3}, "xmc-shallow-3"),
    Configuration("napkinxc-plt", "napkinxc", {}, "xmc-shallow"),
    Configuration(
        "libmultilabel-tree", "libmultilabel", {"options": LIBLINEAR}, "xmc-shallow", 50_000
    ),
    Configuration(
        "liblinear",
        "liblinear",
        {"options": LIBLINEAR, "n_labels": N_SAMPLED},
        "xmc-one-vs-all",
        10_000,
    ),
]

# Our side of the comparison of objectives: the labels that liblinear was timed on, nothing dropped.
SAMPLED = Configuration(
    "xmc-one-vs-all-sampled",
    "xmc",
    ONE_VS_ALL | {"weight_threshold": 0, "n_labels": N_SAMPLED},
)

PREDICTED = [
    *(Form(one.name, one.name) for one in TRAINED if one.peer == "xmc"),
    *(
        Form(f"{name}, {form}", name, {"form": form})
        for name in ("pecos", "pecos-32")
        for form in ("BINARY_SEARCH_CHUNKED", "HASH_CHUNKED", "MMAP")
    ),
    *(
        Form(name, name)
        for name in (
            "omikuji-parabel-1",
            "omikuji-parabel-3",
            "omikuji-bonsai-1",
            "omikuji-bonsai-3",
        )
    ),
]


def chosen(declared, only):
    """The configurations or forms whose names are these words or begin so; all without words."""
    names = {one.name for one in declared}
    begin = tuple(word for word in only or [] if word not in names)
    return [one for one in declared if not only or one.name in only or one.name.startswith(begin)]


def trained(name):
    """The configuration of that name."""
    return next(one for one in TRAINED if one.name == name)
