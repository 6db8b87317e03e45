"""The OpenAPI document: what FastAPI finds in the signatures, and what it cannot see there, from the one list of routes."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from homedex.api.deps import JSON, NDJSON
from homedex.api.items import view_parameters
from homedex.api.problems import MEDIA_TYPE
from homedex.registry import schemas
from homedex.registry.queries import LARGEST_NUMBER, LONGEST_TEXT, RELEVANCE

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from homedex.api.app import Route
    from homedex.registry.queries import Questions

Schema = dict[str, Any]

DESCRIPTION = """
Every device and entity of a home or a fleet: what is there, who made it, where it stands, what has changed.

**Lists** take filters: repeat one to accept several values, use different ones to narrow. A suffix asks for more than equality:
`__gte` and `__lt` compare, `__ic` contains ignoring case, `__empty` tells whether there is a value. Times are RFC 3339 with a
zone, or relative to now: `last_seen__lt=-7d`. `sort=-last_seen,name` orders, null is smallest, and without it rows come in the
order in which they were registered. `next` and `prev` lead on; no page loses or repeats a row that stays. `.csv` and `.ndjson`
give the whole result.

**Answers** carry an `ETag` and ask to be asked for again before each use; with it in `If-None-Match`, one that is still the same
costs a 304. An answer is never older than the last change that was confirmed before the question, whoever made that change.

**Edits** are conditional where you ask for it: `If-Match` with the `ETag` you have, `If-None-Match: *` to make something new.

