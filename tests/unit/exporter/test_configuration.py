"""The one call by which a service's logs get where they belong."""

from __future__ import annotations

import importlib
import json
import logging
import os
import signal
import subprocess
import sys
import threading
import types
from importlib import metadata

import msgspec
import pixsim_otel
import pytest
import structlog
from opentelemetry import _logs
from opentelemetry._logs import _internal as api
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import InMemoryLogRecordExporter, SimpleLogRecordProcessor
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.util._once import Once
from pixsim_otel import configuration, domains, lifecycle, pipeline, settings, stdlib
from pixsim_otel.configuration import configure_logging, configure_stdlib_root_logger
from pixsim_otel.native import PixsimLogExporter
from pixsim_otel.transport import Delivered

from tests.unit.exporter.recorder import Answer, Recorder
from tests.unit.exporter.records import WORKER

TRACER = TracerProvider().get_tracer(__name__)


@pytest.fixture(autouse=True)
def _process(monkeypatch):
    """A process in which nothing was configured yet."""
    for name in os.environ:
        if name.startswith(("OTEL_", "PIXSIM_")) or name.endswith("DATABASE_URL"):
            monkeypatch.delenv(name)
    monkeypatch.setattr(api, "_LOGGER_PROVIDER", None)
    monkeypatch.setattr(api, "_LOGGER_PROVIDER_SET_ONCE", Once())
    monkeypatch.setattr(configuration, "_configured", configuration._Configured())
    monkeypatch.setattr(domains, "_now", domains._Thresholds())
    monkeypatch.setattr(settings, "_said", set())
    monkeypatch.setattr(lifecycle, "install", lambda _provider: None)
    monkeypatch.setattr(logging.Logger, "_log", logging.Logger._log)
    root = logging.getLogger()
    level, handlers = root.level, list(root.handlers)
    quiet = {name: logging.getLogger(name).level for name in ("urllib3", "asyncio")}
    yield
    root.setLevel(level)
    root.handlers[:] = handlers
    for name, before in quiet.items():
        logging.getLogger(name).setLevel(before)
    if built := configuration._configured.pipeline:
        for queue in built.queues:
            queue.shutdown(1_000)


@pytest.fixture
def receiver(monkeypatch):
    made = Recorder()
    made.answers.extend([Answer(body=b'{"success": true}')] * 50)
    monkeypatch.setenv("PIXSIM_LOG_INGESTION_URL", f"{made.url}/api/v1/logs/ingest/batch")
    yield made
    made.close()


@pytest.fixture
def bare():
    """Take away the handlers that the root logger has by then, which are pytest's."""
    return logging.getLogger().handlers.clear


def sent(receiver):
    assert _logs.get_logger_provider().force_flush(5_000)
    return [
        entry
        for request in receiver.requests
        for entry in msgspec.json.decode(request.body)["logs"]
    ]


def test_console_only(capsys):
    """Without an exporter a service logs JSON on stdout, beginning with how it is set up."""
    logger = configure_logging("api")
    logger.info("job_started", job_id=5)

    first, second = map(json.loads, capsys.readouterr().out.splitlines())
    assert ("logger_initialized", "json", []) == (
        first["event"],
        first["format"],
        first["exporters"],
    )
    assert {
        "service": "api",
        "env": "dev",
        "event": "job_started",
        "job_id": 5,
        "level": "info",
        "timestamp": second["timestamp"],
    } == second
    assert isinstance(_logs.get_logger_provider(), api.ProxyLoggerProvider)


def test_level(capsys, monkeypatch):
    """Events below PIXSIM_LOG_LEVEL are not logged."""
    monkeypatch.setenv("PIXSIM_LOG_LEVEL", "warning")
    logger = configure_logging("api", json=False)
    logger.info("quiet")
    logger.warning("loud")

    out = capsys.readouterr().out
    assert "loud" in out
    assert "quiet" not in out


