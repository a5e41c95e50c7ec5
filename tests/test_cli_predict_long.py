"""`xmc predict` on inputs that come in blocks: pipes, runs that were stopped, parts of the rows."""

import gzip
import json
import os
import shutil
import signal
import subprocess
import sys

import cli_tools as cli
import numpy as np
import pytest
import scipy.sparse as sp

from xmc import unfinished
from xmc.cli import predict
from xmc.cli.predicting import ranked_elsewhere
from xmc.errors import WorkerError
from xmc.io import blocks, read_predictions, write_matrix

FORMATS = ["tsv", "tsv.gz", "jsonl", "txt", "npz"]


@pytest.fixture
def small_blocks(monkeypatch):
    """Of some ten rows each."""
    monkeypatch.setattr(blocks, "BLOCK_BYTES", 1000)


def written(tmp_path, name, *flags):
    """The bytes of the file in which the text model puts what it says of the test texts."""
    out = tmp_path / name
    cli.done("predict", cli.text_model(), cli.home() / "test.tsv", "--out", out, *flags)
    return out.read_bytes()


def stop_after(monkeypatch, n_rows, error):
    """Let the next run end in an error once so many rows are done."""
    done = unfinished.Unfinished.done

    def stop(self, facts):
        done(self, facts)
        if facts["n_rows"] >= n_rows:
            raise error

    monkeypatch.setattr(unfinished.Unfinished, "done", stop)


@pytest.mark.parametrize("suffix", FORMATS)
def test_blocks_write_what_one_block_does(tmp_path, monkeypatch, suffix):
    whole = written(tmp_path, f"whole.{suffix}")
    monkeypatch.setattr(blocks, "BLOCK_BYTES", 1000)
    assert written(tmp_path, f"pred.{suffix}") == whole


def test_sets_of_blocks_are_as_wide_as_their_largest(small_blocks):
    asked = ("predict", cli.model(), cli.home() / "X.tst.npz", "--threshold", 0.1, "--json", "-")
    facts = json.loads(cli.done(*asked).stdout)
    assert facts["k"] == max(len(row["labels"]) for row in facts["predictions"])
    assert facts["n_rows"] == len(facts["predictions"]) == cli.N_TEST


def test_a_terminal_numbers_the_rows_of_all_blocks(monkeypatch, small_blocks):
    monkeypatch.setattr("xmc.cli.predict.on_terminal", lambda: True)
    shown = cli.done("predict", cli.model(), cli.home() / "X.tst.npz", "-k", 1, "--quiet").stdout
    assert shown.splitlines()[::2] == [f"row {row}" for row in range(cli.N_TEST)]


def test_left_out_features_of_all_blocks_are_told_once(tmp_path, monkeypatch):
    rows = cli.write_lines(tmp_path / "rows.svm", " 0:1 5:2 14248:9", " 7:1 14248:1 15000:1")
    monkeypatch.setattr(blocks, "BLOCK_BYTES", 1)
    said = cli.done("predict", cli.model(), rows).stderr
    assert said == "predict: features that training lacks: 2 of 5; they are ignored\n"


@pytest.mark.parametrize("format", ["text", "tsv"])
def test_a_line_is_answered_before_the_next_one_comes(format):
    asked = ("predict", cli.text_model(), "-", "--format", format, "--quiet")
    with cli.start(*asked, cwd=cli.home(), stdin=subprocess.PIPE) as process:
        for text in ("a web browser", "a game"):
            process.stdin.write(f"{text}\n" if format == "text" else f"a\t{text}\n")
            process.stdin.flush()
            typed = cli.done("predict", cli.text_model(), "--text", text, "--json", "-").stdout
            best = json.loads(typed)["predictions"][0]["labels"][0]
            answer = process.stdout.readline().split("\t")
            assert (answer[0], float(answer[1])) == (best["id"], best["score"])
        process.stdin.close()
        assert process.stdout.read() == "" and process.wait() == 0