**Errors** are problem documents (RFC 9457) that say what happened and what to do; their `type` leads to a page.
"""

REF = "#/components/schemas/{model}"
ALWAYS = (400, 413, 422, 500, 503)
PARTIAL = {"devices": "Device", "entities": "Entity", "areas": "Area", "sources": "Source", "changes": "Change"}
NESTED: dict[str, Schema] = {
    "entities": {"type": "array", "items": {"type": "object"}},
    "device": {"type": ["object", "null"]},
    "area": {"type": ["object", "null"]},
}
RELATIVE = r"^[+-](\d{1,6}[smh]|\d{1,5}d|\d{1,4}w)$"
OF_KIND: dict[str, Schema] = {
    "text": {"type": "string", "maxLength": LONGEST_TEXT},
    "time": {
        "type": "string",
        "anyOf": [{"format": "date-time"}, {"pattern": RELATIVE}],
        "examples": ["2026-11-22T13:52:56Z", "-7d"],
    },
    "flag": {"type": "boolean"},
    "number": {"type": "integer", "format": "int64", "minimum": -LARGEST_NUMBER, "maximum": LARGEST_NUMBER},
}
CONTROL: dict[str, Schema] = {
    "limit": {"type": "integer", "minimum": 1, "maximum": 1000, "default": 50},
    "count": {"type": "string", "enum": ["exact", "none"], "default": "exact"},
    "removed": {"anyOf": [{"type": "boolean"}, {"const": "any"}], "default": False},
    "q": {"type": "string", "maxLength": LONGEST_TEXT},
}
TAGS: Schema = {"pattern": r'^(\*|((W/)?"[!#-~]*"( *, *(W/)?"[!#-~]*")*)?)$', "examples": ['"3-5f0c9a1b2d4e"', "*"]}
HEADERS: dict[str, tuple[tuple[str, str, Schema], ...]] = {
    "get": (("If-None-Match", "the `ETag` you have: 304 if it is still as it was", TAGS),),
    "put": (
        ("If-Match", "the `ETag` you have: 412 if the record was edited meanwhile; `*`: it must be there", TAGS),
        ("If-None-Match", "`*`: make a new record, or nothing (412)", {"enum": ["*"]}),
    ),
    "edit": (("If-Match", "the `ETag` you have: 412 if the record was edited meanwhile", TAGS),),
}
ANSWERED: dict[int, tuple[str, str]] = {
    308: ("Location", "the same question at its present address"),
    503: ("Retry-After", "seconds to wait"),
}
"""Headers of answers, by status."""
MEANINGS = {
    200: "As asked for",
    201: "Made, or back again",
    204: "Done",
    304: "Still as it was",
    308: "It has another id now; Location leads there",
    400: "A parameter that does not exist, a cursor of another list, a body that is no JSON, or a host name that is not ours",
    404: "There is no such record",
    406: "The client does not take this media type",
    409: "The rows that are there do not allow it",
    410: "It was removed",
    412: "It was edited meanwhile, is not there, or is there already",
    413: "The body has more than 16 MiB",
    415: "The body is of another media type",
    422: "Something in the request breaks a rule; `errors` says where",
    500: "Our fault; it was logged",
    503: "Busy, or the storage cannot be used; try again",
    507: "No space is left; nothing was written",
}


_CHECKS: Schema = {
    JSON: {
        "schema": {
            "type": "object",
            "required": ["status", "checks"],
            "properties": {
                "status": {"enum": ["ok", "not ready"]},
                "checks": {"type": "object", "additionalProperties": {"type": "string"}},
                "wal_bytes": {"type": "integer", "minimum": 0},
                "backups": {
                    "type": "object",
                    "properties": {key: {"type": ["string", "null"]} for key in ("made_at", "verified_at", "problem", "trouble")},
                },
            },
        }
    }
}
_ALIVE: Schema = {JSON: {"schema": {"type": "object", "required": ["status"], "properties": {"status": {"const": "ok"}}}}}
PLAIN: dict[str, Schema] = {
    "/livez": {"200": {"description": "The process answers", "content": _ALIVE}},
    "/readyz": {
        "200": {"description": "Every check is ok", "content": _CHECKS},
        "503": {"description": "A check failed: `checks` says which and why", "content": _CHECKS},
    },
    "/": {
        "200": {"description": "How to fill a registry that is empty", "content": {"text/html": {"schema": {"type": "string"}}}},
        "307": {"description": "To /docs", "headers": {"Location": {"schema": {"type": "string"}, "required": True}}},
    },
}
"""What the routes beside the API answer."""


def document(app: FastAPI, routes: Sequence[Route]) -> Schema:
    """The whole document, made once."""
    if app.openapi_schema is None:
        made = get_openapi(title=app.title, version=app.version, description=app.description, routes=app.routes)
        components = _components(routes)
        made["components"] = components
        for route in routes:
            _describe(made["paths"][route.path][route.method.lower()], route)
        for path, responses in PLAIN.items():
            operation = made["paths"][path]["get"]
            operation["operationId"] = operation["operationId"].partition("_")[0]
            faults = (400, 413) if path == "/livez" else (400, 413, 500) if path == "/readyz" else (400, 413, 500, 503)
            operation["responses"] = responses | {str(status): _problem(status) for status in faults}
        app.openapi_schema = made
    return app.openapi_schema


def _components(routes: Sequence[Route]) -> Schema:
    models: list[type[BaseModel]] = [schemas.Problem, schemas.InvalidProblem]
    for route in routes:
        models += [model for model in (*route.answers.values(), route.body) if isinstance(model, type)]
    inputs = {route.body for route in routes if route.body is not None}
    wanted: Any = [(model, "validation" if model in inputs else "serialization") for model in dict.fromkeys(models)]
    _, definitions = models_json_schema(wanted, ref_template=REF)
    found: Schema = definitions["$defs"]
    all_questions = _questions(routes)
    for questions in all_questions:
        name = PARTIAL[questions.noun]
        part = copy.deepcopy(found[name])
        del part["required"]
        part.pop("examples", None)
        part["title"] = part_name = f"{name}Part"
        part["description"] = "With `fields` these members alone; with `expand` more."
        part["properties"] |= {nested: NESTED[nested] for nested in questions.expansions}
        part["additionalProperties"] = False
        found[part_name] = part
        found[f"{name}Page"]["properties"][questions.noun]["items"] = _whole_or_part(name)
    parameters = {f"{questions.noun}.{name}": one for questions in all_questions for name, one in _parameters(questions).items()}
    return {"schemas": found, "parameters": parameters}


def _whole_or_part(name: str) -> Schema:
    return {"anyOf": [{"$ref": REF.format(model=name)}, {"$ref": REF.format(model=f"{name}Part")}]}


def _questions(routes: Iterable[Route]) -> list[Questions]:
    return list(dict.fromkeys(route.listing.questions for route in routes if route.listing is not None))


def _parameters(questions: Questions) -> dict[str, Schema]:
    """Every parameter of a list."""
    found: dict[str, Schema] = {}
    for name, about in questions.control.items():
        schema = CONTROL.get(name, {"type": "string"})
        names = _names_in(questions).get(name)
        if names is not None:
            schema = {"type": "array", "items": {"type": "string", "enum": names}, "minItems": 1}
        if name == "sort":
            schema["uniqueItems"] = True
            schema = {"anyOf": [schema, {"const": RELEVANCE}]} if questions.searchable else schema
        found[name] = _parameter(name, about, schema) | ({} if names is None else {"style": "form", "explode": False})
    for name, one in questions.filters.items():
        items = {"type": "string", "enum": list(one.choices)} if one.choices else OF_KIND[one.kind]
        found[name] = _parameter(name, one.about, {"type": "array", "items": items, "maxItems": 100})
    return found


def _names_in(questions: Questions) -> dict[str, list[str]]:
    """What each parameter that takes names, with commas between them, knows."""
    sortable = [name for name, one in questions.fields.items() if one.sortable]
    return {
        "sort": [*sortable, *(f"-{name}" for name in sortable)],
        "fields": list(questions.fields),
        "facet": [name for name, one in questions.fields.items() if one.facet],
        "expand": list(questions.expansions),
    }


def _parameter(name: str, about: str, schema: Schema) -> Schema:
    return {"name": name, "in": "query", "required": False, "description": about, "schema": schema}


def _describe(operation: Schema, route: Route) -> None:
    """Put in what only the list of routes knows."""
    for parameter in operation.get("parameters", []):
        parameter["schema"].pop("title", None)
    operation.setdefault("parameters", []).extend(_query(route))
    operation["parameters"] += [
        {"name": name, "in": "header", "required": False, "description": about, "schema": {"type": "string", **schema}}
        for name, about, schema in HEADERS.get(route.conditional, ())
    ]
    if route.body is not None:
        operation["requestBody"] = {"required": True, "content": _body(route)}
    if route.path.endswith("/bulk"):
        about = "sent again within 24 hours, the request is not carried out twice but gets the same answer"
        schema = {"type": "string", "minLength": 1, "maxLength": 255, "pattern": r"^[!-~]+$"}
        operation["parameters"].append(
            {"name": "Idempotency-Key", "in": "header", "required": False, "description": about, "schema": schema}
        )
    if not operation["parameters"]:
        del operation["parameters"]
    operation["responses"] = _responses(route)


def _query(route: Route) -> list[Schema]:
    found = [_parameter(name, about, _one_of(values)) for name, (about, values) in route.parameters.items()]
    if route.listing is None or not route.takes:
        return found
    questions = route.listing.questions
    names = view_parameters(route.listing) if route.takes == "view" else questions.names(whole=route.takes == "whole")
    return [*found, *({"$ref": f"#/components/parameters/{questions.noun}.{name}"} for name in names)]


def _one_of(values: tuple[str, ...]) -> Schema:
    """One of these texts, or any text where none are named."""
    if values == ("true", "false"):
        return {"type": "boolean", "default": False}
    return {"type": "string", "enum": list(values)} if values else {"type": "string", "maxLength": LONGEST_TEXT}


def _body(route: Route) -> Schema:
    assert route.body is not None  # noqa: S101  (the caller has looked)
    content: Schema = {kind: {"schema": {"$ref": REF.format(model=route.body.__name__)}} for kind in route.kinds}
    if NDJSON in content:
        content[NDJSON] = {"schema": {"type": "string", "description": "one row a line"}}
    return content


def _responses(route: Route) -> Schema:
    found: Schema = {}
    for status, answer in route.answers.items():
        response: Schema = {"description": MEANINGS[status]}
        if isinstance(answer, str):
            response["content"] = {answer: {"schema": {"type": "string"}}}
        elif answer is not None:
            name = answer.__name__
            response["content"] = {
                JSON: {"schema": _whole_or_part(name) if route.takes == "view" else {"$ref": REF.format(model=name)}}
            }
        headers = {}
        if route.conditional and status != 204:  # noqa: PLR2004  (No Content)
            headers["ETag"] = "of what is in this answer"
        if route.takes == "page":
            headers["Link"] = "the pages beside this one (RFC 8288)"
        if headers:
            response["headers"] = {name: {"schema": {"type": "string"}, "description": about} for name, about in headers.items()}
        found[str(status)] = response
    writes = (507,) if route.method != "GET" else ()
    speaks = (406,) if any(route.answers.values()) else ()
    return found | {str(status): _problem(status) for status in sorted({*route.faults, *ALWAYS, *writes, *speaks})}


def _problem(status: int) -> Schema:
    """The answer of a fault, by its status."""
    found: Schema = {"description": MEANINGS[status]}
    if status in ANSWERED:
        name, about = ANSWERED[status]
        found["headers"] = {name: {"schema": {"type": "string"}, "required": True, "description": about}}
    if status != 304:  # noqa: PLR2004  (Not Modified has no body)
        model = "InvalidProblem" if status == 422 else "Problem"  # noqa: PLR2004
        found["content"] = {MEDIA_TYPE: {"schema": {"$ref": REF.format(model=model)}}}
    return found