def test_ingestion(receiver, monkeypatch, capsys):
    """What is logged arrives with the keys that services have always sent."""
    monkeypatch.setenv("PIXSIM_ENV", "prod")
    logger = pixsim_otel.bind_job_context(configure_logging("worker"), job_id="ingestion-55")
    logger.info("pipeline:start", msg="job_processing_started", password="x", a={"secret": 1})
    configure_logging("plugin.romance").error("http_request", path="/health")
    configure_logging("plugin.romance").warning("rated", rating=float("inf"))

    first, second, third = sent(receiver)
    capsys.readouterr()
    assert first["event"] == "logger_initialized"
    assert {
        "service": "worker",
        "env": "prod",
        "job_id": "ingestion-55",
        "event": "pipeline:start",
        "msg": "job_processing_started",
        "password": "***redacted***",
        "a": {"secret": "***redacted***"},
        "level": "info",
    }.items() <= second.items()
    assert ("plugin.romance", "Infinity") == (third["service"], third["rating"])


def test_idempotent(receiver, capsys):
    """A second call changes nothing and logs nothing; the name it gives is its records'."""
    configure_logging("api")
    before = structlog.get_config()["processors"]
    configure_logging("api").info("x")
    configure_logging("plugin.x").info("y")
    configure_logging().info("z")

    services = [entry["service"] for entry in sent(receiver)]
    capsys.readouterr()
    assert ["api", "api", "plugin.x", "api"] == services
    assert before is structlog.get_config()["processors"]
    assert {"api", "plugin.x"} == pixsim_otel.get_registered_services()


def test_otel_name_goes_first(receiver, monkeypatch, capsys):
    """A name given to OpenTelemetry is that of all the first call's records."""
    monkeypatch.setenv("OTEL_SERVICE_NAME", "the-api")
    configure_logging("api")
    configure_logging("api").info("x")

    assert ["the-api", "the-api"] == [entry["service"] for entry in sent(receiver)]
    assert "the-api" in capsys.readouterr().out


def test_application_provider(receiver, capsys):
    """The application's own provider is used as it is, whatever the variables say."""
    exporter = InMemoryLogRecordExporter()
    provider = LoggerProvider(resource=WORKER, shutdown_on_exit=False)
    provider.add_log_record_processor(SimpleLogRecordProcessor(exporter))
    _logs.set_logger_provider(provider)

    configure_logging("worker").info("x", job_id=5)

    capsys.readouterr()
    records = [each.log_record for each in exporter.get_finished_logs()]
    assert ["logger_initialized", "x"] == [record.body for record in records]
    assert {"job_id": 5, "env": "dev"} == records[1].attributes
    assert [] == receiver.requests


def test_api_records(receiver, capsys):
    """Records of OpenTelemetry's own API take the same way."""
    configure_logging("api")
    with TRACER.start_as_current_span("s", attributes={"job_id": 5}):
        _logs.get_logger("library").emit(body="hello", attributes={"n": 1})

    entry = sent(receiver)[-1]
    capsys.readouterr()
    assert {
        "event": "hello",
        "n": 1,
        "logger_name": "library",
        "job_id": 5,
    }.items() <= entry.items()


def test_fallback(receiver, monkeypatch, capsys):
    """Where the database can't be written to, the ingestion endpoint is, and it is told why."""
    monkeypatch.setenv("DATABASE_URL", "mysql://kit:hunter2@db/x")
    configure_logging("api")

    first, second = sent(receiver)
    assert ["pixsim"] == first["exporters"]
    assert ("log_exporter_unavailable", "pixsim_postgres") == (second["event"], second["exporter"])
    assert "hunter2" not in capsys.readouterr().out


def test_unknown_exporter(monkeypatch, capsys):
    """A service starts with an exporter that isn't installed, and tells of it."""
    monkeypatch.setenv("OTEL_LOGS_EXPORTER", "carrier_pigeon")
    configure_logging("api")

    assert "no exporter 'carrier_pigeon' is installed" in capsys.readouterr().out
    assert {"active": False} == pixsim_otel.get_ingestion_stats()


