"""Let the coverage of our code lead to inputs that break a reader.

    pip install atheris
    NUMBA_DISABLE_JIT=1 python tests/atheris_parsers.py NAME [FOLDER...] [-max_total_time=60 ...]

NAME is one of those in parsers.py; what follows goes to libFuzzer. Without compilation the kernels
are plain Python, whose branches count, too. What breaks the reader is written to crash-... files.
"""

from __future__ import annotations

import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import atheris

with atheris.instrument_imports(include=["xmc"]):
    import parsers

    from xmc.kernels import format, parse  # noqa: F401 - which readers import when they are called

from mutations import INTERESTING, corpus


def main(name: str, arguments: list[str]) -> None:
    """Fuzz one reader, from the kept corpus on, until libFuzzer has enough."""
    with TemporaryDirectory() as folder:
        kept, words = Path(folder) / "kept", Path(folder) / "words"
        kept.mkdir()
        for file, content in corpus(name).items():
            (kept / file).write_bytes(content)
        named = [
            "".join(f"\\x{byte:02x}" for byte in word) for word in INTERESTING if len(word) < 40
        ]
        words.write_text("".join(f'"{word}"\n' for word in named))
        path = f"{folder}/input{parsers.PARSERS[name].suffix}"

        def try_one(content: bytes) -> None:
            Path(path).write_bytes(content)
            what = parsers.outcome(name, path)
            if what.startswith("BAD"):
                raise AssertionError(what)

        libfuzzer = [sys.argv[0], *arguments, str(kept), f"-dict={words}", "-max_len=65536"]
        atheris.Setup(libfuzzer, try_one)
        atheris.Fuzz()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
