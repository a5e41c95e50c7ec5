"""What holds for every kernel: how it is compiled, and where it is kept."""

import ast
import importlib
import inspect
import logging
import os
import pkgutil
import shutil
from pathlib import Path
from tempfile import mkdtemp

import installation
import pytest
from installation import XMC, run
from numba import config

import xmc.kernels
from xmc.cli.output import Notices
from xmc.kernels import kernel

if config.DISABLE_JIT:
    pytest.skip("nothing is compiled", allow_module_level=True)

from numba.core.dispatcher import Dispatcher

from xmc.kernels import cache

MODULES = [f"xmc.kernels.{m.name}" for m in pkgutil.iter_modules(xmc.kernels.__path__)]
KERNELS = {
    f"{name}.{key}": value
    for name in [*MODULES, "xmc.datasets.synthetic"]
    for key, value in vars(importlib.import_module(name)).items()
    if isinstance(value, Dispatcher)
}

ANSWER = """
import {module} as module
print(module.answer())
print("hits", sum(module.answer.stats.cache_hits.values()))
"""
CALLEE = "from xmc.kernels import kernel\n@kernel\ndef one():\n    return {}\n"
CALLER = "from xmc.kernels import kernel\n{}\n@kernel\ndef answer():\n    return {}\n"
TRANSPOSE = """
import numpy as np
from xmc.kernels.gather import transpose
arrays = np.array([0, 1, 3]), np.array([1, 0, 1], np.int32)
for array in arrays:
    array.flags.writeable = False
print(*transpose(*arrays, 2)[1])
"""


@pytest.mark.parametrize("name", KERNELS)
def test_every_kernel_has_the_flags_of_the_house(name):
    options = KERNELS[name].targetoptions
    assert options["nogil"] is True
    assert options.get("fastmath", False) is not True, "name the flags that a sum needs"
    assert not options.get("parallel", False)
    assert isinstance(KERNELS[name]._cache, cache.KernelCache)


def test_kernels_are_found_in_every_file_that_has_some():
    files = {name.rpartition(".")[0].rpartition(".")[2] for name in KERNELS}
    assert {"beam", "dcd", "gather", "kmeans", "metrics", "parse", "format", "synthetic"} <= files


def test_a_kernel_takes_the_compilers_options():
    @kernel(inline="always")
    def one():
        return 1

    assert one() == 1
    assert one.targetoptions["inline"] == "always" and one.targetoptions["nogil"] is True


# Inner kernels count no references. A caller lets go of an array that it is given once more than
# such a kernel took it up, and memory is freed twice: so they return none.


INNER = [name for name, one in KERNELS.items() if one.targetoptions.get("_nrt") is False]


def test_inner_kernels_are_found():
    assert {"offer", "_score", "walk_up"} <= {name.rpartition(".")[2] for name in INNER}


@pytest.mark.parametrize("name", INNER)
def test_an_inner_kernel_calls_inner_ones_and_returns_no_array(name):
    function = KERNELS[name].py_func
    for other in map(function.__globals__.get, function.__code__.co_names):
        if isinstance(other, Dispatcher):
            options = other.targetoptions
            assert options.get("_nrt") is False or options.get("inline") == "always", other
    tree = ast.parse(inspect.getsource(function))
    read = {ast.unparse(node.value) for node in ast.walk(tree) if isinstance(node, ast.Subscript)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Return) and node.value is not None:
            assert not returned_arrays(node.value, read, function.__globals__), ast.unparse(node)


def returned_arrays(value, arrays, known):
    """Parts of what is returned that are arrays, or that hold some."""
    if isinstance(value, ast.Tuple):
        return [one for part in value.elts for one in returned_arrays(part, arrays, known)]
    if isinstance(value, ast.Call):
        fields = getattr(known.get(ast.unparse(value.func)), "__annotations__", {})
        return [name for name, kind in fields.items() if "ndarray" in str(kind)]
    slices = [part for part in ast.walk(value) if isinstance(part, ast.Slice)]
    return slices or [value for _ in range(ast.unparse(value) in arrays)]


def test_returned_arrays_are_seen():
    from xmc.kernels import pages

    source = inspect.getsource(pages.page_of.py_func)
    [value] = [n.value for n in ast.walk(ast.parse(source)) if isinstance(n, ast.Return)]
    assert returned_arrays(value, set(), vars(pages))
    for text, expected in {"a": True, "(n, a[:3])": True, "a[3] + n": False, "n": False}.items():
        value = ast.parse(text, mode="eval").body
        assert bool(returned_arrays(value, {"a"}, {})) == expected, text


