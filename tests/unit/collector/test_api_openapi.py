"""The OpenAPI document and the page that is made of it."""

from __future__ import annotations

import re

import msgspec
import pytest

from collector.api import (
    alerts,
    audit,
    forwarders,
    handlers,
    openapi,
    operator,
    pages,
    parameters,
)
from collector.api.operations import OPERATIONS
from collector.tail import handlers as tail
from storage.entries import Entry
from storage.reader import Reader


def test_every_route_is_described():
    """
    The document has each route of the query API, and no other but those that take logs in.
    """
    offered = [
        *handlers.routes(handlers.Api(), Reader(None)),
        *forwarders.routes(None, None, ()),
        *alerts.routes(None, (), None),
        *audit.routes(None),
        *operator.routes(None, None, None),
        *tail.routes(None, 1, None),
    ]
    routes = {(route.method.lower(), re.sub(r":[^{}]+}", "}", route.path)) for route in offered}
    taking_in = {
        ("post", "/api/v1/logs/ingest"),
        ("post", "/api/v1/logs/ingest/batch"),
        ("post", "/v1/logs"),
    }

    assert routes | taking_in == {(o.method, o.path) for o in OPERATIONS}


def references(part):
    if isinstance(part, dict):
        yield from [part["$ref"]] if "$ref" in part else []
        for each in part.values():
            yield from references(each)
    elif isinstance(part, list):
        for each in part:
            yield from references(each)


def test_every_reference_leads_somewhere():
    """
    What the document refers to it has, and it has nothing else.
    """
    document = openapi.document()
    schemas = document["components"]["schemas"]

    assert {f"#/components/schemas/{name}" for name in schemas} == set(references(document))


def test_parameters_are_those_decoded():
    """
    The document's parameters are the fields that requests are decoded into.
    """
    described = openapi.document()["paths"]["/api/v1/logs/query"]["get"]["parameters"]
    by_name = {each["name"]: each for each in described}

    assert [*parameters.Query.__struct_fields__, "extra"] == [each["name"] for each in described]
    assert {"type": "integer", "minimum": 1, "maximum": 1000, "default": 100} == by_name["limit"][
        "schema"
    ]
    assert "null" not in str(described)


def test_path_parameters_are_in_the_paths():
    """
    Each name in braces is described, and required.
    """
    for path, methods in openapi.document()["paths"].items():
        for operation in methods.values():
            given = [p for p in operation.get("parameters", []) if p["in"] == "path"]

            assert re.findall(r"{(\w+)}", path) == [p["name"] for p in given if p["required"]]


def test_entry_is_described():
    """
    All keys of an entry are described as always present.
    """
    schema = openapi.document()["components"]["schemas"]["Entry"]

    assert list(Entry.__struct_fields__) == schema["required"]
    assert ["object", "null"] == schema["properties"]["extra"]["type"]


@pytest.mark.parametrize("page", [pages.INDEX, pages._docs()], ids=["index", "docs"])
def test_pages_load_nothing(page):
    """
    The pages have no script, no style of their own, and nothing from elsewhere.
    """
    assert not re.search(r"<script|<style|style=|\son\w+=|src=|href=\"https?:", page)


def test_docs_escape():
    """
    Text of the document is text on the page.
    """
    assert "<td><code>&lt;b&gt;</code></td><td><code>&amp;</code> &lt;</td>" in pages._table(
        ("a", "b"), [("<b>", "`&` <")]
    )


def test_document_is_json():
    """
    The document is the same after a trip through JSON.
    """
    document = openapi.document()

    assert document == msgspec.json.decode(msgspec.json.encode(document))
