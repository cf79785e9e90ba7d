"""The documents say what is there: links, paths, settings, commands, metrics, alerts and log events."""

import re
import subprocess
from pathlib import Path

import pytest
from alembic.script import ScriptDirectory

from app.db_migrate import MIGRATIONS
from app.registry import find
from app.settings import Settings

ROOT = Path(__file__).parents[2]
DOCUMENTS = sorted(
    [*(ROOT / "docs").rglob("*.md"), *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md"))]
)
CODE = sorted([*(ROOT / "app").rglob("*.py"), *(ROOT / "connectors").rglob("*.py")])
LINK = re.compile(r"(?<!`)!?\[[^\]]*\]\(([^)\s]+)\)")
QUOTED = re.compile(r"`([^`\n]+)`")
PATH = re.compile(r"(?:app|connectors|tests|migrations|docs|\.ci|\.semgrep)/[\w./-]*")
MAKE = re.compile(r"(?:^ {4}|`)make ([a-z][a-z-]*)", re.MULTILINE)

# Written in two halves, so that this file is not a finding itself.
MACHINE_PATHS = [
    re.compile(r"(?<![\w.$}/-])/" + place + r"/\w") for place in ("work", "root", r"home/\w+", r"Users/\w+")
]
REGISTRIES = re.compile(
    r"--(?:extra-)?index" + r"-url\b|--find" + r"-links\b|\btrusted" + r"-host\b|"
    r"https?://[^\s/\"'`]*(?:artifact" + r"ory|nexus|gopro" + r"xy|pypi\.|npm" + r"js\.|registry\.)",
    re.IGNORECASE,
)
# The one place that names the option in order to keep it out of lock files.
ALLOWED = {"Makefile": ("--no-emit" + "-index-url",)}


def document(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def told(path: Path) -> str:
    return str(path.relative_to(ROOT))


def anchors(text: str) -> set[str]:
    """As GitHub makes them of headings."""
    titles = re.findall(r"^#{1,6} +(.+?) *$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower().replace("`", "")).replace(" ", "-") for title in titles}


def variables() -> set[str]:
    models = [Settings, *(spec.settings for spec in find().values())]
    return {field.upper() for model in models for field in model.model_fields}


def tracked() -> list[Path]:
    """All files of the repository, new ones included, ignored ones not."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout.split("\0")
    return [ROOT / name for name in names if name and (ROOT / name).is_file()]


@pytest.mark.parametrize("path", DOCUMENTS, ids=told)
def test_links_lead_somewhere(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    broken = []
    for target in LINK.findall(text):
        if re.match(r"[a-z]+:", target):
            continue
        name, _, anchor = target.partition("#")
        aim = (path.parent / name).resolve() if name else path
        inside = aim.is_relative_to(ROOT) and aim.exists()
        if not inside or (anchor and anchor not in anchors(aim.read_text(encoding="utf-8"))):
            broken.append(target)
    assert broken == []


@pytest.mark.parametrize("path", DOCUMENTS, ids=told)
def test_paths_that_are_named_exist(path: Path) -> None:
    # NAME stands for a connector of yours.
    words = {word for word in QUOTED.findall(path.read_text(encoding="utf-8")) if PATH.fullmatch(word)}
    named = {word for word in words if "NAME" not in word}
    assert {word for word in named if not (ROOT / word).exists()} == set()


def test_every_setting_is_explained() -> None:
    manual = set(re.findall(r"`([A-Z][A-Z0-9_]+)`", document("docs/operations.md")))
    assert variables() - manual == set()


def test_every_setting_stands_in_the_example_file() -> None:
    lines = document(".env.example").splitlines()
    names = {match[1] for line in lines if (match := re.match(r"(?:# )?([A-Z][A-Z0-9_]+)=", line))}
    for_compose = {"POSTGRES_PASSWORD", "REDIS_PASSWORD"}
    assert names == variables() | for_compose


def test_make_targets_that_are_named_exist() -> None:
    targets = set(re.findall(r"^([a-z-]+):", document("Makefile"), re.MULTILINE))
    for path in DOCUMENTS:
        assert set(MAKE.findall(path.read_text(encoding="utf-8"))) <= targets, told(path)
    assert {"demo", "test"} <= set(MAKE.findall(document("README.md")))


def test_metrics_alerts_and_log_events_are_explained() -> None:
    manual = document("docs/operations.md")
    quoted = set(QUOTED.findall(manual))
    metrics = set(re.findall(r'"(waybill_[a-z_]+)"', document("app/services/metrics.py")))
    source = "\n".join(path.read_text(encoding="utf-8") for path in CODE)
    alerts = set(re.findall(r'\balert\(\s*session,\s*f?"[^"]*",\s*"([a-z_]+)"', source))
    events = set(re.findall(r'\blog\.(?:info|warning|error)\(\s*"([a-z_]+)"', source))
    assert metrics
    assert alerts
    assert events
    assert {name for name in metrics if not {name, f"{name}_total"} & quoted} == set()
    assert (alerts | events) - quoted == set()


def test_every_decision_is_numbered_and_listed() -> None:
    names = sorted(path.name for path in (ROOT / "docs" / "adr").glob("[0-9]*.md"))
    index = document("docs/adr/README.md")
    assert [int(name[:4]) for name in names] == list(range(1, len(names) + 1))
    for name in names:
        text = document(f"docs/adr/{name}")
        assert f"({name})" in index
        assert text.startswith(f"# {name[:4]} ")
        assert all(part in text for part in ("**Context.**", "**Decision.**", "**Consequences.**")), name


def test_changelog_has_a_place_for_the_next_release() -> None:
    assert re.search(r"^## \[Unreleased\]$", document("CHANGELOG.md"), re.MULTILINE)


def test_migrations_have_a_single_head() -> None:
    scripts = ScriptDirectory(str(MIGRATIONS))
    assert len(scripts.get_heads()) == 1
    assert len(scripts.get_bases()) == 1


def test_no_file_names_a_machine_or_a_package_registry() -> None:
    found = []
    for path in tracked():
        try:
            text = path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue
        for word in ALLOWED.get(told(path), ()):
            text = text.replace(word, "")
        found += [f"{told(path)}: {match[0]}" for rule in (*MACHINE_PATHS, REGISTRIES) for match in rule.finditer(text)]
    assert found == []
