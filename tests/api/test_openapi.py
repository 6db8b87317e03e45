"""The OpenAPI document: as it was agreed, valid, complete, and with examples that are true."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest
from schemathesis.specs.openapi.definitions import OPENAPI_31_VALIDATOR

from homedex.api.app import BACKUP_ROUTES, PLAIN_ROUTES, ROUTES, openapi_document
from homedex.api.openapi import ALWAYS

pytestmark = pytest.mark.sqlite

SNAPSHOT = Path(__file__).parent.parent.parent / "docs" / "openapi.json"
DOCUMENT = openapi_document()
PROBLEMS = ({"$ref": "#/components/schemas/Problem"}, {"$ref": "#/components/schemas/InvalidProblem"})
OPERATIONS = {(method, path): operation for path, item in DOCUMENT["paths"].items() for method, operation in item.items()}

operations = pytest.mark.parametrize(("method", "path"), OPERATIONS)


def parts(value: Any, place: str = "#") -> Iterator[tuple[str, dict[str, Any]]]:
    """Every object in the document, with its place."""
    if isinstance(value, dict):
        yield place, value
        for name, inner in value.items():
            yield from parts(inner, f"{place}/{name}")
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from parts(inner, f"{place}/{index}")


def is_schema(place: str) -> bool:
    return place.endswith("/schema") or (place.startswith("#/components/schemas/") and place.count("/") == 3)


EXAMPLES = [
    pytest.param(part, example, id=f"{place}/examples/{index}")
    for place, part in parts(DOCUMENT)
    if "/examples" not in place and isinstance(part.get("examples"), list)
    for index, example in enumerate(part["examples"])
]


def test_the_document_is_the_one_that_was_agreed() -> None:
    agreed = json.loads(SNAPSHOT.read_text())
    assert agreed == json.loads(json.dumps(DOCUMENT)), "if the change is meant: homedex openapi > docs/openapi.json"


def test_it_is_valid_openapi() -> None:
    OPENAPI_31_VALIDATOR.validate(DOCUMENT)


def test_every_schema_in_it_is_one() -> None:
    schemas = [part for place, part in parts(DOCUMENT) if is_schema(place)]
    assert len(schemas) > 200
    for schema in schemas:
        jsonschema_rs.meta.validate(schema | {"$schema": "https://json-schema.org/draft/2020-12/schema"})


def test_every_reference_in_it_leads_somewhere() -> None:
    for place, part in parts(DOCUMENT):
        found: Any = DOCUMENT
        for name in part.get("$ref", "#").split("/")[1:]:
            assert name in found, f"{place} refers to {part['$ref']}"
            found = found[name]


def test_every_route_is_in_it_and_nothing_else() -> None:
    assert set(OPERATIONS) == {(route.method.lower(), route.path) for route in (*ROUTES, *BACKUP_ROUTES, *PLAIN_ROUTES)}


def test_every_operation_has_an_id_of_its_own() -> None:
    ids = [operation["operationId"] for operation in OPERATIONS.values()]
    assert len(set(ids)) == len(ids) == len(OPERATIONS)
    assert all(name.isidentifier() for name in ids)


@operations
def test_every_operation_says_what_it_is_for_and_how_it_fails(method: str, path: str) -> None:
    operation = OPERATIONS[method, path]
    assert operation["summary"]
    assert operation["tags"]
    if path.startswith("/api"):
        assert {str(status) for status in ALWAYS} <= set(operation["responses"])
    assert all(answer["description"] for answer in operation["responses"].values())


@operations
def test_every_fault_is_a_problem_document(method: str, path: str) -> None:
    faults = [
        (status, answer) for status, answer in OPERATIONS[method, path]["responses"].items() if int(status) in range(308, 600)
    ]
    for status, answer in faults:
        if (path, status) != ("/readyz", "503") and status != "304":
            assert answer["content"] in [{"application/problem+json": {"schema": problem}} for problem in PROBLEMS]


@operations
def test_every_parameter_of_an_operation_is_there_once_and_explained(method: str, path: str) -> None:
    given = [
        one if "name" in one else DOCUMENT["components"]["parameters"][one["$ref"].rpartition("/")[2]]
        for one in OPERATIONS[method, path].get("parameters", [])
    ]
    assert len({(one["in"], one["name"]) for one in given}) == len(given)
    for one in given:
        assert one["required"] == (one["in"] == "path")
        assert "__" in one["name"] or one["in"] == "query" or one["description"]


@pytest.mark.parametrize(("schema", "example"), EXAMPLES)
def test_every_example_is_what_its_schema_says(schema: dict[str, Any], example: Any) -> None:
    jsonschema_rs.validate(schema | {"components": DOCUMENT["components"]}, example, validate_formats=True)
