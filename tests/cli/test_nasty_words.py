"""Whatever is typed after a command: a sentence and an exit code, never a traceback."""

from __future__ import annotations

import json

import click
import pytest

from app.cli.output import root
from tests.cli.test_commands import Shell, connect, shell  # noqa: F401 - a fixture
from tests.flow.world import World

ENDLESS = frozenset(("worker", "scheduler", "simulate"))
NASTY = ("9" * 30, "-1", "0", "1", "a\0b", "%s' OR 1=1 --", "é" * 5000, "", " ", "\udcff", "NaN")


def commands(group: click.Group, path: tuple[str, ...] = ()) -> list[tuple[tuple[str, ...], click.Command]]:
    """Every command below a group, but those that run for ever."""
    found: list[tuple[tuple[str, ...], click.Command]] = []
    for name, one in group.commands.items():
        if name in ENDLESS:
            continue
        found += commands(one, (*path, name)) if isinstance(one, click.Group) else [((*path, name), one)]
    return found


def typed(command: click.Command, value: str) -> list[str]:
    """The command's words with this value wherever one is asked for."""
    words: list[str] = []
    for param in command.params:
        if isinstance(param, click.Argument):
            words += [value] * max(param.nargs, 1)
        elif isinstance(param, click.Option) and not param.is_flag:
            words += [param.opts[0], value]
    return words


@pytest.mark.parametrize("value", NASTY, ids=range(len(NASTY)))
def test_every_command_answers_every_word(world: World, shell: Shell, value: str) -> None:  # noqa: F811 - the fixture
    connect(world, shell)
    for path, command in commands(root):
        if path == ("shop", "connect-woocommerce") and value.isdigit():
            continue  # a number is an address, and tests reach no network
        whole = typed(command, value)
        for words in (whole, [word for word in whole if not word.startswith("--")]):
            result = shell.invoke(*path, *words, "--json")
            assert result.exit_code in {0, 1, 2}, (path, words, result.output)
            assert isinstance(result.exception, SystemExit | None), (path, words, result.exception)
            told = json.loads(result.stdout)
            if result.exit_code:
                assert told["message"].strip(), (path, words)
