"""Methods of the literature under their own names: settings, and where they come from."""

from __future__ import annotations

from typing import Any, NamedTuple

from .errors import ParameterError
from .methods import method_named


class Preset(NamedTuple):
    """The settings of a published method.

    source: the paper; method: whose settings they are, as the registry names it.
    """

    settings: dict[str, Any]
    source: str
    method: str = "tree"


PARABEL = {
    "tree": "balanced",
    "arity": 2,
    "max_leaf_size": 100,
    "n_trees": 3,
    "score_transform": "l2_hinge",
}
# The paper has 100 clusters, splits those of 100 labels or more again, and ranks by the squared
# hinge. Our leaves are wider, as that loses less where labels are rare, and in wide leaves the
# cubed hinge ranks better. The data choose 100 clusters, or more where labels are many.
BONSAI = {
    "tree": "shallow",
    "max_depth": 3,
    "n_trees": 3,
    "score_transform": "l3_hinge",
}
XR_LINEAR = {
    "tree": "balanced",
    "arity": 16,
    "max_leaf_size": 100,
    "beam_size": 10,
    "score_transform": "l3_hinge",
}

PRESETS = {
    "parabel": Preset(PARABEL, "Prabhu et al., Parabel, WWW 2018"),
    "bonsai": Preset(BONSAI, "Khandagale et al., Bonsai, Machine Learning 2020"),
    "xr-linear": Preset(XR_LINEAR, "Yu et al., PECOS, JMLR 2022"),
    "xr-linear-man": Preset(XR_LINEAR | {"negatives": "tfn+man"}, "Yu et al., PECOS, JMLR 2022"),
    "dismec": Preset(
        {"loss": "squared_hinge", "weight_threshold": 0.01},
        "Babbar & Schölkopf, WSDM 2017",
        "one-vs-all",
    ),
    # Its own trees are not Parabel's, but the tail classifiers re-rank what any tree finds.
    "pfastre": Preset(
        PARABEL | {"tail_share": 0.2, "tail_gamma": 30.0}, "Jain et al., PfastreXML, KDD 2016"
    ),
    # Its tree is binary, and five levels at a time become one.
    "attentionxml-tree": Preset(
        PARABEL | {"arity": 32, "n_trees": 1}, "You et al., AttentionXML, NeurIPS 2019"
    ),
}


def preset(name: str, **settings: Any) -> Any:
    """The estimator of a published method, `settings` on top of its own.

    Raises ParameterError if there is no such preset.
    """
    if name not in PRESETS:
        raise ParameterError(f"preset must be one of {', '.join(map(repr, PRESETS))}, got {name!r}")
    found = PRESETS[name]
    return method_named(found.method).load()(**(found.settings | settings))
