"""How commands answer: tables for people, JSON for programs, faults as one line.

Exit codes: 0 done, 1 a fault that can be put right, 2 wrong usage or settings.
"""

from __future__ import annotations

import functools
import json
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from importlib import import_module
from typing import Any

import click
import sqlalchemy as sa
from flask.cli import AppGroup, with_appcontext

from app.container import Container
from app.db import is_away
from app.errors import SettingsInvalid, WaybillError
from app.ports.errors import OutsideError
from app.services import shops
from app.services.faults import said
from app.services.standing import TURN_WORDS

root = AppGroup("waybill")
"""All groups and commands; `install` hangs them on the application."""

FAILED, MISSING = 1, 2
_WIDEST = 70
_LARGEST = 2**63 - 1
"""The database's whole numbers end here."""


@dataclass(frozen=True, slots=True)
class Answer:
    """`data` for `--json`, `text` for people."""

    data: Any
    text: str


Act = Callable[..., Answer]


class _Group(AppGroup):
    """A group whose unknown commands are told in JSON to those who asked for JSON."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """As click does it."""
        with _usage(ctx, args):
            return super().resolve_command(ctx, args)


class _Command(click.Command):
    """A command whose wrong options are told in JSON to those who asked for JSON."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """As click does it, and without what no command takes (`_odd`)."""
        with _usage(ctx, list(args)):
            rest = super().parse_args(ctx, args)
            for param in self.get_params(ctx):
                given = ctx.params.get(param.name or "")
                for value in given if isinstance(given, tuple) else (given,):
                    odd = _odd(value)
                    if odd:
                        raise click.BadParameter(odd, ctx, param)
            return rest


def _odd(value: object) -> str:
    """Why no option or argument may be this, "" if it may."""
    if isinstance(value, int) and abs(value) > _LARGEST:
        return "is too large a number"
    if not isinstance(value, str):
        return ""
    if value == "--json":
        return "needs a value"
    # A terminal that does not speak UTF-8 gives lone surrogates; neither they nor a NUL can be stored.
    plain = "\0" not in value and not any("\ud800" <= each <= "\udfff" for each in value)
    return "" if plain else "holds a character that is no text"


@contextmanager
def _usage(ctx: click.Context, args: Sequence[str]) -> Iterator[None]:
    try:
        yield
    except click.UsageError as error:
        if "--json" in args:
            message = error.format_message().encode("utf-8", "backslashreplace").decode()
            click.echo(json.dumps({"error": "usage", "message": message}, ensure_ascii=False))
            ctx.exit(MISSING)
        raise


def group(name: str, text: str) -> AppGroup:
    """A new group of commands."""
    made = _Group(name, help=text)
    root.add_command(made)
    return made


def command(place: click.Group, name: str) -> Callable[[Act], click.Command]:
    """A command that acts on the container (its first argument) and gives an `Answer`. Adds `--json`."""

    def decorate(act: Act) -> click.Command:
        @functools.wraps(act)
        def run(*, as_json: bool, **given: Any) -> None:
            def with_container() -> Answer:
                parts = container()
                if given.get("shop_id") is not None:
                    shops.get(parts, given["shop_id"])  # a wrong number is no empty list
                answer = act(parts, **given)
                with parts.database.transaction() as session:
                    parts.calls.flush(session)
                return answer

            respond(with_container, as_json=as_json)

        made = click.command(name, cls=_Command)(with_appcontext(json_option(run)))
        place.add_command(made)
        return made

    return decorate


def json_option(run: Callable[..., Any]) -> Callable[..., Any]:
    """Adds `--json`."""
    return click.option("--json", "as_json", is_flag=True, help="Answer in JSON on standard output.")(run)


def container() -> Container:
    """The application's parts. Raises `SettingsInvalid`."""
    # `app` imports this package to install the commands, so it is found by name when a command runs.
    found: Container = import_module("app").container_of()
    return found


def respond(act: Callable[[], Answer], *, as_json: bool) -> None:
    """Run `act`, print its answer, and leave with 1 for a fault that can be put right, 2 for missing settings."""
    try:
        answer = act()
    except SettingsInvalid as error:
        if as_json:
            click.echo(json.dumps({"error": "settings", "message": str(error), "problems": error.problems}))
        click.echo(str(error), err=True)
        click.get_current_context().exit(MISSING)
    except WaybillError as error:
        _fail(error.code, error.text, as_json=as_json)
    except OutsideError as error:
        told = said(error)
        _fail(told.code, told.text, as_json=as_json)
    except (sa.exc.DBAPIError, sa.exc.TimeoutError) as error:
        told_of = _database_fault(error)
        if told_of is None:
            raise
        _fail(*told_of, as_json=as_json)
    else:
        click.echo(plain_json(answer.data) if as_json else answer.text)


