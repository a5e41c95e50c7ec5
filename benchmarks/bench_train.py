"""Measure training, ours and the peers': time, memory, model size and accuracy.

    python benchmarks/bench_train.py FOLDER [--sets NAME ...] [--only WORD ...] [--repeats 3]

FOLDER holds a folder per data set: X.trn.npz, Y.trn.npz, X.tst.npz, Y.tst.npz, or train.tsv.gz and
test.tsv.gz.
"""

import argparse

import bench
from configurations import SAMPLED, THREADS, TRAINED, chosen
from objective import objective, weights_of_liblinear, weights_of_ours

HEADS = ["", "train s", "CPU s", "x wall", "x CPU", "peak MB", "before", "model MB", *bench.JUDGED]


def measure(args, data):
    """{configuration: its runs, or why there are none} on a data set."""
    configurations = {one.name: one for one in chosen(TRAINED, args.only)}
    too_large = {
        name: f"left out: {data.n_labels:,} labels, more than {one.max_labels:,}"
        for name, one in configurations.items()
        if one.max_labels and data.n_labels > one.max_labels
    }
    names = [name for name in configurations if name not in too_large]
    runs = bench.in_turn(
        args,
        data,
        names,
        lambda name: bench.run(args, data, "train", configurations[name], THREADS),
    )
    return {name: too_large.get(name) or runs[name] for name in configurations}


def line(name, runs):
    """A configuration's row of the table."""
    if isinstance(runs[name], str):
        return [name, runs[name]]
    found = bench.medians(runs[name])
    rival = next(one.rival for one in TRAINED if one.name == name)
    ratios = [None, None]
    if rival and isinstance(runs.get(rival), list):
        ours = bench.medians(runs[rival])
        ratios = [found[key] / ours[key] for key in ("train_s", "train_cpu_s")]
    judged = [f"{found[key]:.2f}" if key in found else "-" for key in bench.JUDGED]
    memory = [None if found["share"] < 1 else found[key] for key in ("peak_mb", "before_mb")]
    return [
        name,
        found["train_s"],
        found["train_cpu_s"],
        *ratios,
        *memory,
        found.get("model_mb"),
        *judged,
    ]


def compare_objectives(args, data, runs):
    """What one-vs-all minimises, by solver, summed over the labels that liblinear was timed on."""
    if not isinstance(runs.get("liblinear"), list) or not isinstance(
        runs.get("xmc-one-vs-all"), list
    ):
        return None
    try:
        bench.run(args, data, "train", SAMPLED, THREADS)
    except bench.Failed as error:
        bench.say(f"{data.name}, {SAMPLED.name}: {error}")
        return None
    liblinear = next(one for one in TRAINED if one.name == "liblinear")
    weights = {
        "xmc": weights_of_ours(bench.model_of(data, SAMPLED)),
        "liblinear": weights_of_liblinear(bench.model_of(data, liblinear)),
    }
    return {solver: objective(data.folder, W) for solver, W in weights.items()}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    bench.add_arguments(parser, repeats=3)
    args = parser.parse_args()
    peers = {one.peer for one in chosen(TRAINED, args.only)}
    results = {
        "machine": bench.machine(),
        "threads": THREADS,
        "versions": bench.versions(args, sorted(peers)),
    }
    results["data"] = {}
    for name in bench.data_sets(args):
        data = bench.Data(args, name)
        runs = measure(args, data)
        objectives = compare_objectives(args, data, runs)
        medians = {
            one: found if isinstance(found, str) else bench.medians(found)
            for one, found in runs.items()
        }
        results["data"][name] = {"medians": medians, "objectives": objectives, "runs": runs}
        title = (
            f"{name}: {data.Y.shape[0]:,} rows, {data.n_labels:,} labels, {THREADS} threads, "
            f"medians of {args.repeats}"
        )
        bench.table(title, HEADS, [line(one, runs) for one in runs])
        if objectives:
            print(
                "objective, one-vs-all:",
                *(f"{solver} {value:,.2f}" for solver, value in objectives.items()),
            )
        bench.write(args, "train.json", results)


if __name__ == "__main__":
    main()