# Edits are noticed.


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """A copy without compiled kernels, for tests that edit and compile little."""
    return installation.install(tmp_path_factory.mktemp("site"), compiled=False)


def answer(site, tmp_path, module):
    """What module.answer() gives, and how often it was found compiled. Without bytecode, as Python
    would miss an edit that keeps size and second of a file.
    """
    env = {"NUMBA_CACHE_DIR": str(tmp_path / "cache"), "PYTHONDONTWRITEBYTECODE": "1"}
    done = run(site, ANSWER.format(module=module), **env)
    assert done.returncode == 0, done.stderr
    value, hits = done.stdout.splitlines()
    return value, hits


def test_a_kernel_is_compiled_again_when_one_that_it_calls_was_edited(site, tmp_path):
    callee, caller = (site / "xmc" / "kernels" / name for name in ("callee.py", "caller.py"))
    callee.write_text(CALLEE.format(1))
    caller.write_text(CALLER.format("from .callee import one", "one() + 1"))
    assert answer(site, tmp_path, "xmc.kernels.caller") == ("2", "hits 0")
    assert answer(site, tmp_path, "xmc.kernels.caller") == ("2", "hits 1")
    callee.write_text(CALLEE.format(5))
    assert answer(site, tmp_path, "xmc.kernels.caller") == ("6", "hits 0")


def test_a_kernel_is_compiled_again_when_the_lanes_were_edited(site, tmp_path):
    body = "largest(fill(np.float32(2)) + fill(np.float32(3)))"
    imports = "import numpy as np\nfrom .lanes import fill, largest"
    (site / "xmc" / "kernels" / "lanes_caller.py").write_text(CALLER.format(imports, body))
    lanes = site / "xmc" / "kernels" / "lanes.py"
    before, addition = lanes.read_text(), "_operator(operator.add, lambda builder: builder.fadd)"
    assert addition in before
    assert answer(site, tmp_path, "xmc.kernels.lanes_caller") == ("5.0", "hits 0")
    lanes.write_text(before.replace(addition, addition.replace("fadd", "fmul")))
    assert answer(site, tmp_path, "xmc.kernels.lanes_caller") == ("6.0", "hits 0")
    lanes.write_text(before)


def test_a_kernel_outside_of_the_folder_notices_edits_of_both(site, tmp_path):
    kernels, outside = site / "xmc" / "kernels" / "other.py", site / "outside.py"
    kernels.write_text(CALLEE.format(1))
    outside.write_text(CALLER.format("from xmc.kernels.other import one", "one() + 1"))
    assert answer(site, tmp_path, "outside") == ("2", "hits 0")
    outside.write_text(CALLER.format("from xmc.kernels.other import one", "one() + 2"))
    assert answer(site, tmp_path, "outside") == ("3", "hits 0")
    kernels.write_text(CALLEE.format(7))
    assert answer(site, tmp_path, "outside") == ("9", "hits 0")


PAIRED = """
from typing import NamedTuple
from xmc.kernels import kernel

class {name}(NamedTuple):
    a: int
    b: int

@kernel
def total(pair):
    return pair.a + pair.b

def answer():
    return total({name}(1, 2))

answer.stats = total.stats
"""


def test_a_kernel_is_compiled_again_when_a_class_of_its_arguments_has_another_name(site, tmp_path):
    paired = site / "xmc" / "kernels" / "paired.py"
    paired.write_text(PAIRED.format(name="Pair"))
    assert answer(site, tmp_path, "xmc.kernels.paired") == ("3", "hits 0")
    paired.write_text(PAIRED.format(name="Couple"))
    assert answer(site, tmp_path, "xmc.kernels.paired") == ("3", "hits 0")
    assert answer(site, tmp_path, "xmc.kernels.paired") == ("3", "hits 1")


def test_checked_code_is_not_mixed_with_unchecked(monkeypatch):
    unchecked = cache.stamp.__wrapped__(Path(cache.__file__))
    assert unchecked == cache.stamp.__wrapped__(Path(cache.__file__))
    monkeypatch.setattr(config, "BOUNDSCHECK", not config.BOUNDSCHECK)
    assert cache.stamp.__wrapped__(Path(cache.__file__)) != unchecked


# Where compiled kernels are kept.


def places(file, monkeypatch, own="", writable=()):
    """The places of a file, when only the folders below some paths can be written to."""
    monkeypatch.setattr(config, "CACHE_DIR", own)
    monkeypatch.setenv("XDG_CACHE_HOME", "/users")
    monkeypatch.setattr(cache, "writable", lambda folder: any(w in str(folder) for w in writable))
    read, write = cache.places.__wrapped__(Path(file))
    return [str(folder).split("/")[1] for folder in read], write and str(write).split("/")[1]


