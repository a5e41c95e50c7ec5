"""Synthetic data in the shapes of public sets: a planted topic tree gives accuracy a meaning.

The labels are the leaves of a random topic tree, about 30 children to a topic. Label frequencies
follow a power law and every label has a training row. The occurrences of the labels are dealt to
rows so that the labels of a row mostly share a topic, and frequent labels spread over wider topics.
A word of a row comes from the background (Zipf's law over the vocabulary) or from one of its
labels: from the few words of the label itself, or of a topic above it. X is TF-IDF with 1 +
log(tf), the IDF of the training rows and rows of unit length.

What is drawn depends on the seed alone, and goes to disk in blocks of rows.
"""

from __future__ import annotations

import math
import numbers
import zipfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import NamedTuple

import numpy as np

from xmc.datasets.registry import SHAPES, SPLIT, Shape
from xmc.errors import DataError, ParameterError
from xmc.io.files import replacing
from xmc.kernels import kernel
from xmc.progress import Progress

LOWEST_SCALE = 0.005
BLOCK = 16_384  # rows drawn or weighted at a time
ARITY = 30  # children of a topic, about
OWN_WORDS = 6  # words of a label; a topic has four times as many as its children
NEARNESS = 4.0  # how much rarer it is that labels of a row meet in the next wider topic only
SPECIFIC = 1.5  # how much rarer it is that a word of a label is one of the next wider topic
ROOM = 2.0  # a label of n rows stays in a topic that has this many times as many
SPREAD = 0.6  # standard deviation of the logarithm of the features per row
COMMONEST = 0.6  # no label occurs in a larger share of the rows


class Tree(NamedTuple):
    """The planted topics, node 0 is the root; a position is a leaf's place from left to right."""

    label_at: np.ndarray  # of each position
    paths: np.ndarray  # (n_labels, depth + 1): the nodes from the root to each label
    start: np.ndarray  # first position below each topic
    stop: np.ndarray


class World(NamedTuple):
    """What training and test rows have in common."""

    shape: Shape
    tree: Tree
    vocabulary: np.ndarray  # the feature of each word, the commonest word of the background first
    key: np.uint64  # of the words of labels and topics


class Labels(NamedTuple):
    """The pattern of Y, int32, each row ascending."""

    indptr: np.ndarray
    indices: np.ndarray


class Raw(NamedTuple):
    """X before weighting: `path`.indices, int32, and `path`.counts, float32, hold row after row."""

    path: Path
    indptr: np.ndarray
    rows_with: np.ndarray  # of each feature


