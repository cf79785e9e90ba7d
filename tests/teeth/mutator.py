"""Small changes to a module's text, one at a time: each is a mistake that a test should notice.

Our own: mutmut and cosmic-ray start a pytest for each change, which here is seconds of loading, a server and migrations.
We fork a process that has all that (`warm`) and choose tests by the line; the changes themselves are these few lines.

Not changed: annotations, texts for people and where they are cut, log lines, SQL in strings; and `flush()`, which the
ORM does by itself before its next query.
"""

from __future__ import annotations

import ast
import hashlib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cache

_COMPARISONS: dict[type[ast.cmpop], tuple[type[ast.cmpop], str, str]] = {
    ast.Eq: (ast.NotEq, "==", "!="),
    ast.NotEq: (ast.Eq, "!=", "=="),
    ast.Lt: (ast.LtE, "<", "<="),
    ast.LtE: (ast.Lt, "<=", "<"),
    ast.Gt: (ast.GtE, ">", ">="),
    ast.GtE: (ast.Gt, ">=", ">"),
    ast.In: (ast.NotIn, "in", "not in"),
    ast.NotIn: (ast.In, "not in", "in"),
    ast.Is: (ast.IsNot, "is", "is not"),
    ast.IsNot: (ast.Is, "is not", "is"),
}
_SILENT = frozenset(("log", "audit"))
"""Calls that only write down what happened: nothing that is promised hangs on them."""


@dataclass(frozen=True)
class Mutation:
    """One change: `start` and `end` are places in the module's text (characters), `line` is the first line of it."""

    module: str
    line: int
    end_line: int
    start: int
    end: int
    new: str
    says: str
    text: str
    """The line as it stands, without the white space around it."""

    def of(self, source: str) -> str:
        """The changed module."""
        return source[: self.start] + self.new + source[self.end :]

    @property
    def key(self) -> str:
        """The same as long as the line, and how often the same change was found before it, are the same."""
        return f"{self.module}:{self.text}:{self.says}"


@cache
def mutations(module: str, source: str) -> list[Mutation]:
    """All changes of a module, in the order of its text. Each leaves it Python."""
    tree = ast.parse(source)
    starts = [0]
    for each in source.splitlines(keepends=True):
        starts.append(starts[-1] + len(each))
    lines = source.splitlines()
    found = []
    for node, new, says in _changes(tree, source):
        line, end_line = node.lineno, node.end_lineno or node.lineno
        start = starts[line - 1] + _characters(lines[line - 1], node.col_offset)
        end = starts[end_line - 1] + _characters(lines[end_line - 1], node.end_col_offset or 0)
        one = Mutation(module, line, end_line, start, end, new, says, lines[line - 1].strip())
        try:
            ast.parse(one.of(source))
        except SyntaxError:
            continue
        found.append(one)
    seen = Counter[str]()
    named = []
    for one in sorted(found, key=lambda one: (one.start, one.end, one.says)):
        seen[one.key] += 1
        named.append(replace(one, says=f"{one.says} ({seen[one.key]})") if seen[one.key] > 1 else one)
    return named


def fingerprint(source: str) -> str:
    """Names a module's text."""
    return hashlib.sha256(source.encode()).hexdigest()[:12]


def _characters(line: str, offset: int) -> int:
    return len(line.encode()[:offset].decode())


def _changes(tree: ast.Module, source: str) -> Iterator[tuple[ast.expr | ast.stmt, str, str]]:
    for node in _walk(tree):
        if isinstance(node, ast.Compare) and len(node.ops) == 1:
            yield from _compare(node, source)
        elif isinstance(node, ast.BoolOp):
            other = "or" if isinstance(node.op, ast.And) else "and"
            parts = [f"({_text(source, part)})" for part in node.values]
            yield node, f"({f' {other} '.join(parts)})", f"{'and' if other == 'or' else 'or'} → {other}"
        elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
            yield node, f"(bool({_text(source, node.operand)}))", "not left out"
        elif isinstance(node, ast.If | ast.IfExp) and not isinstance(node.test, ast.Compare | ast.UnaryOp):
            yield node.test, f"(not ({_text(source, node.test)}))", "condition turned round"
        elif isinstance(node, ast.Constant):
            yield from _constant(node)
        elif isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add | ast.Sub) and not _is_text(node):
            sign, other = ("+", "-") if isinstance(node.op, ast.Add) else ("-", "+")
            left, right = _text(source, node.left), _text(source, node.right)
            yield node, f"(({left}) {other} ({right}))", f"{sign} → {other}"
        elif isinstance(node, ast.Return) and node.value is not None and not _is_nothing(node.value):
            yield node, "return None", "gives None"
        elif isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
            yield node, "pass", f"without {ast.unparse(node.value.func)}()"


def _compare(node: ast.Compare, source: str) -> Iterator[tuple[ast.expr, str, str]]:
    _, sign, other = _COMPARISONS[type(node.ops[0])]
    left, right = _text(source, node.left), _text(source, node.comparators[0])
    yield node, f"(({left}) {other} ({right}))", f"{sign} → {other}"


def _constant(node: ast.Constant) -> Iterator[tuple[ast.expr, str, str]]:
    value = node.value
    if isinstance(value, bool):
        yield node, str(not value), f"{value} → {not value}"
    elif isinstance(value, int | float):
        yield node, f"({value + 1})", f"{value} → {value + 1}"
    elif isinstance(value, str) and value.isupper() and value.replace("_", "").isalpha():
        yield node, f'"{value[::-1]}"', f"{value} → another word"


def _walk(tree: ast.AST) -> Iterator[ast.AST]:
    """Every node but those that nobody promises anything about."""
    for name, value in ast.iter_fields(tree):
        if name in {"annotation", "returns", "decorator_list", "type_params"}:
            continue
        for child in value if isinstance(value, list) else [value]:
            if isinstance(child, ast.AST) and not _left_out(child):
                yield child
                yield from _walk(child)


def _left_out(node: ast.AST) -> bool:
    if isinstance(node, ast.JoinedStr | ast.Import | ast.ImportFrom | ast.Slice):
        return True
    called = node.value if isinstance(node, ast.Expr) else node
    if not isinstance(called, ast.Call):
        return False
    first = called.func
    if isinstance(first, ast.Attribute) and first.attr == "flush":
        return True
    while isinstance(first, ast.Attribute):
        first = first.value
    return isinstance(first, ast.Name) and first.id in _SILENT


def _is_text(node: ast.AST) -> bool:
    return any(
        isinstance(part, ast.JoinedStr) or (isinstance(part, ast.Constant) and isinstance(part.value, str))
        for part in ast.walk(node)
    )


def _is_nothing(node: ast.expr) -> bool:
    """None, or what counts as it where truth is asked for."""
    return isinstance(node, ast.Constant) and not node.value


def _text(source: str, node: ast.expr) -> str:
    return ast.get_source_segment(source, node) or ast.unparse(node)
