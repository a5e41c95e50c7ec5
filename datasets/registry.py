"""What `xmc datasets` lists, as data; nothing heavy is imported."""

from __future__ import annotations

from typing import NamedTuple

SPLIT = (
    "X.trn.npz",
    "Y.trn.npz",
    "X.tst.npz",
    "Y.tst.npz",
)  # files of a data set: training and test rows


class Card(NamedTuple):
    """One data set: its sizes, what its rows and labels are, its licence and where to get it."""

    name: str
    rows: int  # for training
    test_rows: int
    features: int
    labels: int
    labels_per_row: float
    what: str
    licence: str
    source: str


class Shape(NamedTuple):
    """The sizes and the character of a public set, for a synthetic one to copy.

    decay, head: the label of rank r occurs in proportion to (r + head) ** -decay rows, but in one
        at least.
    noise: the mean share of words that say nothing about their row's labels; it lies evenly between
        2 * noise - 1 and 1.
    """

    rows: int
    test_rows: int
    features: int
    labels: int
    labels_per_row: float
    features_per_row: float
    decay: float
    head: float
    noise: float


# Sizes and labels per row: the Extreme Classification Repository's page,
# http://manikvarma.org/downloads/XC/XMLRepository.html. Features per row, and amazon-3m's labels
# per row: means of the training rows, as papers on these sets give them.
SHAPES = {
    "wiki10-31k": Shape(
        14_146, 6_616, 101_938, 30_938, 18.64, 673.45, decay=0.88, head=0, noise=0.8
    ),
    "amazoncat-13k": Shape(
        1_186_239, 306_782, 203_882, 13_330, 5.04, 71.2, decay=1.6, head=14, noise=0.8
    ),
    "amazon-670k": Shape(
        490_449, 153_025, 135_909, 670_091, 5.45, 75.68, decay=0.75, head=26, noise=0.74
    ),
    "amazon-3m": Shape(
        1_717_899, 742_507, 337_067, 2_812_281, 36.04, 49.6, decay=1.05, head=200, noise=0.6
    ),
}

_DEBTAGS = Card(
    "debtags",
    rows=26_795,
    test_rows=2_990,
    features=14_248,
    labels=569,
    labels_per_row=3.65,
    what="Debian packages (words of name and one-line description) to debtags, word counts",
    licence="Debian package metadata, bookworm",
    source="embedded: xmc.datasets.load_sample()",
)


REPOSITORY = "http://manikvarma.org/downloads/XC/XMLRepository.html"


def _public(
    name: str, sizes: tuple[int, int, int, int, float], what: str, source: str = REPOSITORY
) -> Card:
    return Card(name, *sizes, what, licence="see the source", source=source)


# Sizes as papers give them for the repository's files; of the second EURLex-4K, as AttentionXML's
# does (NeurIPS 2019). Whoever adds files that differ is told so.
PUBLIC = (
    _public(
        "eurlex-4k", (15_539, 3_809, 5_000, 3_993, 5.31), "European laws to EuroVoc concepts, words"
    ),
    _public(
        "eurlex-4k-attentionxml",
        (15_449, 3_865, 186_104, 3_956, 5.30),
        "the same laws, other split, n-gram TF-IDF",
        "https://github.com/yourh/AttentionXML",
    ),
    _public("wiki10-31k", SHAPES["wiki10-31k"][:5], "Wikipedia articles to social tags, words"),
    _public("amazoncat-13k", SHAPES["amazoncat-13k"][:5], "products to categories, words"),
    _public(
        "amazon-670k", SHAPES["amazon-670k"][:5], "products to products bought with them, words"
    ),
    _public("amazon-3m", SHAPES["amazon-3m"][:5], "products to products bought with them, words"),
    _public(
        "delicious-200k",
        (196_606, 100_095, 782_585, 205_443, 75.54),
        "web pages to social tags, words",
    ),
    _public(
        "wikilshtc-325k",
        (1_778_351, 587_084, 1_617_899, 325_056, 3.19),
        "Wikipedia articles to categories",
    ),
    _public(
        "wikipedia-500k",
        (1_813_391, 783_743, 2_381_304, 501_070, 4.77),
        "Wikipedia articles to categories",
    ),
)


def _synthetic(like: str, shape: Shape) -> Card:
    return Card(
        f"synthetic {like}",
        *shape[:5],
        what=f"planted topic tree in the shape of {like}, TF-IDF",
        licence="none needed: generated from a seed",
        source=f"xmc datasets synth --like {like} --out DIR",
    )


def cards() -> list[Card]:
    """All known data sets: the embedded one, synthetic ones, public ones to download oneself."""
    return [_DEBTAGS, *(_synthetic(like, shape) for like, shape in SHAPES.items()), *PUBLIC]


def differences(card: Card, sizes: dict[str, int]) -> list[str]:
    """What of these sizes is not as on the card, in words."""
    pairs = [(name.replace("_", " "), found, getattr(card, name)) for name, found in sizes.items()]
    return [
        f"{found:,} {name} instead of {expected:,}"
        for name, found, expected in pairs
        if found != expected
    ]
