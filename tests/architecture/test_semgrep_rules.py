"""Every rule of .semgrep/rules.yml catches what it is there for, and nothing else."""

import json
import os
import subprocess
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]
RULES = ROOT / ".semgrep" / "rules.yml"
CASES: dict[str, dict[str, list[str]]] = yaml.safe_load(
    (Path(__file__).parent / "semgrep_cases.yml").read_text(encoding="utf-8")
)
SEMGREP = Path(os.environ.get("SEMGREP", ROOT / ".venv" / "semgrep" / "bin" / "semgrep"))


def rule_ids() -> set[str]:
    return {rule["id"] for rule in yaml.safe_load(RULES.read_text(encoding="utf-8"))["rules"]}


def write_cases(folder: Path) -> None:
    for rule, case in CASES.items():
        for kind in ("caught", "left_alone"):
            for number, source in enumerate(case[kind]):
                path = folder / "app" / rule / f"{kind}_{number}.py"
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(source + "\n", encoding="utf-8")
        for silent in case.get("silent_in", []):
            path = folder / silent
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("a", encoding="utf-8") as file:
                file.write("\n".join(case["caught"]) + "\n")


@pytest.fixture(scope="module")
def findings(tmp_path_factory: pytest.TempPathFactory) -> dict[str, set[str]]:
    folder = tmp_path_factory.mktemp("cases")
    write_cases(folder)
    home = tmp_path_factory.mktemp("home")
    done = subprocess.run(
        [
            SEMGREP,
            "scan",
            "--metrics",
            "off",
            "--disable-version-check",
            "--no-git-ignore",
            "--json",
            "--config",
            str(RULES),
            ".",
        ],
        cwd=folder,
        env={**os.environ, "HOME": str(home)},
        check=True,
        capture_output=True,
        text=True,
    )
    found: dict[str, set[str]] = defaultdict(set)
    answer: dict[str, Any] = json.loads(done.stdout)
    assert answer["errors"] == []
    for result in answer["results"]:
        found[result["check_id"].rpartition(".")[2]].add(result["path"])
    return found


def test_every_rule_has_cases() -> None:
    assert rule_ids() == set(CASES)


@pytest.mark.parametrize("rule", CASES)
def test_rule_catches_what_it_is_there_for(rule: str, findings: dict[str, set[str]]) -> None:
    missed = [
        source
        for number, source in enumerate(CASES[rule]["caught"])
        if f"app/{rule}/caught_{number}.py" not in findings[rule]
    ]
    assert missed == []


@pytest.mark.parametrize("rule", CASES)
def test_rule_leaves_the_rest_alone(rule: str, findings: dict[str, set[str]]) -> None:
    wronged = [
        source
        for number, source in enumerate(CASES[rule]["left_alone"])
        if f"app/{rule}/left_alone_{number}.py" in findings[rule]
    ]
    assert wronged == []
    assert findings[rule].isdisjoint(CASES[rule].get("silent_in", []))