def _database_fault(error: sa.exc.SQLAlchemyError) -> tuple[str, str] | None:
    """Code and text of a fault that a person can do something about."""
    state = getattr(getattr(error, "orig", None), "sqlstate", None)
    if state in MET:
        return "busy", "Somebody else was changing the same just now. Look at how it stands, and try again."
    if state == "42P01":
        return "no_schema", "The database has no tables of Waybill's yet. Run `flask db upgrade`."
    if is_away(error) or isinstance(error, sa.exc.OperationalError):
        return "database_down", "The database does not answer. Check DATABASE_URL and the server."
    return None


MET = frozenset(("40001", "40P01", "55P03", "57014", "23505"))
"""SQLSTATEs of two who met: serialization, deadlock, a lock or a statement that took too long, a key that was taken."""


def _fail(code: str, text: str, *, as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps({"error": code, "message": text}, ensure_ascii=False))
    else:
        click.echo(f"Error: {text}", err=True)
    click.get_current_context().exit(FAILED)


def plain_json(data: Any) -> str:
    """JSON as commands print it: times in ISO 8601, amounts as texts."""
    return json.dumps(data, default=_plain, ensure_ascii=False, indent=2)


def _plain(value: Any) -> Any:
    if isinstance(value, date):  # a datetime is one too
        return value.isoformat()
    if isinstance(value, Decimal):
        return str(value)
    if isinstance(value, set | frozenset | tuple):
        return list(value)
    raise TypeError(f"not for JSON: {type(value).__name__}")


def table(rows: Sequence[Mapping[str, Any]], *columns: str, empty: str = "Nothing.") -> str:
    """Rows as a table; `columns` are `key` or `key=Heading`."""
    if not rows:
        return empty
    pairs = [(name, heading or name.replace("_", " ")) for name, _, heading in (one.partition("=") for one in columns)]
    cells = [[heading.upper() for _, heading in pairs]]
    cells += [[TURN_WORDS[row[name]] if name == "turn" else cell(row.get(name)) for name, _ in pairs] for row in rows]
    widths = [max(len(line[place]) for line in cells) for place in range(len(pairs))]
    return "\n".join(
        "  ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)).rstrip() for line in cells
    )


def cell(value: Any) -> str:
    """One value, short."""
    if value is None or value == "":
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, datetime):
        return moment(value)
    if isinstance(value, list | tuple):
        return ", ".join(cell(one) for one in value) or "-"
    text = " ".join(str(value).split())
    return text if len(text) <= _WIDEST else f"{text[: _WIDEST - 1]}…"


def moment(at: datetime | None) -> str:
    """A time for people, UTC."""
    return f"{at:%Y-%m-%d %H:%M:%S}" if at is not None else "-"


def facts(data: Mapping[str, Any]) -> str:
    """Names and values below each other."""
    width = max((len(name) for name in data), default=0)
    lines = []
    for name, value in data.items():
        told = "-" if value is None or value == "" else value
        shown = (
            moment(told) if isinstance(told, datetime) else cell(told) if isinstance(told, bool | list) else str(told)
        )
        lines.append(f"{name.replace('_', ' ').ljust(width)}  {shown}")
    return "\n".join(lines)


class SecretText(click.ParamType[str]):
    """A secret: as typed, or `-` to read it as one line from standard input (several: in the order of the options)."""

    name = "secret"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """The secret itself."""
        text = str(value)
        if text == "-":
            text = sys.stdin.readline().strip()
        if not text:
            self.fail("is empty", param, ctx)
        return text


class When(click.ParamType[datetime]):
    """A moment: ISO 8601 with its zone, or seconds or milliseconds since 1970."""

    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        """An aware time."""
        if isinstance(value, datetime):
            return value
        text = str(value).strip()
        try:
            if text.isascii() and text.isdigit():
                number = int(text)
                return datetime.fromtimestamp(number / 1000 if number > 10**11 else number, tz=UTC)
            found = datetime.fromisoformat(text)
        except (ValueError, OverflowError, OSError):
            self.fail("is not a time; write it like 2026-12-31T12:00:00Z", param, ctx)
        if found.tzinfo is None:
            self.fail("has no time zone; add Z for UTC", param, ctx)
        return found


class Amount(click.ParamType[Decimal]):
    """A decimal number."""

    name = "amount"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Decimal:
        """The number, finite."""
        try:
            number = value if isinstance(value, Decimal) else Decimal(str(value).strip())
        except ArithmeticError:
            self.fail(f"{value!r} is not a number", param, ctx)
        if not number.is_finite():
            self.fail(f"{value!r} is not a number", param, ctx)
        if abs(number) >= _LARGEST_AMOUNT:
            self.fail(f"{value!r} is too large", param, ctx)
        return number


_LARGEST_AMOUNT = Decimal(10) ** 12


by_option = click.option("--by", default="cli", show_default=True, help="Who does this, for the history.")
limit_option = click.option(
    "--limit", type=click.IntRange(1, 1000), default=50, show_default=True, help="At most so many."
)
shop_option = click.option("--shop", "shop_id", type=int, help="Only of this shop.")
