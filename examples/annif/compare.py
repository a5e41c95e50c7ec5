"""Compare the xmc backend with Annif's own on the same documents, as a Markdown table.

    python compare.py train.tsv.gz test.tsv.gz vocabulary.tsv.gz FOLDER

Documents are lines of `id,id<TAB>text`, those of the vocabulary `id<TAB>language<TAB>name`; .gz or
not. FOLDER, which must not exist, gets all that Annif reads and writes. Everything goes through the
command `annif`. Weights of ensembles are chosen on training rows that no project trains on.
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import random
import re
import subprocess
import sys
import time
from collections import defaultdict
from pathlib import Path

HERE = Path(__file__).resolve().parent
ANNIF = Path(sys.executable).with_name("annif")
METRICS = ["F1@5", "NDCG", "NDCG@5", "Precision@1", "Precision@5"]
TREES = "cluster_balanced=False\ncluster_k=100\nmax_depth=3\nngram={ngram}\nmin_df=2"
PROJECTS = {
    "omikuji": "backend=omikuji\n" + TREES,
    "mllm": "backend=mllm",
    "xmc": "backend=xmc\n" + TREES,
    "xmc-flat": "backend=xmc\nmax_depth=1\nngram={ngram}\nmin_df=2",
}
ENSEMBLES = {f"{name}+mllm": f"{name},mllm" for name in ("omikuji", "xmc", "xmc-flat")}


class Workplace:
    """A folder in which Annif works."""

    def __init__(self, folder: Path, args: argparse.Namespace):
        self.folder, self.args = folder, args
        self.shared = f"language={args.language}\nanalyzer={args.analyzer}\nvocab=subjects\n"
        own = {
            "ANNIF_CONFIG": "xmc_backend.Config",
            "ANNIF_DATADIR": str(folder / "data"),
            "ANNIF_PROJECTS": str(folder / "projects.cfg"),
            "PYTHONPATH": os.pathsep.join(filter(None, [str(HERE), os.environ.get("PYTHONPATH")])),
        }
        self.environment = os.environ | own

    def configure(self, projects: dict[str, str]) -> None:
        """Write the projects that Annif knows from now on."""
        sections = [
            f"[{name}]\nname={name}\n{self.shared}{settings.format(ngram=self.args.ngram)}\n"
            for name, settings in projects.items()
        ]
        (self.folder / "projects.cfg").write_text("\n".join(sections), encoding="utf-8")

    def annif(self, *words: object) -> str:
        """What the command says on stdout; the rest goes to annif.log."""
        command = [str(ANNIF), *map(str, words)]
        print("$", " ".join(["annif", *command[1:]]), file=sys.stderr, flush=True)
        with open(self.folder / "annif.log", "a", encoding="utf-8") as log:
            done = subprocess.run(
                command,
                env=self.environment,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                check=True,
            )
        return done.stdout

    def train(self, project: str) -> float:
        """Seconds of `annif train`, all told."""
        started = time.perf_counter()
        self.annif("train", project, self.folder / "train.tsv", "-j", self.args.jobs)
        return time.perf_counter() - started

    def megabytes(self, project: str) -> float:
        """Size of a project without the training data that it keeps for `--cached`."""
        files = [path for path in (self.folder / "data/projects" / project).rglob("*")]
        own = [path for path in files if path.is_file() and "-train" not in path.name]
        return sum(path.stat().st_size for path in own) / 1e6

    def weights(self, ensemble: str) -> str:
        """The sources of an ensemble with the weights that suit held-out documents best."""
        held_out = self.folder / "held-out.tsv"
        told = self.annif("hyperopt", ensemble, held_out, "-T", self.args.trials, "-m", "NDCG")
        return re.findall("^sources=(.*)$", told, re.MULTILINE)[0]

    def measured(self, project: str) -> dict[str, float]:
        """The metrics of `annif eval` on the test documents."""
        path = self.folder / "metrics.json"
        asked = [word for metric in METRICS for word in ("-m", metric)]
        self.annif("eval", project, self.folder / "test.tsv", *asked, "-M", path)
        return json.loads(path.read_text(encoding="utf-8"))


def main() -> None:
    args = arguments()
    args.folder.mkdir(parents=True)
    place = Workplace(args.folder.resolve(), args)
    write_documents(args)
    write_vocabulary(args.vocabulary, args.folder / "vocabulary.ttl", args.language)
    sources = {name: f"backend=ensemble\nsources={own}" for name, own in ENSEMBLES.items()}
    place.configure(PROJECTS | sources)
    place.annif("load-vocab", "subjects", args.folder / "vocabulary.ttl")
    seconds = {project: place.train(project) for project in PROJECTS}
    sources = {name: f"backend=ensemble\nsources={place.weights(name)}" for name in ENSEMBLES}
    place.configure(PROJECTS | sources)
    print(f"\n| project | {' | '.join(METRICS)} | seconds | MB |")
    print("|---" * (len(METRICS) + 3) + "|")
    for name in (*PROJECTS, *ENSEMBLES):
        found = place.measured(name)
        parts = [name] if name in PROJECTS else ENSEMBLES[name].split(",")
        cells = [f"{100 * found[metric]:.1f}" for metric in METRICS]
        cells += [f"{sum(map(seconds.get, parts)):.0f}", f"{sum(map(place.megabytes, parts)):.0f}"]
        print(f"| {name} | {' | '.join(cells)} |", flush=True)
    for name, own in sources.items():
        print(f"\n{name}: {own.partition('sources=')[2]}")


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    for name in ("train", "test", "vocabulary", "folder"):
        parser.add_argument(name, type=Path)
    parser.add_argument("--rows", type=int, default=10_000, help="training documents")
    parser.add_argument("--held-out", type=int, default=1_000, help="documents that choose weights")
    parser.add_argument("--test-rows", type=int, default=2_000, help="test documents")
    parser.add_argument("--seed", type=int, default=0, help="which documents are taken")
    parser.add_argument("--language", default="de", help="of the projects")
    parser.add_argument("--analyzer", default="snowball(german)", help="of the projects")
    parser.add_argument("--ngram", type=int, default=2, help="of omikuji and xmc")
    parser.add_argument("--jobs", type=int, default=0, help="threads of training, 0 for all")
    parser.add_argument("--trials", type=int, default=20, help="weights that ensembles try")
    return parser.parse_args()


def lines(path: Path) -> list[str]:
    """The lines of a file, which may be gzip."""
    opened = gzip.open if path.suffix == ".gz" else open
    with opened(path, "rt", encoding="utf-8") as file:
        return file.read().splitlines()


def write_documents(args: argparse.Namespace) -> None:
    """Samples of the documents as Annif reads them: text<TAB><uri> <uri>."""
    chance = random.Random(args.seed)
    train = chance.sample(lines(args.train), args.rows + args.held_out)
    test = chance.sample(lines(args.test), args.test_rows)
    named = {"train": train[: args.rows], "held-out": train[args.rows :], "test": test}
    for name, documents in named.items():
        with open(args.folder / f"{name}.tsv", "w", encoding="utf-8") as file:
            for document in documents:
                ids, _, text = document.partition("\t")
                uris = " ".join(f"<{own}>" for own in ids.split(","))
                print(" ".join(text.split()), uris, sep="\t", file=file)


def write_vocabulary(vocabulary: Path, path: Path, language: str) -> None:
    """The vocabulary in SKOS, its first name of the language, or else of another, preferred.

    All names are said to be in that one language: Annif looks for no others in a project.
    """
    names: dict[str, list[str]] = defaultdict(list)
    rows = [line.split("\t") for line in lines(vocabulary)]
    for own, _, name in sorted(rows, key=lambda row: row[1] != language):
        names[own].append(name)
    with open(path, "w", encoding="utf-8") as file:
        print("@prefix skos: <http://www.w3.org/2004/02/skos/core#> .", file=file)
        for own, several in names.items():
            told = [json.dumps(name, ensure_ascii=False) + f"@{language}" for name in several]
            rest = "".join(f" ; skos:altLabel {name}" for name in told[1:])
            print(f"<{own}> a skos:Concept ; skos:prefLabel {told[0]}{rest} .", file=file)


if __name__ == "__main__":
    main()
