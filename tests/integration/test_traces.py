"""What a collector tells of its own work by OTLP."""

from __future__ import annotations

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from tests.collecting import CONFIG, collecting
from tests.scripted import scripted


async def test_spans_of_a_collector(database):
    """
    A collector that is told where to sends spans of its requests and commits.
    """
    async with scripted() as server:
        traces = f'{{telemetry: {{traces: {{endpoint: "{server.url}"}}}}, access'
        config = CONFIG.format(access="auto").replace("{access", traces)
        async with collecting(database, config=config) as client:
            line = {"level": "INFO", "service": "api", "msg": "hello"}
            async with client.post("/api/v1/logs/ingest", json=line) as response:
                assert 200 == response.status
        spans = [
            span
            for request in server.requests
            for resource in ExportTraceServiceRequest.FromString(request.body).resource_spans
            for scope in resource.scope_spans
            for span in scope.spans
        ]

    assert ["POST /api/v1/logs/ingest", "commit", "store"] == sorted(span.name for span in spans)