def synthesize(
    like: str,
    out: str | Path,
    scale: float = 1.0,
    seed: int = 0,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> Shape:
    """Write a data set in the shape of `like` to the folder `out`, and return its shape.

    The files are X.trn.npz, Y.trn.npz, X.tst.npz and Y.tst.npz. `scale` multiplies rows and labels,
    and features by its square root, as vocabularies grow (Heaps' law); labels and features per row
    stay. The same arguments give the same bytes.
    """
    if like not in SHAPES:
        raise ParameterError(f"synthesize: like must be one of {', '.join(SHAPES)}, got {like!r}")
    if not isinstance(scale, numbers.Real) or not LOWEST_SCALE <= scale <= 1:
        raise ParameterError(
            f"synthesize: scale must be a number from {LOWEST_SCALE} to 1, got {scale!r}"
        )
    if not isinstance(seed, numbers.Integral) or seed < 0:
        raise ParameterError(f"synthesize: seed must be an int >= 0, got {seed!r}")
    shape = scaled(SHAPES[like], scale)
    if overwrite:
        _check_replaceable(Path(out))
    with replacing(out, overwrite) as folder:
        folder.mkdir()
        _write(shape, folder, np.random.default_rng(seed), progress or Progress(0))
    return shape


def scaled(shape: Shape, scale: float) -> Shape:
    """`shape` with rows and labels times `scale` and features times its square root."""
    return shape._replace(
        rows=round(shape.rows * scale),
        test_rows=round(shape.test_rows * scale),
        features=round(shape.features * math.sqrt(scale)),
        labels=round(shape.labels * scale),
    )


def _write(shape: Shape, folder: Path, rng: np.random.Generator, progress: Progress) -> None:
    vocabulary = rng.permutation(shape.features).astype(np.int32)
    world = World(shape, _plant(shape.labels, rng), vocabulary, _key(rng))
    counts = rng.permutation(_label_counts(shape))
    test_counts = np.floor(
        counts * (shape.test_rows / shape.rows) + rng.random(shape.labels)
    ).astype(np.int64)
    raws, advance = [], progress.stage("drawing rows", shape.rows + shape.test_rows)
    for split, n_rows, dealt in (
        ("trn", shape.rows, counts),
        ("tst", shape.test_rows, test_counts),
    ):
        Y = _deal_rows(world.tree, dealt, n_rows, rng)
        _save_labels(folder / f"Y.{split}.npz", Y, shape.labels)
        raws.append(_draw(world, Y, folder / f"X.{split}", rng, advance))
    idf = np.log((1 + shape.rows) / (1 + raws[0].rows_with)) + 1
    advance = progress.stage("weighting rows", shape.rows + shape.test_rows)
    for raw in raws:
        _save_features(raw, idf)
        advance(len(raw.indptr) - 1)


def _key(rng: np.random.Generator) -> np.uint64:
    return rng.integers(2**63, dtype=np.uint64)


def _pointers(sizes: np.ndarray) -> np.ndarray:
    return np.concatenate([[0], np.cumsum(sizes)])


def _plant(n_labels: int, rng: np.random.Generator) -> Tree:
    """A random tree of topics whose leaves are the labels.

    A position starts a new topic at every level whose share of the positions exceeds the position's
    random number, so a topic's start is also the start of one of its children, and sizes scatter
    around ARITY.
    """
    depth = max(2, round(math.log(n_labels, ARITY)))
    share = n_labels ** (np.arange(depth + 1) / depth - 1)
    starts = rng.random((n_labels, 1)) < share
    starts[:, 0] = False
    starts[0] = True
    nodes = starts.sum(axis=0)
    paths = np.cumsum(starts, axis=0, dtype=np.int32)
    paths += (np.cumsum(nodes) - nodes - 1).astype(np.int32)
    start = np.concatenate([np.flatnonzero(column) for column in starts.T[:-1]])
    stop = np.concatenate(
        [np.append(np.flatnonzero(column)[1:], n_labels) for column in starts.T[:-1]]
    )
    label_at = rng.permutation(n_labels)
    by_label = np.empty_like(paths)
    by_label[label_at] = paths
    return Tree(label_at, by_label, start, stop)


def _label_counts(shape: Shape) -> np.ndarray:
    """Training rows of each label, by rank: a power law, at least 1, with the wanted sum."""
    law = (np.arange(1, shape.labels + 1) + shape.head) ** -shape.decay
    wanted = round(shape.rows * shape.labels_per_row)
    low, high = 0.0, wanted / law[-1]
    for _ in range(100):
        factor = (low + high) / 2
        counts = np.clip(factor * law, 1, COMMONEST * shape.rows)
        low, high = (factor, high) if counts.sum() < wanted else (low, factor)
    return np.diff(np.rint(np.cumsum(counts)), prepend=0).astype(np.int64)


def _deal_rows(tree: Tree, counts: np.ndarray, n_rows: int, rng: np.random.Generator) -> Labels:
    """Deal every label to `counts` rows, to fewer where a row gets it twice."""
    total = counts.sum()
    places = _pointers(counts[tree.label_at])
    reach = np.cumsum(NEARNESS ** np.arange(tree.paths.shape[1] - 1))
    wide = ROOM * total / n_rows
    labels = _deal(
        counts,
        tree.paths,
        places[tree.start],
        places[tree.stop],
        reach / reach[-1],
        wide,
        _key(rng),
    )
    share = rng.gamma(10, size=n_rows)
    sizes = 1 + rng.multinomial(total - n_rows, share / share.sum())
    return Labels(*_cut(labels, _pointers(sizes), rng.permutation(n_rows)))


@kernel
def _deal(counts, paths, first, stop, reach, wide, key):
    """The labels of all occurrences, ordered by the places they are dealt to: a counting sort.

    Topic t has the places first[t] to stop[t]. An occurrence goes to a topic on its label's path,
    of level i or above with the ascending share reach[i], and no narrower than `wide` places per
    occurrence of the label; the k-th of n goes to the k-th part of it. So few places that become
    one row get a label twice.
    """
    n = counts.sum()
    ends = np.zeros(n + 1, np.int32)
    labels = np.empty(n, np.int32)
    for turn in range(2):
        t = 0
        for label in range(counts.shape[0]):
            for k in range(counts[label]):
                u = _uniform(key, 2 * t)
                level = 0
                while u > reach[level]:
                    level += 1
                while (
                    level > 0
                    and stop[paths[label, level]] - first[paths[label, level]]
                    < wide * counts[label]
                ):
                    level -= 1
                node = paths[label, level]
                part = (k + _uniform(key, 2 * t + 1)) / counts[label]
                place = min(first[node] + np.int64(part * (stop[node] - first[node])), n - 1)
                if turn == 0:
                    ends[place + 1] += 1
                else:
                    labels[ends[place]] = label
                    ends[place] += 1
                t += 1
        if turn == 0:
            for place in range(n):
                ends[place + 1] += ends[place]
    return labels


@kernel
def _cut(labels, bounds, order):
    """Row i holds the labels of slice `order[i]`, each once, ascending: (indptr, indices)."""
    n_rows = order.shape[0]
    indptr = np.zeros(n_rows + 1, np.int32)
    indices = np.empty(labels.shape[0], np.int32)
    for i in range(n_rows):
        row = np.sort(labels[bounds[order[i]] : bounds[order[i] + 1]])
        end = indptr[i]
        for j in range(row.shape[0]):
            if j == 0 or row[j] != row[j - 1]:
                indices[end] = row[j]
                end += 1
        indptr[i + 1] = end
    return indptr, indices[: indptr[n_rows]]


def _draw(
    world: World, Y: Labels, path: Path, rng: np.random.Generator, advance: Callable[[float], None]
) -> Raw:
    """Draw the words of all rows into files, block by block."""
    indptr = _pointers(_row_sizes(world.shape, len(Y.indptr) - 1, rng))
    rows_with = np.zeros(world.shape.features, np.int64)
    key = _key(rng)
    with open(f"{path}.indices", "wb") as indices_file, open(f"{path}.counts", "wb") as counts_file:
        for a, block in _blocks(indptr):
            indices, counts = _draw_rows(
                world, block, Y.indptr[a : a + BLOCK + 1], Y.indices, key + np.uint64(a)
            )
            indices_file.write(indices.data)
            counts_file.write(counts.data)
            rows_with += np.bincount(indices, minlength=len(rows_with))
            advance(len(block) - 1)
    return Raw(path, indptr, rows_with)


def _blocks(indptr: np.ndarray) -> list[tuple[int, np.ndarray]]:
    """The first row of each block and its part of indptr."""
    return [(a, indptr[a : a + BLOCK + 1]) for a in range(0, len(indptr) - 1, BLOCK)]


def _row_sizes(shape: Shape, n_rows: int, rng: np.random.Generator) -> np.ndarray:
    """Features of each row: log-normal, with the mean of the shape."""
    sizes = rng.lognormal(sigma=SPREAD, size=n_rows)
    return np.clip(
        np.rint(sizes * (shape.features_per_row / sizes.mean())), 3, shape.features // 2
    ).astype(np.int64)


def _draw_rows(
    world: World, indptr: np.ndarray, Y_indptr: np.ndarray, labels: np.ndarray, key: np.uint64
) -> tuple[np.ndarray, np.ndarray]:
    """Features and counts of a block of rows."""
    paths = world.tree.paths
    above = np.arange(paths.shape[1])[::-1]
    share = np.cumsum(SPECIFIC ** -above[1:])
    share, n_words = np.append(0, share / share[-1]), OWN_WORDS * 4**above
    indptr, noise = indptr - indptr[0], world.shape.noise
    return _draw_words(
        indptr, Y_indptr, labels, paths, n_words, share, world.vocabulary, noise, world.key, key
    )


@kernel
def _draw_words(indptr, Y_indptr, labels, paths, n_words, share, vocabulary, noise, tree_key, key):
    """Features, ascending in each row, and their float32 counts.

    indptr: row i has indptr[i + 1] - indptr[i] of them.
    n_words: words of a node of each level.
    share: of labels' words, the share of each level with those above it; ascends.
    """
    n_features = vocabulary.shape[0]
    indices = np.empty(indptr[-1], np.int32)
    counts = np.empty(indptr[-1], np.float32)
    seen = np.zeros(n_features, np.int32)
    for i in range(indptr.shape[0] - 1):
        row_key = _mix(key + np.uint64(i))
        row = indices[indptr[i] : indptr[i + 1]]
        first, n_labels = Y_indptr[i], Y_indptr[i + 1] - Y_indptr[i]
        row_noise = noise + (1 - noise) * (2 * _uniform(row_key, 0) - 1)
        n, t = 0, 1
        while n < row.shape[0]:
            u, v = _uniform(row_key, t), _uniform(row_key, t + 1)
            if t > 40 * row.shape[0]:  # the common words are used up
                word = np.int64(n_features * v)
            elif u < row_noise:
                word = np.int64(n_features**v) - 1
            else:
                label = labels[first + np.int64(n_labels * v)]
                level, u = 1, _uniform(row_key, t + 2)
                while u > share[level]:
                    level += 1
                node_key = _mix(tree_key + np.uint64(paths[label, level]))
                nth_word = np.int64(n_words[level] * _uniform(row_key, t + 3) ** 1.5)
                word = np.int64(n_features * _uniform(node_key, nth_word) ** 2)
            t += 4
            feature = vocabulary[word]
            if seen[feature] == 0:
                row[n] = feature
                n += 1
            seen[feature] += 1
        row.sort()
        for j in range(n):
            counts[indptr[i] + j] = seen[row[j]]
            seen[row[j]] = 0
    return indices, counts


@kernel
def _mix(z):
    """A random-looking uint64: the finaliser of SplitMix64 (Steele, Lea and Flood, 2014)."""
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


@kernel
def _uniform(key, i):
    """The i-th number in [0, 1) of the stream `key`."""
    z = _mix(key + np.uint64(i + 1) * np.uint64(0x9E3779B97F4A7C15))
    return np.float64(z >> np.uint64(11)) * 2.0**-53


def _save_labels(path: Path, Y: Labels, n_labels: int) -> None:
    blocks = [Y.indices[block[0] : block[-1]] for _, block in _blocks(Y.indptr)]
    ones = (np.ones(len(block), np.float32) for block in blocks)
    _save_csr(path, (len(Y.indptr) - 1, n_labels), Y.indptr, blocks, ones)


def _save_features(raw: Raw, idf: np.ndarray) -> None:
    """Weight the drawn words and delete them."""
    indices = (_read(raw, "indices", np.int32, block) for _, block in _blocks(raw.indptr))
    weights = (_weights(raw, block, idf) for _, block in _blocks(raw.indptr))
    _save_csr(
        Path(f"{raw.path}.npz"), (len(raw.indptr) - 1, len(idf)), raw.indptr, indices, weights
    )
    Path(f"{raw.path}.indices").unlink()
    Path(f"{raw.path}.counts").unlink()


def _read(raw: Raw, what: str, dtype: type, indptr: np.ndarray) -> np.ndarray:
    return np.fromfile(f"{raw.path}.{what}", dtype, indptr[-1] - indptr[0], offset=4 * indptr[0])


def _weights(raw: Raw, indptr: np.ndarray, idf: np.ndarray) -> np.ndarray:
    """TF-IDF of a block of rows, each of unit length."""
    weights = (1 + np.log(_read(raw, "counts", np.float32, indptr))) * idf[
        _read(raw, "indices", np.int32, indptr)
    ]
    length = np.sqrt(np.add.reduceat(weights**2, indptr[:-1] - indptr[0]))
    return (weights / np.repeat(length, np.diff(indptr))).astype(np.float32)


def _save_csr(
    path: Path,
    shape: tuple[int, int],
    indptr: np.ndarray,
    indices: Iterable[np.ndarray],
    data: Iterable[np.ndarray],
) -> None:
    """What scipy.sparse.save_npz writes, from blocks of indices and data, without a time."""
    nnz = int(indptr[-1])
    with zipfile.ZipFile(path, "w") as archive:
        _save_member(archive, "format", "|S3", (), [np.array(b"csr")])
        _save_member(archive, "shape", "<i8", (2,), [np.array(shape, "<i8")])
        _save_member(archive, "indptr", "<i4", indptr.shape, [indptr.astype("<i4")])
        _save_member(archive, "indices", "<i4", (nnz,), indices)
        _save_member(archive, "data", "<f4", (nnz,), data)


def _save_member(
    archive: zipfile.ZipFile,
    name: str,
    dtype: str,
    shape: tuple[int, ...],
    blocks: Iterable[np.ndarray],
) -> None:
    member = zipfile.ZipInfo(f"{name}.npy", date_time=(1980, 1, 1, 0, 0, 0))
    header = {"descr": dtype, "fortran_order": False, "shape": shape}
    with archive.open(member, "w", force_zip64=True) as file:
        np.lib.format.write_array_header_1_0(file, header)
        for block in blocks:
            file.write(block.tobytes())


def _check_replaceable(out: Path) -> None:
    if not out.exists():
        return
    foreign = (
        sorted({entry.name for entry in out.iterdir()} - set(SPLIT)) if out.is_dir() else [out.name]
    )
    if foreign:
        raise DataError(
            f"{out}: expected a synthetic data set to replace, got {foreign[0]!r}; "
            "choose a new folder"
        )
