"""The OpenAPI document, made of the types that decode the requests and shape the answers."""

from __future__ import annotations

import functools
import importlib.metadata
from typing import TYPE_CHECKING, Any

import msgspec
from aiohttp import web

from collector.access.sessions import COOKIE
from collector.api.operation import JSON, PROTOBUF, Operation
from collector.api.operations import OPERATIONS
from collector.api.parameters import Conditions
from collector.api.parquet import Parquet
from collector.api.responses import PREFIX

if TYPE_CHECKING:
    from collections.abc import Iterable

    from collector.access.needs import Needs

# How OpenAPI says that a parameter may have any name.
EXTRA = {
    "name": "extra",
    "in": "query",
    "required": False,
    "style": "form",
    "explode": True,
    "schema": {
        "type": "object",
        "patternProperties": {
            r"\.(gte|gt|lte|lt)$": {"type": "string", "pattern": r"^-?[0-9]{1,9}(\.[0-9]+)?$"}
        },
        "additionalProperties": {"type": "string"},
    },
    "description": (
        "any other name is a field: a key of `extra`, one of the resource's attributes, and as"
        " docs/search.md has it; `not.` before it says what it must not be, and `.gte`, `.gt`,"
        " `.lte` or `.lt` behind it compares numbers"
    ),
}

# Where keys are asked for; without them everybody may do everything.
SCHEMES = {
    "bearer": {"type": "http", "scheme": "bearer"},
    "header": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
    "session": {"type": "apiKey", "in": "cookie", "name": COOKIE},
}
REFUSALS = {
    401: "keys are asked for, and there is none that is known",
    403: "the key is not for this",
}


async def answer(_: web.Request) -> web.Response:
    """Answer with the document."""
    return web.Response(body=msgspec.json.encode(document()), content_type=JSON)


@functools.cache
def document() -> dict[str, Any]:
    """Give the document; it is made once and not to be changed."""
    schemas, components = _schemas()
    paths: dict[str, dict[str, Any]] = {}
    for operation in OPERATIONS:
        paths.setdefault(operation.path, {})[operation.method] = _operation(operation, schemas)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "pixsim-collector",
            "version": importlib.metadata.version("pixsim-collector"),
            "description": "Stores log records and finds them again.",
        },
        "paths": paths,
        "components": {"schemas": components, "securitySchemes": SCHEMES},
    }


def _schemas() -> tuple[dict[Any, Any], dict[str, Any]]:
    """Give the schema of each type that an operation names, and what these refer to."""
    named = [
        kind
        for operation in OPERATIONS
        for kind in (
            operation.in_path,
            operation.query,
            operation.body,
            operation.answer,
            operation.failure,
        )
        if kind is not None
    ]
    kinds = list(dict.fromkeys(named))
    found, components = msgspec.json.schema_components(
        kinds, ref_template="#/components/schemas/{name}"
    )
    schemas = dict(zip(kinds, found, strict=True))
    for operation in OPERATIONS:  # parameters are written out where they are used
        for kind in (operation.in_path, operation.query):
            if kind is not None and kind.__name__ in components:
                schemas[kind] = components.pop(kind.__name__)
    return schemas, components


def _operation(operation: Operation, schemas: dict[Any, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {"summary": operation.summary, "operationId": _id(operation)}
    if operation.needs.scope is not None:
        found["security"] = [{}, *({name: []} for name in SCHEMES)]  # or none, where nobody asks
        found["description"] = _key(operation.needs)
    if operation.endpoint:
        found["servers"] = [{"url": f"http://{operation.endpoint}", "description": "by default"}]
    in_path = _parameters(schemas.get(operation.in_path), "path")
    in_query = _parameters(schemas.get(operation.query), "query")
    if operation.query is not None and issubclass(operation.query, Conditions):
        in_query.append(EXTRA)
    if parameters := [*in_path, *in_query]:
        found["parameters"] = parameters
    if operation.body is not None:
        content = _content(schemas[operation.body], operation.media)
        found["requestBody"] = {"required": True, "content": content}
    answered = _content(schemas[operation.answer], operation.media)
    # A file that can't be had is an error like any other.
    failing = [JSON, *(each for each in operation.media if each == PROTOBUF)]
    found["responses"] = {"200": {"description": "done", "content": answered}} | {
        str(status): {"description": why, "content": _content(schemas[operation.failure], failing)}
        for status, why in sorted(_failures(operation).items())
    }
    return found


def _key(needs: Needs) -> str:
    only = "" if needs.some else ", and be for all services and envs"
    return f"Where keys are asked for, one must have the scope `{needs.scope}`{only}."


def _failures(operation: Operation) -> dict[int, str]:
    if operation.needs.scope is None:
        return operation.failures
    reasons = filter(None, (REFUSALS[403], operation.failures.get(403)))
    return REFUSALS | operation.failures | {403: "; or ".join(reasons)}


def _id(operation: Operation) -> str:
    words = operation.path.removeprefix(PREFIX).replace("{", "by_").replace("}", "")
    return "_".join((operation.method, *filter(None, words.replace("-", "_").split("/")))).replace(
        ".", "_"
    )


def _content(schema: Any, medias: Iterable[str]) -> dict[str, Any]:
    binary = {"type": "string", "format": "binary"}
    return {
        media: {"schema": binary if media in {PROTOBUF, Parquet.media} else schema}
        for media in medias
    }


def _parameters(schema: dict[str, Any] | None, place: str) -> list[dict[str, Any]]:
    if schema is None:
        return []
    return [
        _parameter(name, kind, place, required=name in schema.get("required", ()))
        for name, kind in schema["properties"].items()
    ]


def _parameter(name: str, kind: dict[str, Any], place: str, *, required: bool) -> dict[str, Any]:
    """Describe a parameter: its absence, not null, says that there is none."""
    schema = {key: value for key, value in kind.items() if key != "description"}
    if schema.get("default", 0) in {None, ()}:
        del schema["default"]
    kinds = [each for each in schema.get("anyOf", ()) if each != {"type": "null"}]
    if len(kinds) == 1:
        schema = {**{key: value for key, value in schema.items() if key != "anyOf"}, **kinds[0]}
    elif kinds:
        schema["anyOf"] = kinds
    described: dict[str, Any] = (
        {"description": kind["description"]} if "description" in kind else {}
    )
    if place == "query" and not required:
        described["allowEmptyValue"] = True  # it counts as absent
    return {"name": name, "in": place, "required": required, "schema": schema} | described
