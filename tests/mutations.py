"""Inputs for parsers: a kept corpus, and what chance makes of it.

The corpus is a folder for each reader in tests/data/fuzz, and what this file packs. A file whose
name begins with `bad-` must be refused, any other must be read.
"""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import re
import zipfile
from collections.abc import Callable
from pathlib import Path
from random import Random

import numpy as np

CORPUS = Path(__file__).parent / "data" / "fuzz"
LONGEST = 1 << 16
TOKEN = re.compile(rb"[^ \t\r\n,:\"<>{}\[\]]+")
MARK = b"\xef\xbb\xbf"

NUMBERS = b"""
0 1 2 3 -1 -0 00 01 +1 1.5 .5 5. . - + e 1e 1e400 -1e400 1e-400 1e5 3e38 3.5e38 1e999999999999
nan NaN inf -inf Infinity 0x10 1_0 127 128 255 32768 65536 2147483646 2147483647 2147483648
4294967295 4294967296 9223372036854775807 9223372036854775808 18446744073709551616
99999999999999999999999 1.00000005960464477539062500000000000001 16777217 0.1e-45 7.006492e-46
""".split()

MARKS = [
    *(
        b":",
        b",",
        b"::",
        b",,",
        b"1:",
        b":1",
        b"1:1:1",
        b"1,",
        b",1",
        b"#",
        b"# 1:1",
        b"\t",
        b"\t\t",
    ),
    *(
        b" ",
        b"  ",
        b"\n",
        b"\r",
        b"\r\n",
        b"\r\r\n",
        b"\n\n",
        b"\v",
        b"\f",
        b"\x1c",
        b"\x85",
        b"\x00",
    ),
    *(MARK, MARK + MARK, b"\xff\xfe", b"\xfe\xff", b"\xff", b"\xc3", b"\xe2\x82", b"\xc0\x80"),
    *(b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"\xc2\x9b31m", b"\x1b[31m", b"\x1b]0;x\x07", b"\x08"),
    *(
        "\u202e",
        "\u2066",
        "\u200f",
        "\u2028",
        "\u2029",
        "\u0085",
        "\u00a0",
        "\u3000",
        "\u0661",
        "\u0130",
    ),
    *(
        b'"',
        b'""',
        b"'",
        b"\\",
        b"\\u0000",
        b"\\ud800",
        b"\\udc00\\ud800",
        b"\\u202e",
        b"\\u001b",
        b"\\n",
    ),
    *(b"{", b"}", b"[", b"]", b"[]", b"{}", b"null", b"true", b"[" * 3000, b'{"a":' * 3000, b"("),
    *(b"<", b">", b"<>", b"&amp;", b"&#0;", b"&x;", b"_:b", b"@en", b"@", b"^^", b"a", b"x" * 1100),
    *(
        b"<!DOCTYPE x [<!ENTITY x 'y'>]>",
        b"<http://a\x1b/b>",
        b"@prefix : <:> .",
        b"id",
        b"name",
        b"uri",
    ),
]
INTERESTING = NUMBERS + [mark if isinstance(mark, bytes) else mark.encode() for mark in MARKS]


def corpus(name: str) -> dict[str, bytes]:
    """The kept inputs of a reader, by the names of their files."""
    if name.endswith("npz"):
        matrices = MATRICES | BAD_MATRICES | (BAD_SUM if name == "npz" else {})
        return {f"{kind}.npz": packed(arrays) for kind, arrays in matrices.items()}
    return {path.name: path.read_bytes() for path in sorted((CORPUS / name).iterdir())}


def bases(name: str) -> list[bytes]:
    """What is changed: mostly inputs that are read, as a second fault would hide behind a first."""
    kept = corpus(name)
    good = [content for file, content in kept.items() if not file.startswith("bad-")]
    return [*good * 4, *kept.values()]