def test_a_bad_line_ends_a_stream_after_the_answers_before_it(monkeypatch):
    monkeypatch.setattr(blocks, "BLOCK_BYTES", 1)
    result = cli.run("predict", cli.text_model(), "-", "--format", "tsv", stdin="a\tgame\nno tab\n")
    assert (result.exit_code, len(result.stdout.splitlines())) == (1, 1)
    assert result.stderr == "stdin:2: expected id,id<TAB>text, got 'no tab'\n"


@pytest.mark.parametrize("suffix", FORMATS)
def test_a_stopped_run_goes_on_and_ends_in_the_same_bytes(
    tmp_path, monkeypatch, small_blocks, suffix
):
    whole = written(tmp_path, f"whole.{suffix}")
    out = tmp_path / f"pred.{suffix}"
    asked = ("predict", cli.text_model(), cli.home() / "test.tsv", "--out", out, "--resume")
    with monkeypatch.context() as patched:
        stop_after(patched, 60, KeyboardInterrupt())
        stopped = cli.run(*asked)
    said = f"interrupted; the same command goes on with what {out}.part keeps"
    assert (stopped.exit_code, stopped.stderr.splitlines()[-1]) == (130, said)
    assert sorted(os.listdir(tmp_path)) == [f"pred.{suffix}.part", f"whole.{suffix}"]
    answered, features = [], predict.features_for

    def count(model, dataset, *args):
        answered.append(dataset.n_rows)
        return features(model, dataset, *args)

    monkeypatch.setattr(predict, "features_for", count)
    finished = cli.done(*asked, "--json", "-")
    assert 0 < sum(answered) <= cli.N_TEST - 60
    assert finished.stderr.startswith(f"predict: goes on with what {out}.part keeps\n")
    assert out.read_bytes() == whole
    assert json.loads(finished.stdout)["n_rows"] == cli.N_TEST
    assert sorted(os.listdir(tmp_path)) == [f"pred.{suffix}", f"whole.{suffix}"]


def test_a_killed_run_goes_on(tmp_path, small_blocks):
    """What came after the last block that was written down is cut off."""
    code = (
        "import os, signal\n"
        "from xmc import checkpoint, unfinished\n"
        "from xmc.io import blocks\n"
        "blocks.BLOCK_BYTES, checkpoint.EVERY = 1000, 0\n"
        "done = unfinished.Unfinished.done\n"
        "def die(self, facts):\n"
        "    if facts['n_rows'] < 60:\n"
        "        return done(self, facts)\n"
        "    [stream.flush() for stream in self._streams.values()]\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
        "unfinished.Unfinished.done = die\n"
    )
    out, test = tmp_path / "pred.tsv", cli.home() / "test.tsv"
    asked = ["predict", str(cli.text_model()), str(test), "--out", str(out), "--resume"]
    killed = subprocess.run([sys.executable, "-c", code + cli.MAIN, *asked], check=False)
    assert killed.returncode == -signal.SIGKILL
    kept = (tmp_path / "pred.tsv.part" / "lines").read_bytes()
    assert kept.count(b"\n") >= 60 and not out.exists()
    cli.done(*asked)
    assert out.read_bytes() == written(tmp_path, "whole.tsv")
    assert out.read_bytes().startswith(kept)
    assert sorted(os.listdir(tmp_path)) == ["pred.tsv", "whole.tsv"]


def test_a_full_disk_keeps_what_is_done(tmp_path, monkeypatch, small_blocks):
    out, test = tmp_path / "pred.tsv", cli.home() / "test.tsv"
    asked = ("predict", cli.text_model(), test, "--out", out, "--resume", "--quiet")
    with monkeypatch.context() as patched:
        stop_after(patched, 60, OSError(28, "No space left on device"))
        stopped = cli.run(*asked)
    line = f"{out}: can't be written: No space left on device\n"
    assert (stopped.exit_code, stopped.stderr) == (1, line)
    cli.done(*asked)
    assert out.read_bytes() == written(tmp_path, "whole.tsv")


