"""The mutants are worth something only as long as they fit the code; `python -m tests.faults.mutants` runs them."""

from __future__ import annotations

import ast
import subprocess
from pathlib import Path

import pytest

from tests.faults.mutants import KILLERS, ROOT, Mutant, judge, mutants

TOUCHED = {
    "M01": {"app/pipeline/buy/send.py"},
    "M02": {"app/pipeline/reconcile.py"},
    "M03": {"app/pipeline/buy/step.py"},
    "M04": {"app/pipeline/buy/claim.py"},
    "M05": {
        "app/pipeline/buy/commit.py",
        "app/pipeline/generation.py",
        "app/pipeline/reconcile.py",
        "migrations/versions/0001_the_first_schema.py",
    },
    "M06": {"app/pipeline/due.py"},
    "M07": {"app/pipeline/buy/send.py"},
    "M08": {"app/pipeline/buy/commit.py", "app/pipeline/match.py"},
    "M09": {"app/pipeline/reconcile.py"},
    "M10": {"app/pipeline/reconcile.py"},
}


def test_there_are_ten_and_each_has_killers() -> None:
    assert [mutant.name for mutant in mutants()] == sorted(KILLERS) == sorted(TOUCHED)
    assert len(KILLERS) == 10


@pytest.mark.parametrize("mutant", mutants(), ids=lambda mutant: mutant.name)
def test_it_still_fits_the_code_and_leaves_it_python(mutant: Mutant, tmp_path: Path) -> None:
    """A change of the code that a patch does not fit any more is noticed here; then the patch is made anew."""
    before = {}
    for name in TOUCHED[mutant.name]:
        target = tmp_path / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(before.setdefault(name, (ROOT / name).read_text()))
    subprocess.run(["git", "init", "--quiet"], cwd=tmp_path, check=True)
    mutant.apply(tmp_path)
    changed = {name for name, text in before.items() if (tmp_path / name).read_text() != text}
    assert changed == TOUCHED[mutant.name]
    for name in changed:
        assert ast.dump(ast.parse((tmp_path / name).read_text())) != ast.dump(ast.parse(before[name]))
    assert mutant.says.endswith(".")


@pytest.mark.parametrize("name", sorted(KILLERS))
def test_its_killers_exist(name: str) -> None:
    for killer in KILLERS[name]:
        path, test = killer.split("::")
        tree = ast.parse((ROOT / path).read_text())
        found = [one for one in tree.body if isinstance(one, ast.FunctionDef) and one.name == test]
        assert len(found) == 1, killer
        assert (ast.get_docstring(found[0]) or "").startswith(f"M{int(name[1:])}: ")


@pytest.mark.parametrize(
    ("code", "said", "kills"),
    [
        (1, "FAILED tests/a.py::test_once - AssertionError: twice", ("test_once",)),
        (1, "FAILED tests/a.py::test_once[x] - assert 2 == 1", ("test_once[x]",)),
        (1, "FAILED tests/a.py::test_once - KeyError: 'x'", ()),
        (1, "ERROR tests/a.py::test_once - AssertionError", ()),
        (2, "ERROR tests/a.py - ImportError: x", ()),
        (0, "1 passed", ()),
    ],
)
def test_only_a_failed_assertion_is_a_kill(code: int, said: str, kills: tuple[str, ...]) -> None:
    found = judge(code, said, 1.0)
    assert found.failed == kills
    assert bool(found.broken) == (code != 0 and not kills)
