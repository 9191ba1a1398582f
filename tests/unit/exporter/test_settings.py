"""What the environment says of how a service logs."""

from __future__ import annotations

import pytest
from pixsim_otel import settings

URL = {"PIXSIM_LOG_INGESTION_URL": "http://localhost:8001/api/v1/logs/ingest/batch"}
DATABASE = {"DATABASE_URL": "postgresql://localhost/logs"}
OTLP = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://localhost:4318"}


@pytest.fixture(autouse=True)
def _said(monkeypatch):
    monkeypatch.setattr(settings, "_said", set())


@pytest.mark.parametrize(
    ("environ", "argument", "expected"),
    [
        ({}, None, "unknown"),
        ({"SERVICE_NAME": "c"}, None, "c"),
        ({"SERVICE_NAME": "c", "PIXSIM_SERVICE": "b"}, None, "b"),
        ({"PIXSIM_SERVICE": "b", "PIXSIM_SERVICE_NAME": "a"}, None, "a"),
        ({"PIXSIM_SERVICE_NAME": "a"}, "api", "api"),
        ({"OTEL_RESOURCE_ATTRIBUTES": "service.name=the%20api"}, "api", "the api"),
        (
            {"OTEL_RESOURCE_ATTRIBUTES": "service.name=x,k=v", "OTEL_SERVICE_NAME": "otel"},
            "api",
            "otel",
        ),
    ],
)
def test_name_of_service(environ, argument, expected):
    """OpenTelemetry's variables name the service, then the call, then pixsim's variables."""
    found = settings.read(argument, environ=environ)

    assert expected == found.service


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({}, "dev"),
        ({"PIXSIM_ENV": "prod"}, "prod"),
        (
            {
                "PIXSIM_ENV": "prod",
                "OTEL_RESOURCE_ATTRIBUTES": "deployment.environment.name=staging",
            },
            "staging",
        ),
    ],
)
def test_environment(environ, expected):
    """OpenTelemetry's variable names the environment, then pixsim's."""
    assert expected == settings.read(environ=environ).environment


@pytest.mark.parametrize(
    ("environ", "exporters", "fallback"),
    [
        pytest.param({}, (), (), id="none"),
        pytest.param(URL, ("pixsim",), (), id="ingestion"),
        pytest.param({**URL, "PIXSIM_LOG_ENABLE_HTTP": "No"}, (), (), id="ingestion is off"),
        pytest.param(DATABASE, ("pixsim_postgres",), (), id="database"),
        pytest.param({"LOG_DATABASE_URL": "x"}, ("pixsim_postgres",), (), id="of logs"),
        pytest.param({"PIXSIM_LOG_DB_URL": "x"}, ("pixsim_postgres",), (), id="of pixsim's logs"),
        pytest.param(
            {**URL, **DATABASE}, ("pixsim_postgres",), ("pixsim",), id="database goes first"
        ),
        pytest.param(
            {**URL, **DATABASE, "PIXSIM_LOG_ENABLE_HTTP": "force"},
            ("pixsim_postgres", "pixsim"),
            (),
            id="both by force",
        ),
        pytest.param({**URL, **DATABASE, **OTLP}, ("pixsim_otlp",), (), id="OTLP goes first"),
        pytest.param(
            {"OTEL_EXPORTER_OTLP_LOGS_ENDPOINT": "x", "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"},
            ("otlp_proto_grpc",),
            (),
            id="gRPC",
        ),
        pytest.param(
            {
                **OTLP,
                "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc",
                "OTEL_EXPORTER_OTLP_LOGS_PROTOCOL": "http/protobuf",
            },
            ("pixsim_otlp",),
            (),
            id="protocol of logs goes first",
        ),
        pytest.param(
            {**OTLP, **URL, "OTEL_LOGS_EXPORTER": "pixsim, console"},
            ("pixsim", "console"),
            (),
            id="named",
        ),
        pytest.param({**OTLP, "OTEL_LOGS_EXPORTER": "none"}, (), (), id="named none"),
        pytest.param({"OTEL_LOGS_EXPORTER": "otlp"}, ("pixsim_otlp",), (), id="default endpoint"),
        pytest.param({**URL, "OTEL_LOGS_EXPORTER": ""}, ("pixsim",), (), id="empty is unset"),
        pytest.param({**OTLP, "OTEL_SDK_DISABLED": "True"}, (), (), id="disabled"),
    ],
)
def test_exporters(environ, exporters, fallback):
    """
    OTEL_SDK_DISABLED, OTEL_LOGS_EXPORTER, an OTLP endpoint, a database and the ingestion
    endpoint decide in this order where records go.
    """
    found = settings.read(environ=environ)

    assert (exporters, fallback) == (found.exporters, found.fallback)