def mutated(rng: Random, name: str, kept: list[bytes]) -> tuple[bytes, str]:
    """An input for a reader, and what its name ends in if it is compressed."""
    if name.endswith("npz"):
        content = _some_npz(rng)
        return (content, "") if rng.random() < 0.7 else (_changed(rng, content, kept), "")
    content = _changed(rng, rng.choice(kept), kept)
    if rng.random() < 0.97:
        return content, ""
    suffix, compress = rng.choice(COMPRESSED)
    content = compress(content)
    return content if rng.random() < 0.5 else _changed(rng, content, kept), suffix


def _changed(rng: Random, content: bytes, kept: list[bytes]) -> bytes:
    for _ in range(rng.choice((1, 1, 1, 1, 2, 3, 5))):
        content = rng.choice(CHANGES)(rng, content, kept)[:LONGEST]
    return content


def _place(rng: Random, content: bytes) -> int:
    return rng.randrange(len(content) + 1)


def _span(rng: Random, content: bytes, longest: int = 40) -> tuple[int, int]:
    a = _place(rng, content)
    return a, min(len(content), a + rng.randrange(1, longest))


def _flip(rng: Random, content: bytes, kept: list[bytes]) -> bytes:
    a, b = _span(rng, content, 2)
    return content[:a] + bytes(byte ^ 1 << rng.randrange(8) for byte in content[a:b]) + content[b:]


def _noise(rng: Random, content: bytes, kept: list[bytes]) -> bytes:
    a, b = _span(rng, content, 6)
    return content[:a] + rng.randbytes(b - a) + content[b:]


def _delete(rng: Random, content: bytes, kept: list[bytes]) -> bytes:
    a, b = _span(rng, content)
    return content[:a] + content[b:]


def _truncate(rng: Random, content: bytes, kept: list[bytes]) -> bytes:
    return content[: _place(rng, content)]


def _repeat(rng: Random, content: bytes, kept: list[bytes]) -> bytes:
    a, b = _span(rng, content)
    times = rng.choice((2, 2, 3, 10, 1000)) if rng.random() < 0.9 else LONGEST
    return content[:a] + content[a:b] * min(times, LONGEST // max(1, b - a)) + content[b:]


def _splice(rng: Random, content: bytes, kept: list[bytes]) -> bytes:
    other = rng.choice(kept)
    return content[: _place(rng, content)] + other[_place(rng, other) :]


def _insert(rng: Random, content: bytes, kept: list[bytes]) -> bytes:
    a = _place(rng, content) if rng.random() < 0.8 else 0
    return content[:a] + rng.choice(INTERESTING) + content[a:]


def _token(rng: Random, content: bytes, kept: list[bytes]) -> bytes:
    found = TOKEN.search(content, _place(rng, content)) or TOKEN.search(content)
    if not found:
        return _insert(rng, content, kept)
    return content[: found.start()] + rng.choice(INTERESTING) + content[found.end() :]


def _lines(rng: Random, content: bytes, kept: list[bytes]) -> bytes:
    lines = content.split(b"\n")
    i, j = rng.randrange(len(lines)), rng.randrange(len(lines))
    change = rng.randrange(3)
    if change == 0:
        lines[i], lines[j] = lines[j], lines[i]
    elif change == 1:
        lines.insert(i, lines[j])
    else:
        del lines[i]
    return b"\n".join(lines)


def _line_ends(rng: Random, content: bytes, kept: list[bytes]) -> bytes:
    return content.replace(b"\n", rng.choice((b"\r\n", b"\r", b"\n\r", b"\r\r\n", b" \n", b"")))


CHANGES = (
    *(
        _flip,
        _noise,
        _delete,
        _truncate,
        _repeat,
        _splice,
        _insert,
        _insert,
        _token,
        _token,
        _token,
    ),
    *(_lines, _line_ends),
)


def _zst(content: bytes) -> bytes:
    """A frame of Zstandard whose one block is raw; it is what it says up to 128 kB."""
    size = len(content)
    head = b"\x28\xb5\x2f\xfd\xa0" + size.to_bytes(4, "little")
    return head + (size << 3 | 1).to_bytes(3, "little") + content


COMPRESSED: list[tuple[str, Callable[[bytes], bytes]]] = [
    (".gz", lambda content: gzip.compress(content, 1)),
    (".bz2", bz2.compress),
    (".xz", lambda content: lzma.compress(content, preset=0)),
    (".zst", _zst),
]

_PARTS = {
    "shape": np.array([3, 4]),
    "data": np.float32([1, 0.5, -2]),
    "indices": np.int32([1, 0, 3]),
    "indptr": np.int32([0, 1, 1, 3]),
}
MATRICES: dict[str, dict[str, np.ndarray]] = {
    "csr": _PARTS,
    "csc": _PARTS | {"indptr": np.int32([0, 1, 1, 3, 3]), "indices": np.int32([1, 0, 2])},
    "coo": {
        "shape": np.array([3, 4]),
        "data": np.array([1, 2, 3]),
        "row": np.int32([0, 2, 2]),
        "col": np.int32([1, 3, 0]),
    },
    "bsr": _PARTS
    | {
        "shape": np.array([6, 8]),
        "data": np.arange(12, dtype=np.float64).reshape(3, 2, 2),
    },
    "dia": {
        "shape": np.array([3, 4]),
        "data": np.float32([[1, 2, 3, 4]]),
        "offsets": np.int32([1]),
    },
}
MATRICES = {kind: {"format": np.array(kind.encode())} | m for kind, m in MATRICES.items()}
METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA)
HUGE = (10**6, 2**31 - 1, 2**31, 2**32, 10**11, 2**63 - 1, -1, 0)
DTYPES = (
    "<f8",
    ">f4",
    ">i4",
    "<i8",
    "<u8",
    "<u4",
    "<f2",
    "<i1",
    "<c8",
    "|b1",
    "<M8[s]",
    "<U3",
    "|S4",
    "|V8",
)