@pytest.fixture
def kept(tmp_path, monkeypatch, small_blocks):
    """A command that was stopped, as a list, in whose folder there is a copy of the test texts."""
    shutil.copy(cli.home() / "test.tsv", tmp_path)
    asked = ["predict", cli.text_model(), tmp_path / "test.tsv", "--out", tmp_path / "pred.tsv"]
    with monkeypatch.context() as patched:
        stop_after(patched, 60, KeyboardInterrupt())
        cli.run(*asked, "--resume")
    return [*asked, "--resume"]


@pytest.mark.parametrize(
    ("flags", "how"),
    [
        (["-k", 7], "with k=5, this one has 7"),
        (["--threshold", 0.5], "with k=5, this one has None"),
        (["--shard", "1/2"], "with shard=None, this one has [1, 2]"),
        (["--out-format", "jsonl"], "with format='tsv', this one has 'jsonl'"),
    ],
)
def test_other_settings_are_refused(tmp_path, kept, flags, how):
    line = cli.refusal(tmp_path, *kept, *flags)
    part = tmp_path / "pred.tsv.part"
    advice = "give another --out, or remove this one"
    assert line == f"{part}: keeps a prediction {how}; {advice}"


def test_another_model_is_refused(tmp_path, kept):
    line = cli.refusal(tmp_path, kept[0], cli.model(), *kept[2:])
    assert "pred.tsv.part: keeps a prediction on other model; " in line


def test_other_rows_are_refused(tmp_path, kept):
    test = tmp_path / "test.tsv"
    content = test.read_bytes()
    test.write_bytes(content + content)
    line = cli.refusal(tmp_path, *kept)
    assert "pred.tsv.part: keeps a prediction on other rows; " in line
    test.write_bytes(content.replace(b"e", b"o"))
    line = cli.refusal(tmp_path, *kept)
    assert (
        line == f"{test}: has other rows than those that are done; remove {tmp_path}/pred.tsv.part"
    )


def test_what_is_kept_and_was_cut_is_refused(tmp_path, kept):
    lines = tmp_path / "pred.tsv.part" / "lines"
    size = lines.stat().st_size
    lines.write_bytes(lines.read_bytes()[:-1])
    line = cli.refusal(tmp_path, *kept)
    assert line == f"{lines}: expected {size:,} bytes, got {size - 1:,}; remove {lines.parent}"


def test_a_run_without_errors_keeps_nothing_of_one_that_failed_at_once(tmp_path):
    rows = cli.write_lines(tmp_path / "bad.tsv", "no tab")
    line = cli.refusal(
        tmp_path, "predict", cli.text_model(), rows, "--out", tmp_path / "p.tsv", "--resume"
    )
    assert line == f"{rows}:1: expected id,id<TAB>text, got 'no tab'"


@pytest.mark.parametrize("n_shards", [1, 4, 7])
@pytest.mark.parametrize("given", ["test.tsv", "notes.txt.gz", "rows.svm", "rows.txt", "X.npz"])
def test_every_row_is_in_one_shard(tmp_path, small_blocks, given, n_shards):
    model, path = cli.model(), tmp_path / given
    X = sp.load_npz(cli.home() / "X.tst.npz")[:40]
    if given == "X.npz":
        write_matrix(path, X)
    elif given.startswith("rows"):
        write_matrix(tmp_path / "X.npz", X)
        cli.done("convert", tmp_path / "X.npz", path, "--quiet")
    else:
        model = cli.text_model()
        lines = (cli.home() / "test.tsv").read_bytes().splitlines(keepends=True)[:40]
        texts = b"".join(line.partition(b"\t")[2] for line in lines)
        path.write_bytes(b"".join(lines) if given == "test.tsv" else gzip.compress(texts))
    found = []
    for number in range(1, n_shards + 1):
        out = tmp_path / f"{number}.tsv"
        cli.done("predict", model, path, "--shard", f"{number}/{n_shards}", "--out", out)
        found.append(out.read_text())
    assert "".join(found) == cli.done("predict", model, path, "--quiet").stdout
    sizes = [part.count("\n") for part in found]
    assert max(sizes) - min(sizes) <= 1


