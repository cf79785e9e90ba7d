"""The GraphQL documents, one operation per file of `graphql/`, and the fragments they share.

A document names the fragments that it needs in its first lines: `# fragment: line_item.graphql`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

_FRAGMENT = re.compile(r"^# fragment: ([a-z_]+\.graphql)$", re.MULTILINE)
_OPERATION = re.compile(r"^(query|mutation) ([A-Za-z]+)", re.MULTILINE)
_FOLDER = files("connectors.shopify") / "graphql"


@dataclass(frozen=True, slots=True)
class Document:
    """A document to send. `name` is the operation's name, `effect` True for a mutation."""

    name: str
    text: str
    effect: bool


@cache
def document(file: str) -> Document:
    """The document in `graphql/<file>.graphql`, with its fragments behind it."""
    text, seen = _with_fragments(f"{file}.graphql", set())
    match = _OPERATION.search(text)
    if match is None:
        raise ValueError(f"{file}: no operation in {sorted(seen)}")
    return Document(match[2], text, match[1] == "mutation")


def _with_fragments(file: str, seen: set[str]) -> tuple[str, set[str]]:
    seen.add(file)
    text = (_FOLDER / file).read_text(encoding="utf-8")
    for name in _FRAGMENT.findall(text):
        if name not in seen:
            text += "\n" + _with_fragments(name, seen)[0]
    return text, seen


def all_documents() -> tuple[Document, ...]:
    """Every operation that the connector can send."""
    found = sorted(entry.name for entry in _FOLDER.iterdir() if entry.name.endswith(".graphql"))
    texts = {name: (_FOLDER / name).read_text(encoding="utf-8") for name in found}
    return tuple(document(name.removesuffix(".graphql")) for name, text in texts.items() if _OPERATION.search(text))
