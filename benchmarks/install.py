"""Make a virtual environment for each peer, FOLDER/PEER; for all peers if none is named.

    python benchmarks/install.py FOLDER [PEER ...]

Only the standard library is needed.
"""

import argparse
import subprocess
import sys
import venv
from pathlib import Path
from typing import NamedTuple


class Packages(NamedTuple):
    """What an environment is made of."""

    resolved: list[str]  # with whatever they ask for
    alone: list[str] = []  # without: they ask for far more than is used here


# libpecos wants numpy < 2 and asks for PyTorch, which its linear models never import.
# LibMultiLabel's linear part asks for liblinear-multicore, which installs the same module as
# liblinear-official: they can't share an
# environment.
PEERS = {
    "pecos": Packages(["numpy<2", "scipy<1.14", "scikit-learn"], ["libpecos==1.2.8"]),
    "omikuji": Packages(["numpy", "scipy", "omikuji==0.5.2"]),
    "napkinxc": Packages(["numpy", "scipy", "psutil", "napkinxc==0.7.2"]),
    "libmultilabel": Packages(
        ["numpy", "scipy", "scikit-learn", "pandas", "numba", "psutil", "tqdm"]
        + ["sparsekmeans==0.3.1", "liblinear-multicore==2.50.0"],
        ["libmultilabel==0.10.0"],
    ),
    "liblinear": Packages(["numpy", "scipy", "liblinear-official==2.50.0"]),
    "xcolumns": Packages(["numpy", "scipy", "xcolumns==0.0.2"]),
}


def install(home, packages):
    """Make the environment unless it is there, and install what it lacks."""
    python = home / "bin" / "python"
    if not python.exists():
        venv.create(home, with_pip=True)
    pip = [python, "-m", "pip", "install", "-qq", "--disable-pip-version-check"]
    subprocess.run([*pip, *packages.resolved], check=True)
    if packages.alone:
        subprocess.run([*pip, "--no-deps", *packages.alone], check=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("peers", nargs="*", metavar="PEER", help=", ".join(PEERS))
    args = parser.parse_args()
    unknown = sorted(set(args.peers) - set(PEERS))
    if unknown:
        parser.error(f"expected peers among {', '.join(PEERS)}, got {', '.join(unknown)}")
    failed = []
    for peer in args.peers or PEERS:
        print(f"{peer}: {args.folder / peer}", flush=True)
        try:
            install(args.folder / peer, PEERS[peer])
        except subprocess.CalledProcessError:
            failed.append(peer)
    if failed:
        sys.exit(
            f"install: could not install {', '.join(failed)}; the benchmarks' tables will say so"
        )


if __name__ == "__main__":
    main()