@pytest.mark.parametrize(
    "own, writable, read, write",
    [
        ("", ("site", "users"), ["site"], "site"),
        ("", ("users",), ["site", "users"], "users"),
        ("", (), ["site", "users"], None),
        ("/own", ("own", "site", "users"), ["own", "site"], "own"),
        ("/own", ("site", "users"), ["own", "site"], "site"),
        ("/own", ("users",), ["own", "site", "users"], "users"),
        ("/own", (), ["own", "site", "users"], None),
    ],
)
def test_compiled_kernels_are_kept_in_the_first_folder_that_can_be_written_to(
    own, writable, read, write, monkeypatch
):
    assert places("/site/xmc/kernels/a.py", monkeypatch, own, writable) == (read, write)


def test_no_folder_is_made_of_a_home_that_nobody_knows(monkeypatch):
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setattr(os.path, "expanduser", lambda path: path)
    monkeypatch.setattr(cache, "writable", lambda folder: False)
    read, _ = cache.places.__wrapped__(Path("/site/xmc/kernels/a.py"))
    assert [folder for folder in read if "~" in str(folder)] == []


def test_a_folder_that_can_be_made_can_be_written_to(tmp_path):
    assert cache.writable(tmp_path / "a" / "b")
    (tmp_path / "file").touch()
    assert not cache.writable(tmp_path / "file" / "b")


# Who fills a folder that we read can make us run anything.


@pytest.fixture
def own(tmp_path, monkeypatch):
    """The folder of NUMBA_CACHE_DIR, and one in it for compiled kernels."""
    monkeypatch.setattr(config, "CACHE_DIR", str(tmp_path / "own"))
    folder = tmp_path / "own" / "kernels_of_this_file"
    folder.mkdir(parents=True)
    return folder


def test_a_folder_for_everybody_to_write_to_is_not_safe(own):
    assert cache.safe(own)
    own.chmod(0o777)
    assert not cache.safe(own)
    own.chmod(0o1777)
    assert not cache.safe(own)


def test_a_folder_in_one_where_everybody_can_replace_it_is_not_safe(own):
    own.parent.chmod(0o777)
    assert not cache.safe(own) and not cache.safe(own.parent / "to_be_made")
    own.parent.chmod(0o1777)  # as /tmp
    assert cache.safe(own) and cache.safe(own.parent / "to_be_made")


@pytest.mark.parametrize("level", [0, 1])
def test_a_folder_of_somebody_elses_is_not_safe(own, level):
    if os.geteuid() != 0:
        pytest.skip("only root can give a folder away")
    os.chown([own, own.parent][level], installation.STRANGER, -1)
    assert not cache.safe(own)


def test_roots_folder_is_safe_for_all(own, monkeypatch):
    monkeypatch.setattr(os, "geteuid", lambda: installation.STRANGER)
    assert cache.safe(own) == (own.stat().st_uid == 0)


def test_a_home_of_somebody_elses_is_neither_read_nor_written_to(tmp_path, monkeypatch):
    if os.geteuid() != 0:
        pytest.skip("only root can give a folder away")
    os.chown(tmp_path, installation.STRANGER, -1)
    monkeypatch.setattr(config, "CACHE_DIR", "")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(cache, "writable", lambda folder: str(tmp_path) in str(folder))
    beside = Path("/site/xmc/kernels/__pycache__")
    assert cache.places.__wrapped__(Path("/site/xmc/kernels/a.py")) == ((beside,), None)


def test_what_an_unsafe_folder_holds_is_not_run_and_one_line_says_so(site, tmp_path):
    (site / "xmc" / "kernels" / "kept.py").write_text(CALLEE.format(3).replace("one", "answer"))
    own = tmp_path / "cache"
    own.mkdir()
    assert answer(site, tmp_path, "xmc.kernels.kept") == ("3", "hits 0")
    own.chmod(0o777)
    code = ANSWER.format(module="xmc.kernels.kept")
    done = run(site, code, NUMBA_CACHE_DIR=str(own), PYTHONDONTWRITEBYTECODE="1")
    (line,) = done.stderr.splitlines()
    assert line.startswith("NUMBA_CACHE_DIR: expected a folder of yours") and str(own) in line
    assert done.stdout == "3\nhits 0\n"


def test_files_of_two_installations_lie_apart(monkeypatch):
    monkeypatch.setattr(config, "CACHE_DIR", "/own")
    monkeypatch.setattr(cache, "writable", lambda folder: True)
    one, two = (cache.places.__wrapped__(Path(f"/{n}/kernels/a.py")) for n in (1, 2))
    assert one.write != two.write