def test_exporters_by_entry_point(receiver, monkeypatch, capsys):
    """An exporter of somebody else's is found by its entry point's name, beside ours."""
    monkeypatch.setenv("OTEL_LOGS_EXPORTER", "console,otlp")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", receiver.url)
    configure_logging("api")
    assert _logs.get_logger_provider().force_flush(5_000)
    capsys.readouterr()

    assert ("console", "pixsim_otlp") == configuration._configured.pipeline.exporters
    assert ["/v1/logs"] == [request.path for request in receiver.requests]


def test_direct_writer_level(monkeypatch, capsys):
    """To a database events are written from INFO upward, as ever."""
    monkeypatch.setitem(pipeline.EXPORTERS, settings.POSTGRES, f"{__name__}:Idle")
    monkeypatch.setenv("DATABASE_URL", "x")
    configure_logging("api")
    capsys.readouterr()

    assert domains.is_exported(logging.INFO)
    assert not domains.is_exported(logging.DEBUG)


class Idle:
    """A sender that takes everything."""

    def send(self, _records):
        return Delivered()

    def close(self):
        pass


def test_ingestion_stats(receiver, capsys):
    """What was dropped is counted, apart for log calls and for the worker."""
    configure_logging("api")
    sent(receiver)
    (queue,) = configuration._configured.pipeline.queues
    queue.drops.count("queue_full", 3)
    queue.drops.count("refused", 2)
    queue.drops.count("cut_values", 9)
    capsys.readouterr()

    assert {
        "active": True,
        "dropped_logs": 3,
        "worker_errors": 2,
    } == pixsim_otel.get_ingestion_stats()


def test_stdlib(receiver, capsys, bare):
    """Libraries' records are exported and shown as the service's are, once."""
    bare()
    configure_logging("api")
    configure_stdlib_root_logger()
    configure_stdlib_root_logger()
    logging.getLogger("arq.worker").warning("retrying", extra={"attempt": 2, "secret": "x"})

    entry = sent(receiver)[-1]
    lines = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert {
        "event": "retrying",
        "level": "warning",
        "service": "arq.worker",
        "logger_name": "arq.worker",
        "attempt": 2,
        "secret": "***redacted***",
    }.items() <= entry.items()
    assert ["retrying"] == [line["event"] for line in lines]
    assert logging.getLogger().level == logging.INFO


def test_stdlib_of_an_application(receiver, capsys, bare):
    """A root logger that has handlers keeps them and its level, and exports too."""
    bare()
    root = logging.getLogger()
    root.addHandler(logging.NullHandler())
    root.setLevel(logging.ERROR)
    configure_logging("api")
    configure_stdlib_root_logger()
    logging.getLogger("x").error("failed")

    assert sent(receiver)[-1]["event"] == "failed"
    assert capsys.readouterr().err == ""
    assert root.level == logging.ERROR


def test_stdlib_without_configuration(capsys, bare):
    """Libraries' records are shown even if nothing else is configured."""
    bare()
    configure_stdlib_root_logger()
    logging.getLogger("x").warning("shown")

    assert json.loads(capsys.readouterr().err)["event"] == "shown"


@pytest.mark.parametrize("module", ["opentelemetry.sdk._logs", "opentelemetry.instrumentation.x"])
def test_stdlib_exported_already(module, receiver, capsys, bare):
    """Where OpenTelemetry's own handler exports ours doesn't, and only shows the record."""
    bare()
    kind = type("LoggingHandler", (logging.NullHandler,), {"__module__": module})
    logging.getLogger().addHandler(kind())
    configure_logging("api")
    configure_stdlib_root_logger()
    logging.getLogger("x").warning("shown")

    assert ["logger_initialized"] == [entry["event"] for entry in sent(receiver)]
    assert json.loads(capsys.readouterr().err)["event"] == "shown"


def test_stdlib_all_there(capsys, bare):
    """Where the application shows records and OpenTelemetry exports them nothing is added."""
    bare()
    kind = type("LoggingHandler", (logging.NullHandler,), {"__module__": "opentelemetry.x"})
    handlers = [kind(), logging.NullHandler()]
    logging.getLogger().handlers.extend(handlers)
    configure_stdlib_root_logger()

    assert handlers == logging.getLogger().handlers
    assert capsys.readouterr().err == ""


