"""`xmc serve` as a process: many clients, signals, workers, replaced folders."""

import json
import logging
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cli_tools as cli
import pytest
from cli_tools import MAIN
from serving_tools import TEXTS, colours, numbers, serving, trained

from xmc import load
from xmc.cli import serve as cli_serve


@pytest.fixture
def folder(tmp_path):
    shutil.copytree(colours(), tmp_path / "model")
    return tmp_path


def expected(model, text, k):
    """What the model says, as the service writes it."""
    return [(i, name, pytest.approx(score, rel=1e-6)) for i, name, score in model.suggest(text, k)]


def labels(answer):
    return [tuple(label.values()) for label in answer.json["labels"]]


def test_two_hundred_clients_at_once_each_get_the_answer_to_their_own_text(folder):
    questions = [(f"{text} {n}", 1 + n % 5) for n in range(14) for text in TEXTS][:200]
    with serving(folder, "model", "--quiet") as server, ThreadPoolExecutor(200) as clients:
        answers = list(
            clients.map(
                lambda question: server.ask(
                    "POST", "/predict", {"text": question[0], "k": question[1]}
                ),
                questions,
            )
        )
        counted = server.ask("GET", "/metrics").body.decode()
    model = load(folder / "model")
    assert int(re.search(r'batches_total{model="model"} (\d+)', counted)[1]) < 200
    assert [labels(answer) for answer in answers] == [expected(model, *own) for own in questions]


@pytest.mark.parametrize(("workers", "asked"), [(1, signal.SIGTERM), (2, signal.SIGINT)])
def test_asked_to_end_it_answers_what_has_come_and_exits_with_0(folder, workers, asked):
    body = json.dumps({"text": "a red plum"}).encode()
    head = f"POST /predict HTTP/1.1\r\nHost: a\r\nContent-Length: {len(body)}\r\n"
    head += "Content-Type: application/json\r\nConnection: close\r\n\r\n"
    with serving(folder, "model", "--workers", workers) as server:
        with socket.create_connection(("127.0.0.1", server.port), timeout=30) as client:
            client.sendall(head.encode() + body[:5])
            time.sleep(0.5)
            server.process.send_signal(asked)
            time.sleep(0.5)
            client.sendall(body[5:])
            answer = b"".join(iter(lambda: client.recv(1000), b""))
        assert answer.startswith(b"HTTP/1.1 200 OK") and b'"labels":[' in answer
        assert "Traceback" not in server.log()
        assert server.process.returncode == 0


def children(process):
    """The processes that a process has started."""
    found = os.popen(f"ps -o pid= --ppid {process.pid}").read().split()
    return list(map(int, found))


def until(condition):
    """Wait until something is so, for a while."""
    for _ in range(600):
        if condition():
            return
        time.sleep(0.05)
    raise AssertionError("it didn't come so far")


@pytest.mark.skipif(sys.platform != "linux", reason="ps as Linux has it")
def test_a_worker_that_dies_is_replaced_and_counters_go_on(folder):
    with serving(folder, "model", "--workers", 2) as server:
        until(lambda: len(children(server.process)) == 2)
        for _ in range(10):
            assert server.ask("POST", "/predict", {"text": "a red plum"}).status == 200
        victim = children(server.process)[0]
        os.kill(victim, signal.SIGKILL)
        until(lambda: len(set(children(server.process)) - {victim}) == 2)
        assert server.ask("POST", "/predict", {"text": "a red plum"}).status == 200
        text = server.ask("GET", "/metrics").body.decode()
        assert 'xmc_items_total{model="model"} 11' in text.splitlines()
        server.process.terminate()
        assert "ended (-9), another one takes its place" in server.log()


# Moments at which a signal once was lost, so that the service went on for ever.
MOMENTS = {
    "before a worker listens to signals by itself": """
run = uvicorn.Server.run
def told(server, sockets):
    signal.raise_signal(signal.{asked})
    run(server, sockets)
uvicorn.Server.run = told
""",
    "before another worker is started": """
block, asked = signal.pthread_sigmask, []
def told(how, numbers):
    asked.append(how)
    if asked.count(signal.SIG_BLOCK) == 2 and how == signal.SIG_BLOCK:
        os.kill(os.getpid(), signal.{asked})
    return block(how, numbers)
signal.pthread_sigmask = told
""",
}


@pytest.mark.parametrize("asked", ["SIGINT", "SIGTERM", "SIGHUP"])
@pytest.mark.parametrize(("moment", "workers"), [*zip(MOMENTS, (1, 2), strict=True)])
def test_the_end_may_be_asked_for_while_a_worker_starts(folder, moment, workers, asked):
    setup = "import os, signal, uvicorn" + MOMENTS[moment].format(asked=asked)
    command = [sys.executable, "-c", setup + MAIN, "serve", "model", "--port", "0"]
    done = subprocess.run(
        [*command, "--workers", str(workers)], cwd=folder, stderr=subprocess.PIPE, timeout=60
    )
    assert done.returncode == 0, done.stderr.decode()


@pytest.mark.skipif(sys.platform != "linux", reason="ps as Linux has it")
def test_workers_map_one_file_and_end_when_their_parent_is_gone(folder):
    with serving(folder, "model", "--workers", 2) as server:
        until(lambda: len(children(server.process)) == 2)
        workers = children(server.process)
        mapped = [Path(f"/proc/{worker}/maps").read_text() for worker in workers]
        assert all(f"{folder}/model/arrays.safetensors" in own for own in mapped)
        server.process.kill()
        until(lambda: not any(os.path.exists(f"/proc/{worker}") for worker in workers))


