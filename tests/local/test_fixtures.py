"""The base fixtures keep tests apart and the network out."""

import smtplib
import socket
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
import pytest_socket
import redis

from app.local.ports import free_port

ROOT = Path(__file__).parents[2]
LEAKED: list[psycopg.Connection] = []  # open past the end of their tests, on purpose


@pytest.fixture(autouse=True, scope="module")
def close_leaked() -> Iterator[None]:
    yield
    while LEAKED:
        LEAKED.pop().close()


@pytest.mark.parametrize("turn", [1, 2])
def test_each_test_has_a_clean_database_even_with_a_leaked_connection(empty_database_url: str, turn: int) -> None:
    leaked = psycopg.connect(empty_database_url.replace("+psycopg", ""), autocommit=True)
    LEAKED.append(leaked)
    leaked.execute("CREATE TABLE mine (id int)")
    assert turn


@pytest.mark.parametrize("turn", [1, 2])
def test_each_test_has_a_flushed_redis(redis_url: str, turn: int) -> None:
    with redis.Redis.from_url(redis_url) as client:
        assert client.dbsize() == 0
        client.set("left", turn)


def test_nothing_beyond_this_machine_is_reached() -> None:
    # 192.0.2.0/24 is set aside for documentation: nobody answers there.
    with pytest.warns(UserWarning, match="192.0.2.1"), pytest.raises(pytest_socket.SocketConnectBlockedError):
        socket.create_connection(("192.0.2.1", 80), timeout=1)


@pytest.mark.parametrize(("host", "port"), [("127.0.0.1", 25), ("localhost", 587), ("192.0.2.1", 2526)])
def test_real_smtp_fails_the_test(host: str, port: int) -> None:
    with pytest.raises(pytest.fail.Exception, match="tried to open SMTP"):
        smtplib.SMTP(host, port)


@pytest.mark.parametrize(("ci", "exit_code"), [("true", 1), ("", 0)])
def test_a_skip_fails_ci_only(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, ci: str, exit_code: int
) -> None:
    monkeypatch.setenv("CI", ci)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    pytester.makepyfile("import pytest\ndef test_left_out(): pytest.skip('no reason')\ndef test_in(): pass")
    result = pytester.runpytest_subprocess("-p", "tests.no_skips", "-n", "1")
    assert result.ret == exit_code
    assert ("test_left_out: Skipped: no reason" in result.stdout.str()) is bool(ci)


def test_a_free_port_is_none_that_a_connection_may_take_meanwhile() -> None:
    given = Path("/proc/sys/net/ipv4/ip_local_port_range")
    first = int(given.read_text().split()[0]) if given.exists() else 49152
    assert all(1024 < free_port() < first for _ in range(50))
