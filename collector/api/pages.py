"""What people see who read without a script: what this is, and the OpenAPI document."""

from __future__ import annotations

import base64
import functools
import hashlib
import re
from html import escape
from importlib import resources
from typing import TYPE_CHECKING, Any

from aiohttp import web

from collector import page
from collector.api import openapi
from collector.api.operations import OTLP_ENDPOINT

if TYPE_CHECKING:
    from collections.abc import Sequence

STYLE = resources.files("collector").joinpath("static/docs.css").read_text("utf-8")
_HASH = base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()
HEADERS = {
    # Nothing runs, nothing is loaded, and of styles only ours.
    "Content-Security-Policy": (
        f"default-src 'none'; style-src 'sha256-{_HASH}'; base-uri 'none';"
        " form-action 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Vary": "Accept",
}

_PORT = re.compile(r":\d*$")
# The port of OTLP is that of its default: what else listens is not known here.
INDEX = """
<h1>pixsim-collector</h1>
<p>Stores log records and finds them again.
See <a href="docs">the API</a>, its <a href="openapi.json">OpenAPI document</a>,
its <a href="metrics">counters</a>,
and whether it is <a href="health">healthy</a> and <a href="ready">ready</a>.</p>
<p>Send a record:</p>
<pre>curl {url}/api/v1/logs/ingest -H 'Content-Type: application/json' \\
    -d '{{"level": "info", "service": "demo", "msg": "hello", "job_id": 1}}'</pre>
<p>Find it:</p>
<pre>curl '{url}/api/v1/logs/query?service=demo&amp;limit=10'
curl {url}/api/v1/logs/trace/job/1</pre>
<p>Send by OpenTelemetry, to its own port:</p>
<pre>OTEL_EXPORTER_OTLP_LOGS_ENDPOINT={otlp}/v1/logs</pre>
"""


async def index(request: web.Request) -> web.Response:
    """Answer a browser with the page, and all others with what this is and how to try it."""
    if "text/html" in request.headers.get("Accept", ""):
        return page.answer(request)
    url = f"{request.scheme}://{request.host}"
    otlp = f"{_PORT.sub('', url)}:{OTLP_ENDPOINT.rpartition(':')[2]}"
    return _page("pixsim-collector", INDEX.format(url=escape(url), otlp=escape(otlp)))


async def docs(_: web.Request) -> web.Response:
    """Answer with the OpenAPI document as a page."""
    return _page("pixsim-collector API", _docs())


def _page(title: str, body: str) -> web.Response:
    text = (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width">'
        f"<title>{escape(title)}</title><style>{STYLE}</style></head><body>{body}</body></html>"
    )
    return web.Response(text=text, content_type="text/html", headers=HEADERS)


@functools.cache
def _docs() -> str:
    document = openapi.document()
    operations = [
        (method, path, operation)
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    ]
    contents = "".join(
        f'<li><a href="#{o["operationId"]}"><code>{path}</code></a> {_marked(o["summary"])}</li>'
        for _, path, o in operations
    )
    return "".join(
        (
            f"<h1>{document['info']['title']} {document['info']['version']}</h1>",
            '<p>Made from <a href="openapi.json">openapi.json</a>.</p>',
            f"<nav><ul>{contents}</ul></nav>",
            *(_operation(*each) for each in operations),
            "<h1>Types</h1>",
            *(_type(name, schema) for name, schema in document["components"]["schemas"].items()),
        )
    )


def _operation(method: str, path: str, operation: dict[str, Any]) -> str:
    name = f'<span class="method">{method}</span>{escape(path)}'
    parts = [
        f'<h2 id="{operation["operationId"]}"><code>{name}</code></h2>',
        f"<p>{_marked(operation['summary'])}</p>",
        *(
            f"<p>At <code>{escape(server['url'])}</code> {server['description']}.</p>"
            for server in operation.get("servers", ())
        ),
    ]
    if parameters := operation.get("parameters"):
        rows = [
            (each["name"], each["in"], _kind(each["schema"]), each.get("description", ""))
            for each in parameters
        ]
        parts.append(_table(("parameter", "in", "type", ""), rows))
    if body := operation.get("requestBody"):
        parts.append(f"<p>Body: {_contents(body['content'])}</p>")
    answers = [
        (status, _contents(response["content"]), response["description"])
        for status, response in operation["responses"].items()
    ]
    return "".join((*parts, _table(("status", "answer", ""), answers)))


def _type(name: str, schema: dict[str, Any]) -> str:
    required = schema.get("required", ())
    rows = [
        (field + ("" if field in required else "?"), _kind(kind), kind.get("description", ""))
        for field, kind in schema.get("properties", {}).items()
    ]
    description = _marked(schema.get("description", ""))
    table = _table(("field", "type", ""), rows)
    return f'<h2 id="{name}"><code>{name}</code></h2><p>{description}</p>{table}'


def _contents(content: dict[str, Any]) -> str:
    return ", ".join(
        f"{_kind(each['schema'])} <code>{kind}</code>" for kind, each in content.items()
    )


def _kind(schema: dict[str, Any]) -> str:
    """Give a type in words, as HTML."""
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return f'<a href="#{name}">{name}</a>'
    if "enum" in schema:
        words = " | ".join(f"<code>{escape(str(each))}</code>" for each in schema["enum"])
    elif "anyOf" in schema and "type" not in schema:
        words = " | ".join(_kind(each) for each in schema["anyOf"] if each != {"type": "null"})
    elif schema.get("type") == "array":
        words = f"list of {_kind(schema.get('items', {}))}"
    else:
        kind = schema.get("type", "any")
        words = (
            kind if isinstance(kind, str) else " | ".join(each for each in kind if each != "null")
        )
    lowest, highest = schema.get("minimum"), schema.get("maximum")
    if lowest is not None and highest is not None and highest < 2**31 - 1:
        words += f" {lowest} to {highest}"
    if schema.get("default") is not None:
        words += f", default <code>{escape(str(schema['default']))}</code>"
    return words


def _table(heads: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    """Make a table; the first column is code, the last text, what is between is HTML."""
    head = "".join(f"<th>{each}</th>" for each in heads)
    body = "".join(
        f"<tr><td><code>{escape(first)}</code></td>"
        f"{''.join(f'<td>{each}</td>' for each in middle)}<td>{_marked(last)}</td></tr>"
        for first, *middle, last in rows
    )
    return f"<table><tr>{head}</tr>{body}</table>"


def _marked(text: str) -> str:
    """Escape *text*, and set what stands in backticks as code."""
    words = escape(text).replace("``", "`").split("`")
    return "".join(f"<code>{each}</code>" if n % 2 else each for n, each in enumerate(words))
