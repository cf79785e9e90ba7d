"""Runs GraphQL documents against the simulator's schema: validated by graphql-core, executed by a plan of our own.

A document is parsed, validated and planned once; running the plan over records is several times faster than the
general executor, which matters because benchmarks count our client and not this.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import graphql
from graphql.execution.values import get_argument_values, get_variable_values

from connectors.shopify.simulator import scopes

Resolver = Callable[["Run", Any, Mapping[str, Any]], Any]

_SCHEMA_FILE = Path(__file__).with_name("schema.graphql")
_MOST_PLANS = 500
_MUTATION_COST = 10


class DeniedError(Exception):
    """A field that is not given: null, with an error of this `code` beside the data."""

    def __init__(self, message: str, code: str = "ACCESS_DENIED") -> None:
        super().__init__(message)
        self.code = code


class _NullError(Exception):
    """Null where the schema has none: what holds it becomes null itself."""


@dataclass(slots=True)
class Run:
    """One execution: what the resolvers need, and what they found wrong."""

    world: Any
    shop: Any
    errors: list[dict[str, Any]] = field(default_factory=list)
    objects: int = 0


@dataclass(slots=True)
class Selection:
    """One field of a plan."""

    key: str
    name: str
    resolve: Resolver | None
    arguments: Mapping[str, Any] | None
    node: Any
    definition: Any
    children: list[Selection] | None
    paged: bool
    error_type: str
    needs: tuple[str, ...] = ()
    required: bool = False


@dataclass(slots=True)
class Plan:
    """A checked document with one operation chosen."""

    kind: str
    name: str
    roots: tuple[str, ...]
    selections: list[Selection]
    variable_definitions: Any


class RefusalError(Exception):
    """A document or variables that the real API would refuse; `errors` as in the answer."""

    def __init__(self, errors: list[dict[str, Any]]) -> None:
        super().__init__("refused")
        self.errors = errors


class Engine:
    """Plans by document text. Thread-safe."""

    def __init__(self, resolvers: Mapping[tuple[str, str], Resolver]) -> None:
        self.schema = graphql.build_schema(_SCHEMA_FILE.read_text(encoding="utf-8"))
        self._resolvers = resolvers
        self._plans: dict[tuple[str, str | None], Plan] = {}
        self._lock = threading.Lock()

    def plan(self, text: str, operation: str | None) -> Plan:
        """The plan of a document. Raises `RefusalError`."""
        found = self._plans.get((text, operation))
        if found is None:
            with self._lock:
                if len(self._plans) >= _MOST_PLANS:
                    self._plans.clear()
                found = self._plans[text, operation] = self._make(text, operation)
        return found

    def _make(self, text: str, operation: str | None) -> Plan:
        try:
            document = graphql.parse(text)
        except graphql.GraphQLError as error:
            raise RefusalError([{"message": error.message}]) from error
        findings = graphql.validate(self.schema, document)
        if findings:
            raise RefusalError([_invalid(finding) for finding in findings])
        operations = [node for node in document.definitions if isinstance(node, graphql.OperationDefinitionNode)]
        chosen = [node for node in operations if operation is None or (node.name and node.name.value == operation)]
        if len(chosen) != 1:
            raise RefusalError([{"message": f"No operation named {operation!r}"}])
        node = chosen[0]
        fragments = {
            item.name.value: item for item in document.definitions if isinstance(item, graphql.FragmentDefinitionNode)
        }
        root = self.schema.get_root_type(node.operation)
        selections = self._select(root, [node.selection_set], fragments)
        roots = tuple(selection.name for selection in selections)
        name = node.name.value if node.name else ""
        return Plan(node.operation.value, name, roots, selections, node.variable_definitions)

    def _select(self, parent: Any, sets: list[Any], fragments: Mapping[str, Any]) -> list[Selection]:
        fields: dict[str, list[Any]] = {}
        self._collect(sets, fragments, fields)
        return [self._selection(parent, key, nodes, fragments) for key, nodes in fields.items()]

    def _collect(self, sets: list[Any], fragments: Mapping[str, Any], fields: dict[str, list[Any]]) -> None:
        for chosen in sets:
            for node in chosen.selections:
                if node.directives:
                    raise RefusalError([{"message": "the simulator knows no directives"}])
                if isinstance(node, graphql.FieldNode):
                    fields.setdefault(node.alias.value if node.alias else node.name.value, []).append(node)
                elif isinstance(node, graphql.FragmentSpreadNode):
                    self._collect([fragments[node.name.value].selection_set], fragments, fields)
                else:
                    self._collect([node.selection_set], fragments, fields)

    def _selection(self, parent: Any, key: str, nodes: list[Any], fragments: Mapping[str, Any]) -> Selection:
        name = nodes[0].name.value
        if name == "__typename":
            return Selection(key, name, lambda *_: parent.name, {}, nodes[0], None, None, paged=False, error_type="")
        definition = parent.fields[name]
        inner = graphql.get_named_type(definition.type)
        sets = [node.selection_set for node in nodes if node.selection_set]
        constant = not any(_has_variable(argument.value) for argument in nodes[0].arguments or ())
        return Selection(
            key=key,
            name=name,
            resolve=self._resolvers.get((parent.name, name)),
            arguments=get_argument_values(definition, nodes[0]) if constant else None,
            node=nodes[0],
            definition=definition,
            children=self._select(inner, sets, fragments) if sets else None,
            paged="first" in definition.args,
            error_type=parent.name,
            needs=scopes.NEEDS.get((parent.name, name), ()),
            required=graphql.is_non_null_type(definition.type),
        )

    def variables(self, plan: Plan, given: Mapping[str, Any]) -> Any:
        """Coerced variables. Raises `RefusalError`."""
        coerced = get_variable_values(self.schema, plan.variable_definitions or (), dict(given))
        if isinstance(coerced, list):
            code = {"extensions": {"code": "INVALID_VARIABLE"}}
            raise RefusalError([{"message": error.message, **code} for error in coerced])
        return coerced

    def cost(self, selections: list[Selection], variables: Any) -> float:
        """Requested points. How the real API weighs pages is unconfirmed: a tenth of the page here."""
        total = 0.0
        for selection in selections:
            if selection.children is None:
                continue
            inside = self.cost(selection.children, variables)
            if selection.paged:
                first = _arguments(selection, variables).get("first")
                total += 1 + math.ceil((first or 10) * (1 + inside) / 10)
            else:
                total += 1 + inside
        return total

    def execute(self, plan: Plan, variables: Any, run: Run) -> dict[str, Any] | None:
        """The data. Mutations must be run under the world's lock."""
        try:
            return _object(plan.selections, {}, variables, run, ())
        except _NullError:
            return None

    def requested(self, plan: Plan, variables: Any) -> float:
        """Points that the document asks for."""
        extra = _MUTATION_COST if plan.kind == "mutation" else 0
        return self.cost(plan.selections, variables) + extra


