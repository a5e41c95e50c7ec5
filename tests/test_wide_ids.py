"""Memory goes by what is there, not by the largest id: commands under a limit of address space.

The limit is what the process had mapped after the same commands on small ids, and a little more.
"""

import json
import subprocess
import sys

import pytest

MORE = 400 << 20  # bytes; a vector of 3e8 numbers of 4 bytes takes three times as much
LIMITED = """
import json, resource, sys
from click.testing import CliRunner
from xmc.cli.main import xmc

def run(*args):
    done = CliRunner().invoke(xmc, [*args, "--quiet"])
    return [done.exit_code, done.output]

def peak_of_address_space():
    with open("/proc/self/status") as file:
        (line,) = [line for line in file if line.startswith("VmPeak")]
    return int(line.split()[1]) << 10

warm, commands, more = json.load(sys.stdin)
for command in warm:
    code, output = run(*command)
    assert code == 0, output
limit = peak_of_address_space() + more
resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
print(json.dumps([run(*command) for command in commands]))
"""
FILES = {
    "labels.svm": "1,300000000 0:1 1:2\n5 1:1 2:2\n7 0:1\n",
    "largest.svm": "1,2147483646 0:1 2147483646:2\n5 1:1 2:2\n7 0:1\n",
    "features.svm": "1 0:1 2000000000:2\n2 1:1 2:2\n3 0:1\n",
    "header.txt": "3 2000000000 2000000000\n1 0:1\n2 1:1\n3 2:1\n",
    "rows.txt": "\n".join(
        ["10 100000000 5", *(f"{n % 5} {n}:1 99999{n}00:1 9999999{n}:2" for n in range(10)), ""]
    ),
    "small.svm": "1,2 0:1 1:2\n0 1:1 2:2\n1 0:1\n",
    "named.tsv": "299999999\t0.5\n",
    "one.svm": "299999999 0:1\n",
}


def commands_for(name, *settings):
    """Train on a file, ask the model about its rows, measure, shrink and look."""
    model, truth = f"{name}.model", "small.svm" if name == "small.svm" else name
    return [
        ["train", name, "--model", model, "--threads", "1", *settings],
        ["predict", model, name, "--out", f"{name}.npz", "-k", "2"],
        ["predict", model, name, "--out", f"{name}.jsonl", "--sets"],
        ["evaluate", f"{name}.npz", truth, "--train-labels", name],
        ["compress", model, f"{name}.int8", name],
        ["inspect", model],
    ]


CASES = {
    "labels": commands_for("labels.svm"),
    "labels of several trees": commands_for(
        "labels.svm", "--n-trees", "3", "--optimize", "psp", "--tail-share", "0.3"
    ),
    "largest ids": commands_for("largest.svm"),
    "features": commands_for("features.svm", "--one-vs-all"),
    "a header's claims": commands_for("header.txt"),
    "features within a budget": commands_for("rows.txt", "--memory", "1G"),
    "a forecast": [["train", "rows.txt", "--model", "none", "--dry-run"]],
    "rows held out": [["train", "labels.svm", "--model", "held", "--valid", "0.4"]],
    "truth without a width": [["evaluate", "named.tsv", "one.svm", "--train-labels", "one.svm"]],
}


@pytest.mark.skipif(sys.platform != "linux", reason="needs /proc and a limit of address space")
def test_commands_take_memory_by_what_is_there_not_by_the_largest_id(tmp_path):
    for name, content in FILES.items():
        (tmp_path / name).write_text(content)
    warm = commands_for("small.svm", "--n-trees", "2", "--optimize", "psp", "--tail-share", "0.3")
    commands = []
    for n, case in enumerate(CASES.values()):  # models of two cases may have one file's name
        commands += [[arg.replace(".svm.", f".svm{n}.") for arg in command] for command in case]
    done = subprocess.run(
        [sys.executable, "-c", LIMITED],
        cwd=tmp_path,
        input=json.dumps([warm, commands, MORE]),
        text=True,
        capture_output=True,
    )
    assert done.returncode == 0, done.stderr
    for command, (code, output) in zip(commands, json.loads(done.stdout), strict=True):
        assert code == 0, (command, output)