def packed(arrays: dict[str, np.ndarray | bytes], method: int = zipfile.ZIP_STORED) -> bytes:
    """An .npz file of these arrays; bytes stand in it as they are."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", method) as archive:
        for name, array in arrays.items():
            content = array if isinstance(array, bytes) else _FILES.get(id(array)) or npy(array)
            archive.writestr(zipfile.ZipInfo(f"{name}.npy"), content, method)
    return out.getvalue()


def npy(array: np.ndarray) -> bytes:
    """The file of an array; one of objects is pickled."""
    out = io.BytesIO()
    np.lib.format.write_array(out, array, allow_pickle=True)
    return out.getvalue()


BAD_MATRICES: dict[str, dict] = {
    "bad-rows-of-nothing": MATRICES["coo"] | {"shape": np.array([2**31 - 1, 4])},
    "bad-claim": MATRICES["csr"]
    | {"data": npy(np.zeros(9, np.float32)).replace(b"(9,), }         ", b"(1234567890,), }")},
    "bad-objects": MATRICES["csr"] | {"data": np.array([{}, 1, None])},
}
# Predictions are not summed.
BAD_SUM = {
    "bad-sum-beyond-float32": MATRICES["csr"]
    | {"data": np.full(3, 3e38, np.float32), "indices": np.zeros(3, np.int32)}
}
_FILES = {id(array): npy(array) for arrays in MATRICES.values() for array in arrays.values()}


def _some_npz(rng: Random) -> bytes:
    arrays: dict = dict(MATRICES[rng.choice(list(MATRICES))])
    for _ in range(rng.choice((1, 1, 2, 3))):
        name = rng.choice(list(arrays))
        if isinstance(arrays[name], np.ndarray):
            with np.errstate(all="ignore"):
                rng.choice(ARRAY_CHANGES)(rng, arrays, name)
    return packed(arrays, METHODS[0] if rng.random() < 0.9 else rng.choice(METHODS))


def _one_number(rng: Random, arrays: dict, name: str) -> None:
    array = arrays[name] = arrays[name].copy()
    if array.size == 0 or array.dtype.kind not in "iufb":
        return
    values = [-1, 0, 1, 2, 5, 127]
    if array.dtype.kind == "f":
        top = np.finfo(array.dtype).max
        values += [np.nan, np.inf, -np.inf, top, -top]
    elif array.dtype.kind in "iu":
        values += [np.iinfo(array.dtype).max, np.iinfo(array.dtype).min]
    array.reshape(-1)[rng.randrange(array.size)] = np.array(rng.choice(values)).astype(array.dtype)


def _overflow(rng: Random, arrays: dict, name: str) -> None:
    """Entries in one place, whose sum is too large."""
    arrays["data"] = rng.choice((np.full(3, 3e38, np.float32), np.full(3, 100, np.int8)))
    for ids in ("indices", "row", "col"):
        if ids in arrays:
            arrays[ids] = np.zeros(3, np.int32)


def _sizes(rng: Random, arrays: dict, name: str) -> None:
    arrays["shape"] = np.array([rng.choice((3, 4, *HUGE)), rng.choice((3, 4, *HUGE))], np.int64)


def _dtype(rng: Random, arrays: dict, name: str) -> None:
    if arrays[name].dtype != object:
        try:
            arrays[name] = arrays[name].astype(rng.choice(DTYPES))
        except (ValueError, TypeError, RuntimeError):  # not everything is a date, or short
            arrays[name] = arrays[name].astype(object)


def _form(rng: Random, arrays: dict, name: str) -> None:
    array = arrays[name]
    forms = (
        lambda: array[:-1] if array.ndim else array.reshape(1),
        lambda: np.concatenate([array.reshape(-1)] * 2),
        lambda: array.reshape(1, -1),
        lambda: array.reshape(-1),
        lambda: np.asfortranarray(np.stack([array, array])),
        lambda: np.asfortranarray(array.reshape(-1, 1)) if array.ndim < 2 else array.T,
        lambda: array.astype(object),
        lambda: np.zeros((0, 3)),
        lambda: np.zeros(rng.choice((10**4, 10**6)), array.dtype),
        lambda: np.array(rng.choice([b"csr", b"csc", b"coo", b"bsr", b"dia", b"lil", "csr", b""])),
    )
    arrays[name] = rng.choice(forms)()


def _drop(rng: Random, arrays: dict, name: str) -> None:
    del arrays[name]
    arrays.setdefault("format", np.array(b"csr"))


def _header(rng: Random, arrays: dict, name: str) -> None:
    """The file of an array with another header, which may claim anything."""
    content = npy(arrays[name])
    length = int.from_bytes(content[8:10], "little")
    header, rest = content[10 : 10 + length], content[10 + length :]
    changes = (
        (rb"\(.*\)", f"({rng.choice(HUGE)},)".encode()),
        (rb"\(.*\)", f"({rng.choice(HUGE)}, {rng.choice(HUGE)})".encode()),
        (
            rb"\(.*\)",
            rng.choice((b"()", b"(-1,)", b"(1.5,)", b"[3]", b"(3", b"(" * 3000, b"(True,)")),
        ),
        (rb"'[<>|][^']*'", repr(rng.choice((*DTYPES, "O", "", "<f99", "|V0", "3<f4"))).encode()),
        (rb"False", b"True"),
        (rb"'shape'", b"'form'"),
        (
            rb"^.*$",
            rng.choice((b"", b"{}", b"__import__('os')", b"\xff", b"{" * 2000, b"1" * 9000)),
        ),
    )
    header = re.sub(*rng.choice(changes), header)
    version = rng.choice((b"\x01\x00", b"\x01\x00", b"\x02\x00", b"\x03\x00", b"\x09\x00"))
    size = 2 if version[0] == 1 else 4
    arrays[name] = b"\x93NUMPY" + version + len(header).to_bytes(size, "little") + header + rest


ARRAY_CHANGES = (_one_number, _one_number, _overflow, _sizes, _dtype, _form, _form, _drop, _header)
