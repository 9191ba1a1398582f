"""A service whose environment asks for gRPC, and a receiver that is not ours."""

from __future__ import annotations

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from queue import SimpleQueue

import grpc
import pytest
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceResponse
from opentelemetry.proto.collector.logs.v1.logs_service_pb2_grpc import (
    LogsServiceServicer,
    add_LogsServiceServicer_to_server,
)

SERVICE = """
from pixsim_otel import configure_logging
log = configure_logging("worker")
log.info("provider:submit", msg="submitted", job_id=7, ratio=0.5, tags=["a", "b"])
"""


class Receiver(LogsServiceServicer):
    """Keeps the requests."""

    def __init__(self):
        self.requests = SimpleQueue()

    def Export(self, request, context):  # noqa: N802  gRPC's name
        self.requests.put(request)
        return ExportLogsServiceResponse()


@pytest.fixture(name="receiver")
def _receiver():
    server = grpc.server(ThreadPoolExecutor(2))
    receiver = Receiver()
    add_LogsServiceServicer_to_server(receiver, server)
    receiver.port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    yield receiver
    server.stop(None).wait()


def test_grpc(receiver):
    """
    With OTEL_EXPORTER_OTLP_PROTOCOL=grpc records go through the SDK's own gRPC exporter.
    """
    environment = {
        **os.environ,
        "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{receiver.port}",
        "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc",
    }
    subprocess.run([sys.executable, "-c", SERVICE], env=environment, check=True, timeout=60)
    found = {}
    while not receiver.requests.empty():
        for resource_logs in receiver.requests.get().resource_logs:
            for scope_logs in resource_logs.scope_logs:
                for record in scope_logs.log_records:
                    found[record.body.string_value] = (resource_logs.resource, record)
    resource, record = found["submitted"]

    assert ["worker"] == [
        each.value.string_value for each in resource.attributes if each.key == "service.name"
    ]
    attributes = {each.key: each.value for each in record.attributes}
    assert (7, 0.5) == (attributes["job_id"].int_value, attributes["ratio"].double_value)
    assert ["a", "b"] == [each.string_value for each in attributes["tags"].array_value.values]
    assert "INFO" == record.severity_text