# Any user may run an installation, of any other.


@pytest.fixture(scope="module")
def python():
    if os.geteuid() != 0:
        pytest.skip("only root can run something as another user")
    if installation.common_python() is None:
        pytest.skip("the Python that runs the tests, or its libraries, are for their owner only")
    return installation.common_python()


@pytest.fixture(scope="module")
def everybodys():
    """A folder for everybody to read; pytest's are for their owner."""
    folder = Path(mkdtemp(prefix="xmc-test-kernels-"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


@pytest.fixture(scope="module")
def cold(everybodys):
    """An installation by root, who has compiled nothing."""
    return installation.install(everybodys / "cold", compiled=False)


ASKED = """
import sys
from xmc.kernels.cache import KernelCache
load_overload = KernelCache.load_overload
def told(self, sig, context):
    print("asked for", self._readers[0]._impl.filename_base, sig, file=sys.stderr)
    return load_overload(self, sig, context)
KernelCache.load_overload = told
"""


def asked(stderr):
    """The compiled kernels that a process looked for, with the types of their arguments."""
    return {line for line in stderr.splitlines() if line.startswith("asked for")}


@pytest.fixture(scope="module")
def warm(everybodys, python):
    """An installation by root, who has compiled all; and a model. What the checkout has compiled is
    taken over, to save time: sources of the same content are the same sources.
    """
    site = installation.install(everybodys / "warm", compiled=True)
    assert run(site, XMC, "warmup", python=python, HOME="/root").returncode == 0
    data, model = everybodys / "data", everybodys / "model"
    assert run(site, XMC, "datasets", "export", "debtags", data, python=python).returncode == 0
    lines = (data / "train.tsv").read_text().splitlines(keepends=True)
    (data / "few.tsv").write_text("".join(lines[:300]))
    (data / "more.tsv").write_text("".join(lines[300:400]))
    done = run(site, XMC, "train", data / "few.tsv", "--model", model, "--quiet", python=python)
    assert done.returncode == 0, done.stderr
    return site


def files(folder):
    return {path: path.stat().st_mtime_ns for path in folder.rglob("*")}


def test_a_stranger_runs_what_nobody_compiled_and_is_told_how_to_keep_it(cold, python):
    done = run(cold, TRANSPOSE, python=python, stranger=True)
    assert done.stdout == "1 0 1\n", done.stderr
    (line,) = done.stderr.splitlines()
    assert "NUMBA_CACHE_DIR" in line


def test_a_stranger_who_names_a_folder_compiles_once(cold, python, everybodys):
    own = everybodys / "own"
    own.mkdir()
    os.chown(own, installation.STRANGER, installation.STRANGER)
    code = f"{TRANSPOSE}print(sum(transpose.stats.cache_hits.values()))"
    env = {"python": python, "stranger": True, "NUMBA_CACHE_DIR": str(own)}
    assert [run(cold, code, **env).stdout for _ in range(2)] == ["1 0 1\n0\n", "1 0 1\n1\n"]
    assert run(cold, code, **env).stderr == ""


def test_a_full_or_broken_folder_is_one_line(cold, python, everybodys):
    code = f"""
from xmc.kernels import cache
cache.writable = lambda folder: True
{TRANSPOSE}"""
    done = run(cold, code, python=python, stranger=True)
    assert done.stdout == "1 0 1\n", done.stderr
    (line,) = done.stderr.splitlines()
    assert "Permission denied" in line and "NUMBA_CACHE_DIR" in line


@pytest.mark.parametrize("home", ["/nonexistent", "home"])
def test_a_stranger_starts_with_what_root_compiled(warm, python, everybodys, home):
    """Also one who could write a cache of their own."""
    home = everybodys / home
    if "nonexistent" not in str(home):
        home.mkdir()
        os.chown(home, installation.STRANGER, installation.STRANGER)
    code = f"{TRANSPOSE}print(transpose.stats.cache_hits, transpose.stats.cache_misses)"
    before = files(everybodys)
    done = run(warm, code, python=python, stranger=True, HOME=str(home))
    answer, counts = done.stdout.splitlines()
    assert (answer, done.stderr) == ("1 0 1", "")
    assert counts.startswith("Counter({(") and counts.endswith("Counter()")
    assert files(everybodys) == before


def test_a_text_is_labelled_by_a_stranger_without_compiling_or_writing(warm, python, everybodys):
    text = "text-mode email client with IMAP support for the terminal"
    before = files(everybodys)
    words = ("predict", everybodys / "model", "--text", text)
    done = run(warm, XMC, *words, python=python, stranger=True)
    assert files(everybodys) == before
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == run(warm, XMC, *words, python=python).stdout
    assert done.stdout.startswith(text)


COMMANDS = """
import os, sys
from xmc.cli.main import xmc
os.chdir(sys.argv[1])
for words in '''
train DATA/few.tsv --model a --tree shallow --n-trees 2 --negatives tfn+man --tail-share 0.2
train DATA/few.tsv --model b --one-vs-all --costs propensity --weights float16 --valid 0.1
train DATA/few.tsv --model sure --one-vs-all --calibration isotonic
train DATA/few.tsv --model c --tree balanced --weights int8 --loss hinge --optimize psp
predict a DATA/few.tsv --out a.jsonl
predict b DATA/few.tsv --out b.tsv
predict sure DATA/few.tsv --out sure.tsv --optimize macro_f1 --macro-share 0.5
predict c DATA/few.tsv --out c.npz
evaluate a.jsonl DATA/few.tsv --train-labels DATA/few.tsv
train DATA/few.tsv --model named --label-names DATA/labels.txt --rerank --keep-rows
explain named --text email
compare a named DATA/few.tsv
report named DATA/few.tsv --out page.html
update named DATA/more.tsv --model named2
train DATA/few.tsv --model kept --keep-rows --memory 1G
update kept --remove uitoolkit::qt --model kept2
train DATA/few.tsv --model f --method low-rank --threshold-for samples
predict f DATA/few.tsv --out f.tsv
train DATA/few.tsv --model g --method low-rank --factorization als --neighbors 5
explain g --text email
compress a d DATA/few.tsv --weights int8
convert DATA/few.tsv X.npz Y.npz --fit-vectorizer words
convert X.npz Y.npz rows.svm
convert rows.svm rows.txt
train rows.txt --model e
train X.npz Y.npz --model pairs --tfidf --pairs 1
predict pairs X.npz --out pairs.tsv
datasets synth --like wiki10-31k --scale 0.005 --out synthetic
'''.replace("DATA", sys.argv[2]).strip().splitlines():
    print("#", words, file=sys.stderr)
    xmc(words.split(), standalone_mode=False)
"""


def test_a_strangers_commands_compile_nothing_either(warm, python, everybodys):
    """No kernel that any command needs is missing in the warmup: it is asked for there, too. Only
    that shows it, as the checkout may have compiled more than the warmup does.
    """
    again = run(warm, ASKED + XMC, "warmup", python=python, HOME="/root")
    assert again.returncode == 0, again.stderr
    home = everybodys / "work"
    home.mkdir()
    os.chown(home, installation.STRANGER, installation.STRANGER)
    done = run(warm, ASKED + COMMANDS, home, everybodys / "data", python=python, stranger=True)
    assert done.returncode == 0, done.stderr
    assert "# datasets synth" in done.stderr
    assert "compiling" not in done.stderr
    assert asked(done.stderr) - asked(again.stderr) == set()


def test_a_command_says_once_that_it_compiles(site, tmp_path):
    pred, true = tmp_path / "pred.tsv", tmp_path / "true.svm"
    pred.write_text("0\t1.0\n1\t0.5\n")
    true.write_text("0 0:1\n1 1:1\n")
    words = ("evaluate", pred, true, "-k", 1)
    runs = [run(site, XMC, *words, NUMBA_CACHE_DIR=str(tmp_path / "cache")) for _ in range(2)]
    assert [done.returncode for done in runs] == [0, 0], runs[0].stderr
    line = "evaluate: compiling kernels for this machine, once: some seconds\n"
    assert [done.stderr for done in runs] == [line, ""]


def test_quiet_commands_say_nothing_of_it(monkeypatch, capsys):
    monkeypatch.setattr(cache, "log", logging.getLogger("xmc.kernels.apart"))
    for quiet in (True, False):
        Notices("predict", quiet).compiling()
        cache._say_compiling.__wrapped__(True)
        cache._say_compiling.__wrapped__(False)
    told = capsys.readouterr().err.splitlines()
    assert [line.split()[0] for line in told] == ["predict:", "predict:"]


# Another Numba.


def test_without_the_parts_of_numba_that_we_know_kernels_work_uncached(site):
    done = run(site, f"import numba.core.caching as c; del c._CacheLocator\n{TRANSPOSE}")
    assert done.stdout == "1 0 1\n"
    (line,) = done.stderr.splitlines()
    assert line.startswith("kernels are compiled in every run, as ImportError")
