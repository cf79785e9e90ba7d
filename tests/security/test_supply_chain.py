"""What is built in: pinned and hashed, looked through for known holes, and no secret in the tree or in its past."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest

from tests.security.real_server import ROOT

LOCKS = ("requirements.txt", "requirements-dev.txt", "requirements-semgrep.txt")
CI = ROOT / ".ci"


def run(script: str, *words: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, CI / script, *map(str, words)], capture_output=True, text=True, timeout=100, check=False
    )


def pins(lock: Path) -> dict[str, set[str]]:
    """Name → versions, by a reading of its own."""
    found: dict[str, set[str]] = {}
    for name, version in re.findall(r"^([A-Za-z0-9._-]+)==([^\s;\\]+)", lock.read_text("utf-8"), re.MULTILINE):
        found.setdefault(re.sub(r"[-_.]+", "-", name).lower(), set()).add(version)
    return found


@pytest.mark.security("S63")
@pytest.mark.parametrize("lock", LOCKS)
def test_s63_everything_is_pinned_and_hashed(lock: str) -> None:
    text = (ROOT / lock).read_text("utf-8").replace("\\\n", " ")
    lines = [line for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    assert len(lines) > 20
    for line in lines:
        assert re.match(r"[A-Za-z0-9._-]+==[0-9][A-Za-z0-9.!+_-]* ", line), line[:80]
        assert re.search(r"--hash=sha256:[0-9a-f]{64}(\s|$)", line), line[:80]
    done = run("sbom", ROOT / lock)
    assert done.returncode == 0, done.stderr


@pytest.mark.security("S63")
@pytest.mark.parametrize("name", LOCKS)
def test_s63_the_lock_holds_all_that_is_asked_for(name: str) -> None:
    asked = (ROOT / name.replace(".txt", ".in")).read_text("utf-8")
    wanted = re.findall(r"^([A-Za-z0-9][A-Za-z0-9._-]*)", asked, re.MULTILINE)
    assert {re.sub(r"[-_.]+", "-", one).lower() for one in wanted} <= set(pins(ROOT / name))


@pytest.mark.security("S63")
def test_s63_installed_is_what_is_locked() -> None:
    locked = pins(ROOT / "requirements-dev.txt")
    for name in pins(ROOT / "requirements.txt"):
        try:
            installed = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue  # for another platform
        assert installed in locked[name], name


@pytest.mark.security("S63")
@pytest.mark.parametrize(
    "line", ["flask>=3", "flask==3.1.3", "flask @ https://evil.example/f.whl --hash=sha256:" + "0" * 64]
)
def test_s63_a_loose_line_is_refused(tmp_path: Path, line: str) -> None:
    lock = tmp_path / "requirements.txt"
    lock.write_text((ROOT / "requirements.txt").read_text("utf-8") + line + "\n", "utf-8")
    assert run("sbom", lock).returncode != 0


@pytest.mark.security("S63")
def test_s63_the_bill_of_materials_equals_the_lock() -> None:
    bill = json.loads(run("sbom").stdout)
    assert (bill["bomFormat"], bill["specVersion"]) == ("CycloneDX", "1.6")
    listed: dict[str, set[str]] = {}
    for one in bill["components"]:
        listed.setdefault(one["name"], set()).add(one["version"])
        assert one["purl"] == f"pkg:pypi/{one['name']}@{one['version']}"
        assert all(len(found["content"]) == 64 for found in one["hashes"])
        assert one["hashes"]
    assert listed == pins(ROOT / "requirements.txt")


def report(tmp_path: Path, *changes: dict[str, Any], without: str = "", age: float = 0) -> Path:
    """A report as pip-audit 2 writes it, for our lock; `changes` take the place of packages of the same name."""
    named = {one["name"]: one for one in changes}
    packages = [
        named.pop(name, {"name": name, "version": min(versions), "vulns": []})
        for name, versions in pins(ROOT / "requirements.txt").items()
        if name != without
    ]
    path = tmp_path / "report.json"
    path.write_text(json.dumps({"dependencies": packages + list(named.values()), "fixes": []}), "utf-8")
    then = time.time() - age * 86_400
    os.utime(path, (then, then))
    return path


HOLE = {"id": "PYSEC-2099-1", "fix_versions": ["99.0"], "aliases": ["CVE-2099-0001"], "description": "planted"}


@pytest.mark.security("S63")
def test_s63_the_gate_lets_a_clean_report_through(tmp_path: Path) -> None:
    done = run("advisories", report(tmp_path))
    assert (done.returncode, done.stdout) == (0, "0 fault(s), report 0 day(s) old\n")


@pytest.mark.security("S63")
@pytest.mark.parametrize(
    ("planted", "said"),
    [
        ({"name": "flask", "version": "3.1.3", "vulns": [HOLE]}, "PYSEC-2099-1"),
        ({"name": "flask", "skip_reason": "Dependency not found on PyPI and could not be audited"}, "skipped"),
        ({"name": "flask", "version": "0.1", "vulns": []}, "another version"),
    ],
    ids=["vulnerable", "skipped", "other-version"],
)
def test_s63_the_gate_fails_on_a_planted_entry(tmp_path: Path, planted: dict[str, Any], said: str) -> None:
    done = run("advisories", report(tmp_path, planted))
    assert done.returncode == 1
    assert said in done.stdout


@pytest.mark.security("S63")
def test_s63_the_gate_fails_on_a_forgotten_package_an_empty_report_and_an_old_one(tmp_path: Path) -> None:
    assert "not looked at" in run("advisories", report(tmp_path, without="flask")).stdout
    empty = tmp_path / "empty.json"
    empty.write_text('{"dependencies": [], "fixes": []}', "utf-8")
    assert run("advisories", empty).returncode == 1
    old = run("advisories", report(tmp_path, age=31))
    assert (old.returncode, "31 days old" in old.stdout) == (1, True)
    assert run("advisories", report(tmp_path, age=31), "--days", "60").returncode == 0


@pytest.mark.security("S63")
def test_s63_a_kept_report_ages_whatever_becomes_of_its_file(tmp_path: Path) -> None:
    kept = tmp_path / "audit.json"
    assert run("advisories", report(tmp_path, age=12), "--keep", kept).returncode == 0
    os.utime(kept)  # a checkout or a copy gives it a new time
    assert run("advisories", "--age", kept).stdout == "dependencies: audited 12 day(s) ago\n"
    made = json.loads(kept.read_text("utf-8"))
    kept.write_text(json.dumps({**made, "made": made["made"] - 20 * 86_400}), "utf-8")
    assert "32 days old" in run("advisories", kept).stdout
    assert run("advisories", "--age", kept).stdout == "dependencies: audited 32 day(s) ago; make audit\n"
    kept.write_text(json.dumps({**made, "made": made["made"] + 20 * 86_400}), "utf-8")
    assert "from the future" in run("advisories", kept).stdout


@pytest.mark.security("S63")
def test_s63_what_has_faults_is_not_kept_and_no_report_is_a_fault(tmp_path: Path) -> None:
    kept = tmp_path / "audit.json"
    assert run("advisories", report(tmp_path, without="flask"), "--keep", kept).returncode == 1
    assert not kept.exists()
    assert run("advisories", kept).returncode == 1
    never = run("advisories", "--age", kept)
    assert (never.returncode, never.stdout) == (0, "dependencies: never audited\n")


@pytest.mark.security("S63")
def test_s63_the_audit_of_a_release_is_strict_and_its_age_is_shown_by_every_run() -> None:
    lines = (ROOT / "Makefile").read_text("utf-8").partition("\naudit:")[2].partition("\n\n")[0]
    assert "pip-audit --strict" in lines
    assert ".ci/advisories var/audit.json --keep .ci/audit.json" in lines
    assert ".ci/advisories --age .ci/audit.json" in (CI / "run").read_text("utf-8")


@pytest.mark.security("S64")
def test_s64_nothing_in_the_tree_or_its_history_looks_like_a_secret() -> None:
    done = run("secrets")
    assert done.returncode == 0, done.stdout + done.stderr


def planted() -> dict[str, str]:
    """Texts of the forms of real secrets, put together here so that this file holds none."""
    digits = "0a1b2c3d4e5f6a7b8c9d"
    return {
        "shopify": "shp" + "at_" + digits + digits,
        "woocommerce": "c" + "s_" + digits + digits,
        "aws": "AK" + "IA" + "ABCDEFGH12345678",
        "github": "gh" + "p_" + "a1B2" * 9,
        "key": "-----BEGIN " + "PRIVATE KEY-----\n" + "MIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcw" * 3,
        "vault": "VAULT_KEYS=k1:" + "Zm9v" * 10 + "abc=",
        "url": "postgresql://waybill:" + "s3cr3tpassw0rd99" + "@db.example/waybill",
        "assigned": "ALIEXPRESS_APP_" + 'SECRET = "' + digits + digits + '"',
    }


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    folder = tmp_path / "checkout"
    folder.mkdir()
    git(folder, "init", "-q")
    commit(folder, "readme.md", "nothing")
    return folder


def git(folder: Path, *words: str) -> None:
    own = {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_SYSTEM": os.devnull, "PATH": os.environ["PATH"]}
    who = ["-c", "user.name=Test", "-c", "user.email=test@example.com"]
    subprocess.run(["git", "-C", folder, *who, *words], check=True, env=own, capture_output=True)


def commit(folder: Path, name: str, text: str) -> None:
    (folder / name).write_text(text, "utf-8")
    git(folder, "add", name)
    git(folder, "commit", "-q", "-m", name)


@pytest.mark.security("S64")
@pytest.mark.parametrize("kind", sorted(planted()))
def test_s64_a_planted_secret_is_found_in_the_tree_and_after_it_was_removed(checkout: Path, kind: str) -> None:
    assert run("secrets", checkout).returncode == 0
    (checkout / "new.env").write_text(f"# settings\n{planted()[kind]}\n", "utf-8")
    done = run("secrets", checkout)
    assert done.returncode == 1
    assert "new.env:2" in done.stdout
    assert planted()[kind].split(":")[-1] not in done.stdout
    commit(checkout, "new.env", planted()[kind])
    commit(checkout, "new.env", "gone")
    done = run("secrets", checkout)
    assert done.returncode == 1
    mark = done.stdout.split()[0]
    (checkout / ".ci").mkdir()
    (checkout / ".ci" / "secrets.allowed").write_text(f"# known\n{mark}  a fake\n", "utf-8")
    assert mark not in run("secrets", checkout).stdout


@pytest.mark.security("S64")
def test_s64_only_texts_that_are_still_there_are_allowed() -> None:
    lines = (CI / "secrets.allowed").read_text("utf-8").splitlines()
    for line in lines:
        if not line.startswith("#"):
            mark, place = line.split()
            assert re.fullmatch(r"[0-9a-f]{16}", mark)
            assert place.startswith("tests/")
            assert (ROOT / place).exists()


@pytest.mark.security("S04")
def test_s04_the_rule_against_plain_comparison_runs_in_the_build() -> None:
    makefile = (ROOT / "Makefile").read_text("utf-8")
    assert "--config .semgrep/rules.yml" in makefile
    assert "make check" in (CI / "run").read_text("utf-8")
    for rule in ("constant-time-comparison", "no-template-from-string", "no-built-sql", "one-way-out"):
        assert f"id: {rule}" in (ROOT / ".semgrep" / "rules.yml").read_text("utf-8")
        assert f"{rule}:" in (ROOT / "tests" / "architecture" / "semgrep_cases.yml").read_text("utf-8")