def test_first_calls_at_the_same_time(receiver, capsys):
    """However many threads configure first, one does."""
    barrier = threading.Barrier(8)

    def configure():
        barrier.wait()
        configure_logging("api")

    threads = [threading.Thread(target=configure) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(sent(receiver)) == 1
    capsys.readouterr()


def test_entry_points():
    """The exporters' names are those under which they are installed."""
    found = metadata.entry_points(group="opentelemetry_logs_exporter")

    assert pipeline.EXPORTERS.items() <= {each.name: each.value for each in found}.items()


IMPORTS = {
    "": [
        "configure_logging", "configure_stdlib_root_logger", "get_logger", "get_ingestion_stats",
        "get_registered_services", "is_domain_enabled", "update_domain_config",
        "update_global_level", "get_global_level_display", "set_db_min_level", "COMMON_FIELDS",
        "STAGES", "DOMAINS", "SERVICES", "PROVIDERS", "CHANNELS", "redact_sensitive",
        "bind_job_context", "bind_artifact_context", "bind_generation_context",
        "bind_domain_context", "CleanConsoleRenderer",
    ],
    ".config": ["set_db_min_level", "configure_logging", "get_logger"],
    ".debug_endpoint": ["create_debug_router"],
    ".domains": [
        "get_active_domains", "get_domain_config_display", "get_global_level_display",
        "is_domain_enabled", "update_domain_config", "update_global_level", "KNOWN_DOMAINS",
    ],
    ".spec": ["DOMAINS", "DOMAIN_GROUPS", "DOMAIN_TO_GROUP", "STAGES_SET", "ensure_valid_stage"],
}  # fmt: skip


@pytest.mark.parametrize("module", IMPORTS)
def test_imports_of_services(module):
    """What services import of the library that this one replaces, they find here."""
    found = importlib.import_module(f"pixsim_otel{module}")

    assert [] == [name for name in IMPORTS[module] if not hasattr(found, name)]


async def test_debug_router(monkeypatch):
    """The levels in force are a route of FastAPI's."""
    routes = {}
    router = types.SimpleNamespace(
        get=lambda path: lambda handler: routes.setdefault(path, handler)
    )
    fastapi = types.SimpleNamespace(APIRouter=lambda tags: router)
    monkeypatch.setitem(sys.modules, "fastapi", fastapi)
    domains.update_domain_config({"cron": "OFF"})

    made = importlib.import_module("pixsim_otel.debug_endpoint").create_debug_router()

    assert made is router
    assert {
        "level": "DEBUG",
        "domains": {"cron": "OFF"},
        "active_domains": domains.get_active_domains(),
    } == await routes["/logging"]()


SERVICE = """
from pixsim_otel import configure_logging, configure_stdlib_root_logger
import logging, os, signal
logger = configure_logging("worker")
configure_stdlib_root_logger()
logger.info("first")
logging.getLogger("library").warning("second")
if os.environ.get("END") == "signal":
    os.kill(os.getpid(), signal.SIGTERM)
"""


@pytest.mark.parametrize(("end", "status"), [("exit", 0), ("signal", -signal.SIGTERM)])
def test_nothing_is_lost_at_the_end(receiver, end, status):
    """A service that ends, or is asked to, sends what it logged, with no line more than today's."""
    done = subprocess.run(
        [sys.executable, "-c", SERVICE],
        env={**os.environ, "END": end},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    entries = [
        entry
        for request in receiver.requests
        for entry in msgspec.json.decode(request.body)["logs"]
    ]

    assert status == done.returncode, done.stderr
    assert ["logger_initialized", "first", "second"] == [entry["event"] for entry in entries]
    assert 2 == len(done.stdout.splitlines())
    assert 1 == len(done.stderr.splitlines())


def test_handler_is_public():
    """Both ways in can be used without `configure_logging`."""
    assert pixsim_otel.OTelHandler is stdlib.OTelHandler
    assert PixsimLogExporter.__name__ in pipeline.EXPORTERS[settings.PIXSIM]
