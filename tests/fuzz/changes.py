"""A change of a valid JSON text, as plain data: it can be drawn, shrunk, printed, kept and applied again.

`{"body": text}` puts that text in its place. `{"edits": [[where, what, value], …], "frame": how}` changes what stands
at place number `where` (counted modulo the places that there are; a list is a path), then how the text is written.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from typing import Any

from hypothesis import strategies as st

from tests.fuzz.nasties import BODIES, TEXTS, VALUES, to_bytes

WHAT = ("set", "delete", "double", "wrap", "unwrap", "rename", "add", "text", "move")
FRAMES = ("", "", "", "", "bom", "cut", "tail", "twice", "ascii", "latin")
NAMES = ("error_code", "error_msg", "is_success", "order_list", "code", "sub_code", "id", "error_response", "result")
Change = dict[str, Any]
Place = tuple[Any, Any]


def values() -> st.SearchStrategy[Any]:
    """Any JSON value, most of them nasty."""
    plain = st.one_of(
        st.sampled_from(VALUES),
        st.sampled_from(TEXTS),
        st.integers(-(10**20), 10**20),
        st.text(max_size=20),
        st.dates().map(lambda day: f"{day.isoformat()}T00:00:00Z"),
    )
    return st.one_of(plain, plain, st.lists(plain, max_size=3), st.dictionaries(st.text(max_size=5), plain, max_size=3))


def changes() -> st.SearchStrategy[Change]:
    """A few edits, seldom another body altogether."""
    edit = st.tuples(st.integers(0, 400), st.sampled_from(WHAT), values()).map(list)
    edited = st.fixed_dictionaries({"edits": st.lists(edit, min_size=1, max_size=4), "frame": st.sampled_from(FRAMES)})
    return st.one_of(edited, edited, edited, edited, st.sampled_from(BODIES).map(lambda body: {"body": body}))


def curated() -> Iterator[Change]:
    """Each nasty: the bodies as they are, the values and texts in place after place."""
    for body in BODIES:
        yield {"body": body}
    for place, value in enumerate((*VALUES, *TEXTS)):
        yield {"edits": [[place, "set", value]], "frame": ""}
        yield {"edits": [[place * 7 + 3, "text", value]], "frame": ""}
    for frame in sorted(set(FRAMES)):
        yield {"edits": [], "frame": frame}


def apply(change: Change, valid: bytes) -> bytes:
    """The changed text."""
    if "body" in change:
        return to_bytes(change["body"])
    try:
        root = [json.loads(valid)]
    except ValueError:
        return valid
    for where, what, value in change["edits"]:
        _edit(root, where, what, value)
    return _framed(written(root[0]), change["frame"])


def places(root: Any) -> list[Place]:
    """(container, key) of every value, in the order of reading."""
    found: list[Place] = []
    waiting: list[Any] = [root]
    while waiting:
        at = waiting.pop(0)
        keys = list(at) if isinstance(at, dict) else range(len(at)) if isinstance(at, list) else ()
        if isinstance(at, dict) and "@raw" in at:
            continue
        for key in keys:
            found.append((at, key))
            waiting.append(at[key])
    return found


def _edit(root: list[Any], where: int | list[Any], what: str, value: Any) -> None:
    if isinstance(where, list):
        _set_at(root[0], where, value)
        return
    found = places(root)
    if what == "text":  # only where a text stands: a name, a message, a number as text
        found = [(at, key) for at, key in found if isinstance(at[key], str)] or found
    at, key = found[where % len(found)]
    name = NAMES[where % len(NAMES)]
    if what == "delete" and at is not root:
        del at[key]
    elif what == "rename" and isinstance(at, dict):
        at[name] = at.pop(key)
    elif what == "add" and isinstance(at[key], dict):
        at[key][name] = copy.deepcopy(value)
    elif what == "move":
        other, place = found[(where * 31 + 7) % len(found)]
        other[place] = copy.deepcopy(at[key])
    else:
        at[key] = _instead(at[key], what, value, as_object=bool(where % 2))


def _set_at(root: Any, path: list[Any], value: Any) -> None:
    at = root
    for key in path[:-1]:
        at = at.get(key) if isinstance(at, dict) else None
    if isinstance(at, dict):
        at[path[-1]] = copy.deepcopy(value)


def _instead(here: Any, what: str, value: Any, *, as_object: bool) -> Any:
    if what == "double":
        return here * 2 if isinstance(here, list) else [here, copy.deepcopy(here)]
    if what == "wrap":
        return {"value": here} if as_object else [here]
    if what == "unwrap" and isinstance(here, dict | list) and here:
        return next(iter(here.values())) if isinstance(here, dict) else here[0]
    return copy.deepcopy(value)


def written(value: Any) -> str:
    """JSON text; raw parts as they are."""
    raws: list[str] = []

    def marked(one: Any) -> Any:
        if isinstance(one, dict):
            if set(one) == {"@raw"}:
                raws.append(str(one["@raw"]))
                return f"@@{len(raws) - 1}@@"
            return {key: marked(inner) for key, inner in one.items()}
        return [marked(inner) for inner in one] if isinstance(one, list) else one

    text = json.dumps(marked(value))
    for number, raw in enumerate(raws):
        text = text.replace(f'"@@{number}@@"', raw)
    return text


def _framed(text: str, frame: str) -> bytes:
    plain = text.encode()
    if frame == "bom":
        return b"\xef\xbb\xbf" + plain
    if frame == "cut":
        return plain[: len(plain) * 2 // 3]
    if frame == "tail":
        return plain + b"\n<!-- cached -->"
    if frame == "twice":
        return plain * 2
    if frame == "latin":
        return plain.replace(b"a", b"\xe9", 1)
    return plain