def test_a_header_of_names_is_no_row_of_a_shard(tmp_path):
    rows = cli.write_lines(tmp_path / "a.tsv", "labels\ttext", "a\tgame", "b\tbrowser")
    parts = [
        cli.done("predict", cli.text_model(), rows, "--shard", shard, "--quiet").stdout
        for shard in ("1/2", "2/2")
    ]
    assert "".join(parts) == cli.done("predict", cli.text_model(), rows, "--quiet").stdout


def test_shards_of_matrices_are_stacked(tmp_path):
    outs = [tmp_path / f"{n}.npz" for n in (1, 2)]
    for n, out in enumerate(outs, 1):
        rows = cli.home() / "X.tst.npz"
        cli.done("predict", cli.named_model(), rows, "--shard", f"{n}/2", "--out", out, "--quiet")
    P = sp.vstack([sp.load_npz(out) for out in outs], format="csr")
    expected = read_predictions(cli.predictions("npz")).P
    assert P.shape == expected.shape
    np.testing.assert_array_equal(P.indices, expected.indices)


@pytest.mark.parametrize("shard", ["17/16", "0/16"])
def test_a_shard_out_of_range_is_refused(tmp_path, shard):
    line = cli.refusal(tmp_path, "predict", "model", "X.npz", "--shard", shard)
    assert line == f"--shard: expected 1/16 to 16/16, got {shard}"


def test_more_shards_than_rows_are_refused(tmp_path):
    rows = cli.write_lines(tmp_path / "notes.txt", "game", "browser")
    line = cli.refusal(tmp_path, "predict", cli.text_model(), rows, "--shard", "1/3")
    assert line == f"{rows}: expected at least a row for each of 3 shards, got 2 rows"


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["X.npz", "--shard", "3"], "expected a part and how many there are, as 3/16, got '3'"),
        (["-", "--format", "text", "--shard", "1/2"], "--shard goes with a FILE, as stdin"),
        (["--text", "a", "--shard", "1/2"], "--shard goes with a FILE, as stdin"),
        (["-", "--format", "text", "--resume", "--out", "a.tsv"], "--resume goes with a FILE, as"),
        (["X.npz", "--resume"], "--resume goes with --out, a file"),
        (["X.npz", "--resume", "--out", "-", "--out-format", "tsv"], "--resume goes with --out, a"),
    ],
)
def test_misuse(args, message):
    assert message in cli.misuse("predict", "model", *args)


def test_a_pipe_can_not_be_read_again(tmp_path):
    os.mkfifo(tmp_path / "pipe.tsv")
    result = cli.run("predict", "model", tmp_path / "pipe.tsv", "--shard", "1/2", "--quiet")
    assert result.stderr == (
        f"{tmp_path / 'pipe.tsv'}: expected a file for --shard, which is read again, got a pipe\n"
    )


@pytest.mark.parametrize("source", ["X.tst.npz", "test.tsv", "rows.svm"])
def test_workers_answer_as_this_process_does(tmp_path, small_blocks, source):
    model = cli.text_model() if source == "test.tsv" else cli.model()
    path = cli.home() / source
    if source == "rows.svm":
        path = tmp_path / source
        cli.done("convert", cli.home() / "X.tst.npz", cli.home() / "Y.tst.npz", path, "--quiet")
    for name in ("threads", "processes"):
        how = "--scheduler", name, "--threads", 2, "--out", tmp_path / f"{name}.jsonl"
        cli.done("predict", model, path, *how, "--quiet")
    here, there = ((tmp_path / f"{n}.jsonl").read_bytes() for n in ("threads", "processes"))
    assert here == there
    assert [entry for entry in os.listdir(tmp_path) if entry.startswith(".xmc")] == []


def test_a_worker_that_sees_another_model_says_so(tmp_path):
    with pytest.raises(WorkerError, match="a worker sees another model there"):
        ranked_elsewhere(str(cli.model()), "0" * 64, (), ["a text"], {"k": 1})