def _invalid(error: graphql.GraphQLError) -> dict[str, Any]:
    places = [{"line": place.line, "column": place.column} for place in error.locations or []]
    return {"message": error.message, "locations": places, "extensions": {"code": "undefinedField"}}


def _has_variable(node: Any) -> bool:
    if isinstance(node, graphql.VariableNode):
        return True
    if isinstance(node, graphql.ListValueNode):
        return any(_has_variable(value) for value in node.values)
    if isinstance(node, graphql.ObjectValueNode):
        return any(_has_variable(part.value) for part in node.fields)
    return False


def _arguments(selection: Selection, variables: Any) -> Mapping[str, Any]:
    if selection.arguments is not None:
        return selection.arguments
    return get_argument_values(selection.definition, selection.node, variables)


def _object(
    selections: list[Selection], source: Any, variables: Any, run: Run, path: tuple[Any, ...]
) -> dict[str, Any]:
    run.objects += 1
    out: dict[str, Any] = {}
    for selection in selections:
        here = (*path, selection.key)
        try:
            value = _value(selection, _resolved(selection, source, variables, run, here), variables, run, here)
        except _NullError:
            value = None
        if value is None and selection.required:
            raise _NullError
        out[selection.key] = value
    return out


def _resolved(selection: Selection, source: Any, variables: Any, run: Run, here: tuple[Any, ...]) -> Any:
    """What the field holds; None, with an error noted, if it is not given."""
    if selection.needs and not any(scopes.covers(run.shop["scopes"], scope) for scope in selection.needs):
        run.errors.append(scopes.error(selection.name, selection.needs, list(here)))
        return None
    if selection.resolve is None:
        return source[selection.name]
    try:
        return selection.resolve(run, source, _arguments(selection, variables))
    except DeniedError as denied:
        run.errors.append({"message": str(denied), "path": list(here), "extensions": {"code": denied.code}})
        return None


def _value(selection: Selection, value: Any, variables: Any, run: Run, here: tuple[Any, ...]) -> Any:
    """The part of it that was asked for."""
    children = selection.children
    if children is None or value is None:
        return value
    if isinstance(value, list):
        return [_object(children, item, variables, run, (*here, index)) for index, item in enumerate(value)]
    return _object(children, value, variables, run, here)