@pytest.mark.parametrize("workers", [1, 2])
def test_no_request_is_lost_while_the_folder_is_replaced(folder, workers):
    models = [trained(), trained(C=100.0)]
    expected = {str(own.suggest("a red plum", 3)[0].score)[:6] for own in models}
    done, found, faults = threading.Event(), set(), []

    def asking(server):
        while not done.is_set():
            answer = server.ask("POST", "/predict", {"text": "a red plum", "k": 3})
            if answer.status != 200:
                faults.append(answer)
            found.add(str(answer.json["labels"][0]["score"])[:6])

    with serving(folder, "model", "--quiet", "--workers", workers) as server:
        others = [threading.Thread(target=asking, args=(server,)) for _ in range(4)]
        for other in others:
            other.start()
        try:
            for n in range(4):
                time.sleep(0.7)
                models[(n + 1) % 2].save(folder / "model", overwrite=True)
            until(lambda: found == expected)
        finally:
            done.set()
            for other in others:
                other.join()
    assert faults == [] and found == expected


def test_a_broken_folder_is_one_line_of_the_log_and_the_old_model_goes_on(folder):
    with serving(folder, "model", "--quiet") as server:
        before = server.ask("POST", "/predict", {"text": "a red plum"}).json
        (folder / "model").rename(folder / "away")
        (folder / "model").mkdir()
        time.sleep(2.5)
        assert server.ask("POST", "/predict", {"text": "a red plum"}).json == before
        server.process.terminate()
        (line,) = server.log().splitlines()
    assert line.startswith("serve: model: the old model goes on, as the new one fails: ")


def test_it_says_where_it_listens_and_logs_a_line_for_each_request(folder):
    with serving(folder, "model", "--annif") as server:
        told = json.loads((folder / "listening.json").read_text())
        assert told == {"url": f"http://127.0.0.1:{server.port}/", "models": ["model"]}
        server.ask("GET", "/v1/projects", **{"X-Request-ID": "mine"})
        server.ask("GET", "/a%0Ab")
        server.process.terminate()
        lines = [line for line in server.log().splitlines() if "compiling" not in line]
    assert lines[0] == f"serve: model: {told['url']}"
    assert lines[1].startswith("serve: GET /v1/projects 200 ") and lines[1].endswith(" ms mine")
    assert lines[2].startswith("serve: GET /a\\nb 404 ")
    assert len(lines) == 3


def test_a_port_that_is_taken_is_one_line(folder):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        line = cli.refusal(folder, "serve", folder / "model", "--port", port)
    expected = f"serve: can't listen on 127.0.0.1, port {port}: Address already in use"
    assert line.startswith(expected)


def test_a_host_that_is_unknown_is_one_line(tmp_path):
    line = cli.refusal(tmp_path, "serve", "model", "--host", "nowhere.invalid")
    assert line.startswith("serve: can't listen on nowhere.invalid, port 8000: ")


@pytest.mark.parametrize("workers", [1, 2])
def test_what_is_no_model_is_one_line(tmp_path, workers):
    args = "serve", tmp_path / "none", "--port", 0, "--workers", workers
    process = cli.start(*args, "--quiet", cwd=tmp_path)
    _, said = process.communicate(timeout=60)
    (line,) = said.splitlines()
    assert line.removeprefix("serve: ").endswith(
        "expected a folder with a model.json, got nothing there"
    )
    assert process.returncode == 1 and list(tmp_path.iterdir()) == []


def test_feedback_that_couldn_t_be_kept_is_one_line(tmp_path):
    line = cli.refusal(tmp_path, "serve", "model", "--feedback", tmp_path)
    assert line == f"{tmp_path}: expected a file that can be written to"


def test_folders_of_one_name_are_one_line(tmp_path):
    line = cli.refusal(tmp_path, "serve", "a/model", "b/model")
    assert line == "serve: expected folders of different names, got model twice"


def test_without_a_folder_it_is_a_usage_error():
    assert cli.misuse("serve") == "Error: Missing argument 'DIR...'."


def test_without_the_extra_one_line_names_it(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    line = cli.refusal(tmp_path, "serve", "model")
    assert line == "serve: serving needs starlette and uvicorn: pip install xmc-trees[serve]"


def test_several_models_are_told_apart_and_feedback_lies_beside_each(folder):
    shutil.copytree(numbers(), folder / "numbers")
    with serving(folder, "model/", "numbers", "--quiet") as server:
        rows = {"rows": [{"0": 1}], "model": "numbers", "k": 1}
        assert server.ask("POST", "/predict", rows).json["results"][0]["labels"][0]["id"] == "0"
        assert server.ask("POST", "/predict", {"text": "a"}).status == 422
        given = {"text": "a plum", "accepted": ["fruit"], "model": "model"}
        assert server.ask("POST", "/feedback", given).status == 200
    (line,) = (folder / "model.feedback.jsonl").read_text().splitlines()
    assert json.loads(line)["accepted"] == ["fruit"]


def test_the_trace_of_a_bug_follows_its_line(capsys):
    log = logging.getLogger("a test of serve")
    log.addHandler(cli_serve.Lines())
    try:
        raise ZeroDivisionError("a bug")
    except ZeroDivisionError:
        log.exception("x")
    lines = capsys.readouterr().err.splitlines()
    assert (lines[0], lines[1][:9], lines[-1]) == (
        "serve: x",
        "Traceback",
        "ZeroDivisionError: a bug",
    )