@pytest.mark.parametrize(
    ("environ", "json", "expected"),
    [
        ({}, None, True),
        ({"PIXSIM_LOG_FORMAT": "Human"}, None, False),
        ({"PIXSIM_LOG_FORMAT": "anything"}, None, True),
        ({"PIXSIM_LOG_FORMAT": "human"}, True, True),
        ({}, False, False),
    ],
)
def test_format(environ, json, expected):
    """The call decides the console's format, then the variable; it is JSON unless "human"."""
    assert expected is settings.read(json=json, environ=environ).json


def test_filters():
    """Paths and rates are read; what is no rate, and a rate of one, sample nothing."""
    found = settings.read(
        environ={
            "PIXSIM_LOG_EXCLUDE_PATHS": "/health, /ready,/",
            "PIXSIM_LOG_SAMPLE_PATHS": "/status:50,/a:b:3, /one:1,junk,/x:y",
            "PIXSIM_LOG_SAMPLING_PROVIDER_STATUS": "7",
        }
    )

    assert frozenset({"/health", "/ready", "/"}) == found.exclude_paths
    assert {"/status": 50, "/a:b": 3} == found.sample_paths
    assert found.sample_provider_status == 7


def test_empty_list_excludes_nothing():
    """Probes are excluded unless the variable is set, be it to nothing."""
    assert frozenset({"/health"}) == settings.read(environ={}).exclude_paths
    assert frozenset() == settings.read(environ={"PIXSIM_LOG_EXCLUDE_PATHS": ""}).exclude_paths


def test_batching():
    """Each of pixsim's exporters has its own limits of a batch."""
    found = settings.read(
        environ={
            "PIXSIM_LOG_INGESTION_BATCH_SIZE": "100",
            "PIXSIM_LOG_INGESTION_FLUSH_INTERVAL": "2.5",
            "PIXSIM_LOG_DB_BATCH_SIZE": "20",
        }
    ).batching

    assert settings.Batching(records=100, seconds=2.5) == found["pixsim"]
    assert settings.Batching(records=20) == found["pixsim_postgres"]


@pytest.mark.parametrize(
    "environ",
    [
        {"PIXSIM_LOG_LEVEL": "loud"},
        {"PIXSIM_LOG_SAMPLING_PROVIDER_STATUS": "many"},
        {"PIXSIM_LOG_SAMPLING_PROVIDER_STATUS": "-1"},
        {"PIXSIM_LOG_DB_FLUSH_INTERVAL": "inf"},
        {"PIXSIM_LOG_SAMPLE_PATHS": "/status"},
        {"OTEL_EXPORTER_OTLP_ENDPOINT": "x", "OTEL_EXPORTER_OTLP_PROTOCOL": "http/json"},
    ],
)
def test_bad_values(environ, capsys):
    """A value that can't be used is said once on stderr, and the default is taken."""
    settings.read(environ=environ)
    settings.read(environ=environ)
    told = capsys.readouterr().err.splitlines()

    assert len(told) == 1
    assert list(environ.values())[-1] in told[0]


def test_good_values_are_not_commented_on(capsys):
    """Nothing is said of an environment without mistakes."""
    settings.read(environ={**URL, "PIXSIM_LOG_LEVEL": "warn", "PIXSIM_LOG_DOMAINS": "cron:OFF"})

    assert capsys.readouterr().err == ""


def test_domains(capsys):
    """Domains have levels, `OFF` among them; what is no level is told and left out."""
    found = settings.domains({"PIXSIM_LOG_DOMAINS": "Cron:off, generation:WARNING,sql:loud,x"})

    assert {"cron": settings.OFF, "generation": 30} == found
    assert "'loud'" in capsys.readouterr().err
