"""The embedded PostgreSQL and Valkey: they start, stop, come back, and leave nothing behind."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import psycopg
import pytest
import redis

from app.local.embedded import EmbeddedServices, start_valkey
from app.local.server import ServerError
from app.local.system_user import unprivileged

pytestmark = pytest.mark.slow

# A program that starts both, tells who they are, and waits to be killed.
OWNER = """
import sys, time
from pathlib import Path
from app.local.embedded import EmbeddedServices
services = EmbeddedServices(Path(sys.argv[1]), durable=False).start()
print(services.postgres.pid, services.postgres._watchdog.pid, flush=True)
print(services.valkey.pid, services.valkey._watchdog.pid, flush=True)
time.sleep(600)
"""


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedServices]:
    with EmbeddedServices(tmp_path_factory.mktemp("services"), durable=False) as services:
        yield services


def query(services: EmbeddedServices, statement: str) -> list[tuple[object, ...]]:
    address = services.database_url.replace("+psycopg", "")
    with psycopg.connect(address, autocommit=True) as connection:
        cursor = connection.execute(statement.encode())
        return cursor.fetchall() if cursor.description else []


def client(services: EmbeddedServices) -> "redis.Redis[bytes]":
    return redis.Redis.from_url(services.redis_url)


def start_owner(folder: Path) -> tuple[subprocess.Popen[str], list[psutil.Process]]:
    """The owner, and its servers and watchdogs: postgres, its watchdog, valkey, its watchdog."""
    owner = subprocess.Popen(
        [sys.executable, "-c", OWNER, str(folder)],
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[2],
    )
    assert owner.stdout
    with owner.stdout:
        pids = [int(word) for _ in range(2) for word in owner.stdout.readline().split()]
    return owner, [psutil.Process(pid) for pid in pids]


def test_addresses_are_what_sqlalchemy_and_redis_take(shared: EmbeddedServices) -> None:
    assert shared.database_url.startswith("postgresql+psycopg://")
    assert shared.redis_url.startswith("redis://:")
    assert query(shared, "SELECT current_database()") == [("waybill",)]
    assert client(shared).ping()


def test_both_refuse_a_stranger(shared: EmbeddedServices) -> None:
    with pytest.raises(redis.AuthenticationError), redis.Redis(port=shared.valkey.port) as stranger:
        stranger.ping()
    with pytest.raises(psycopg.OperationalError):
        psycopg.connect(host="127.0.0.1", port=shared.postgres.port, user="waybill", dbname="waybill", password="x")


def test_both_listen_on_loopback_only(shared: EmbeddedServices) -> None:
    for pid in (shared.postgres.pid, shared.valkey.pid):
        listening = [c.laddr.ip for c in psutil.Process(pid).net_connections() if c.status == psutil.CONN_LISTEN]
        assert set(listening) == {"127.0.0.1"}


def test_postgres_never_runs_as_root(shared: EmbeddedServices) -> None:
    assert psutil.Process(shared.postgres.pid).uids().effective == (unprivileged().uid or os.geteuid()) != 0


def test_password_is_on_no_command_line(shared: EmbeddedServices) -> None:
    password = shared.redis_url.split("@")[0].rpartition(":")[2]
    assert password not in " ".join(psutil.Process(shared.valkey.pid).cmdline())


def test_data_outlives_a_stop_and_a_kill(shared: EmbeddedServices) -> None:
    addresses = shared.environment
    query(shared, "CREATE TABLE kept (id int)")
    client(shared).set("kept", "1")
    shared.stop()
    shared.stop()
    shared.start()
    shared.postgres.kill()
    shared.valkey.kill()
    assert not shared.valkey.is_running()
    with pytest.raises(redis.ConnectionError):
        client(shared).ping()
    shared.postgres.start()
    shared.valkey.start()
    shared.valkey.restart()
    assert shared.environment == addresses
    assert query(shared, "SELECT to_regclass('kept') IS NOT NULL") == [(True,)]
    assert client(shared).get("kept") == b"1"


def test_two_folders_run_side_by_side(shared: EmbeddedServices, tmp_path: Path) -> None:
    with EmbeddedServices(tmp_path / "other one", durable=True) as other:
        assert other.postgres.port != shared.postgres.port
        client(other).set("only", "here")
        assert client(shared).get("only") is None


def test_one_folder_has_one_owner(tmp_path: Path) -> None:
    with start_valkey(tmp_path), pytest.raises(ServerError, match=f"in use by process {os.getpid()}"):
        start_valkey(tmp_path)
    with start_valkey(tmp_path) as again:
        assert again.is_running()


def test_killed_owner_leaves_no_server(tmp_path: Path) -> None:
    owner, processes = start_owner(tmp_path)
    everything = processes + processes[0].children()
    owner.kill()
    owner.wait()
    _, alive = psutil.wait_procs(everything, timeout=30)
    assert alive == []


def test_next_start_ends_what_a_killed_owner_and_watchdog_left(tmp_path: Path) -> None:
    owner, (postgres, postgres_dog, valkey, valkey_dog) = start_owner(tmp_path)
    for process in (postgres_dog, valkey_dog, owner):
        process.send_signal(signal.SIGKILL)
    owner.wait()
    assert postgres.is_running()
    assert valkey.is_running()
    with EmbeddedServices(tmp_path, durable=False) as services:
        assert not postgres.is_running()
        assert not valkey.is_running()
        assert query(services, "SELECT 1") == [(1,)]


def test_leftover_pid_of_somebody_else_does_not_stop_the_start(tmp_path: Path) -> None:
    with EmbeddedServices(tmp_path, durable=False) as services:
        services.postgres.kill()
        pid_file = tmp_path / "postgres" / "cluster" / "postmaster.pid"
        lines = pid_file.read_text().splitlines()
        bystander = subprocess.Popen(["sleep", "60"])
        pid_file.write_text("\n".join([str(bystander.pid), *lines[1:]]) + "\n")
        services.postgres.start()
        assert bystander.poll() is None
        bystander.kill()
        bystander.wait()


def test_command_finds_both_and_its_exit_code_comes_back(tmp_path: Path) -> None:
    command = "import os; raise SystemExit(7 if os.environ['DATABASE_URL'] and os.environ['REDIS_URL'] else 1)"
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "app.local.embedded",
            "--fast",
            "--data-dir",
            str(tmp_path),
            "--",
            sys.executable,
            "-c",
            command,
        ],
        cwd=Path(__file__).parents[2],
        check=False,
    )
    assert done.returncode == 7
