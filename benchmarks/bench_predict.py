"""Measure prediction, ours and the peers': batches, single rows, loading, memory, size.

    python benchmarks/bench_predict.py FOLDER [--sets NAME ...] [--only WORD ...] [--repeats 5]

FOLDER holds what bench_train.py takes. Trained models are kept in the work folder and used again
until settings, data or, for ours, the package's source change.
"""

import argparse

import bench
from cold_start import cold_starts
from configurations import PREDICTED, THREADS, chosen, trained

HEADS = ["", "load ms", "+1st ms", "loaded MB", "used MB", "model MB"]
HEADS += ["ms/row", f"{THREADS} threads", "query us", "p99 us", *bench.JUDGED[:3]]


def train_missing(args, data, forms):
    """Train what isn't kept; gives {configuration: why it can't be predicted with}."""
    reasons = {}
    for name in dict.fromkeys(form.trained for form in forms):
        one = trained(name)
        if one.max_labels and data.n_labels > one.max_labels:
            reasons[name] = f"left out: {data.n_labels:,} labels, more than {one.max_labels:,}"
        elif not bench.is_trained(data, one):
            bench.say(f"{data.name}, training {name}")
            try:
                bench.run(args, data, "train", one, THREADS)
            except bench.Failed as error:
                reasons[name] = str(error)
    return reasons


def measure(args, data):
    """{form: {threads: its runs, or why there are none}} on a data set."""
    forms = {form.name: form for form in chosen(PREDICTED, args.only)}
    reasons = train_missing(args, data, forms.values())
    tasks = {
        f"{form.name}, threads: {threads}": (form, threads)
        for form in forms.values()
        if form.trained not in reasons
        for threads in (1, THREADS)
    }

    def predict(task):
        form, threads = tasks[task]
        return bench.run(args, data, "predict", trained(form.trained), threads, form.settings)

    runs = bench.in_turn(args, data, list(tasks), predict)
    found = {
        name: {threads: reasons.get(form.trained) for threads in (1, THREADS)}
        for name, form in forms.items()
    }
    for task, (form, threads) in tasks.items():
        found[form.name][threads] = runs[task]
    return found


def line(name, runs):
    """A form's row of the table."""
    reason = next((found for found in runs.values() if isinstance(found, str)), None)
    if reason:
        return [name, reason]
    one, several = bench.medians(runs[1]), bench.medians(runs[THREADS])
    memory = [one[key] for key in ("load_ms", "first_ms", "loaded_mb", "resident_mb", "model_mb")]
    speed = [one["batch_ms"], several["batch_ms"], one["query_us"], one["query_p99_us"]]
    return [name, *memory, *speed, *(f"{one[key]:.2f}" for key in bench.JUDGED[:3])]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    bench.add_arguments(parser, repeats=5)
    args = parser.parse_args()
    peers = {trained(form.trained).peer for form in chosen(PREDICTED, args.only)}
    results = {
        "machine": bench.machine(),
        "threads": THREADS,
        "versions": bench.versions(args, sorted(peers)),
    }
    results["data"] = {}
    for name in bench.data_sets(args):
        data = bench.Data(args, name)
        runs = measure(args, data)
        title = (
            f"{name}: {data.Y_test.shape[0]:,} test rows, {data.n_labels:,} labels, "
            f"medians of {args.repeats}"
        )
        bench.table(title, HEADS, [line(one, runs[one]) for one in runs])
        results["data"][name] = {
            "runs": runs,
            "cold starts": cold_starts(args, data) if "xmc" in peers else {},
        }
        for what, seconds in results["data"][name]["cold starts"].items():
            outcome = seconds if isinstance(seconds, str) else f"{seconds:.2f} s"
            print(f"cold start, {what}: {outcome}", flush=True)
        bench.write(args, "predict.json", results)


if __name__ == "__main__":
    main()
