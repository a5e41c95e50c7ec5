"""What the mutation run reads: its table of tests, its list of changes that can't matter."""

import mutants
import pytest

SAME_NAMES = """
def one(): ...


class Two:
    @classmethod
    def one(cls): ...
"""


def test_every_file_and_every_test_of_the_table_exists():
    for file, tests in mutants.TESTS.items():
        assert (mutants.TOP / file).is_file(), file
        for name in tests.split():
            assert (mutants.TOP / "tests" / f"test_{name}.py").is_file(), name


@pytest.mark.parametrize(("file", "change"), sorted(mutants.known()))
def test_a_change_that_cannot_matter_is_one_of_the_code_as_it_is(file, change):
    code = " ".join(
        mutants.without_comment(line)
        for line in (mutants.TOP / file).read_text(encoding="utf-8").splitlines()
    )
    assert change.partition(" -> ")[0] in code


def test_every_change_that_cannot_matter_has_a_reason_above_it():
    blocks = mutants.KNOWN.read_text(encoding="utf-8").strip().split("\n\n")
    assert all(block.startswith("# ") and "\n" in block for block in blocks)


def test_a_difference_gives_the_line_and_both_sides_without_comments():
    before = ["def f(k):", "    if 1 <= k:  # the usual case", "        return k"]
    after = [before[0], before[1].replace("1", "2"), before[2]]
    assert mutants.difference(before, after) == (1, "if 1 <= k:", "if 2 <= k:")


def test_functions_of_classes_are_kept_apart():
    found = mutants.functions(SAME_NAMES)
    assert {name: (n, len(lines)) for name, (n, lines) in found.items()} == {
        "x_one": (2, 1),
        "xǁTwoǁone": (7, 1),
    }


def test_kernels_are_changed_where_they_are_not_compiled(tmp_path, monkeypatch):
    monkeypatch.setattr(mutants, "WORK", tmp_path / "work")
    mutants.lay_out("xmc/kernels/heap.py")
    plain = (tmp_path / "work/xmc/kernels/heap.py").read_text()
    kernel = (mutants.TOP / "xmc/kernels/heap.py").read_text()
    assert plain != kernel and plain.replace("\n# @", "\n@") == kernel
    assert "\n@inner" in kernel and "\n@inner" not in plain and "\n@kernel" not in plain
    other = tmp_path / "work/xmc/kernels/score.py"
    assert other.read_text() == (mutants.TOP / "xmc/kernels/score.py").read_text()
    mutants.lay_out("xmc/topk.py")
    assert (tmp_path / "work/xmc").is_symlink()


@pytest.mark.parametrize(
    ("after", "known"),
    [
        ("x = np.zeros(n, )", True),
        ("x = np.zeros(n, None)", True),
        ("x = np.zeros(n + 1, np.int32)", False),
        ("x = np.zeros(None, np.int32)", False),
        ("x = np.zeros(n, np.int64)", False),
    ],
)
def test_types_of_arrays_count_in_no_kernel(after, known):
    before = "x = np.zeros(n, np.int32)"
    other = mutants.Mutant("xmc/kernels/heap.py", 1, "max(a, np.inf)", "max(a, None)")
    assert not other.is_known()
    assert mutants.Mutant("xmc/kernels/heap.py", 1, before, after).is_known() == known
    assert not mutants.Mutant("xmc/topk.py", 1, before, after).is_known()
