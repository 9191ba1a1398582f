"""The configuration: what a file may say, and how it is told what it must not."""

from __future__ import annotations

from importlib import metadata
from pathlib import Path
from typing import Annotated

import msgspec
import pytest

from collector import components, configfile, document
from collector.components import Catalog, Component
from collector.exporters.otlphttp import OtlpHttp
from collector.exporters.postgres import Postgres
from collector.processors.redaction import Redaction
from collector.secrets import Secret, represent
from collector.sections import Count, Endpoint, HttpServer, Seconds, Section

CONFIG_YAML = Path(__file__).parents[3] / "config.yaml"


class Http(HttpServer, frozen=True, kw_only=True):
    endpoint: Endpoint = "127.0.0.1:4318"


class Protocols(Section, frozen=True, kw_only=True):
    http: Http = Http()


class Otlp(Section, frozen=True, kw_only=True):
    protocols: Protocols = Protocols()


class Pixsim(HttpServer, frozen=True, kw_only=True):
    endpoint: Endpoint = "127.0.0.1:8001"


class Batch(Section, frozen=True, kw_only=True):
    least: Count = 1
    most: Annotated[int, msgspec.Meta(ge=1, le=100)] = 10
    age: Seconds = 0.5
    eager: bool = False
    names: dict[str, tuple[str, ...]] = msgspec.field(default_factory=dict)
    token: Secret = ""

    __repr__ = represent

    def __post_init__(self):
        if self.least > self.most:
            raise ValueError("least exceeds most")


class Required(Section, frozen=True, kw_only=True):
    folder: str


CATALOG = Catalog(
    {
        "receivers": {"pixsim": Component(config=Pixsim), "otlp": Component(config=Otlp)},
        "processors": {"batch": Component(config=Batch)},
        "exporters": {"postgres": Component(config=Postgres)},
        "extensions": {"api": Component(config=Pixsim)},
    }
)


def parse(text, **environ):
    return configfile.parse(text, "c.yaml", environ, CATALOG)


def problems(text, **environ):
    with pytest.raises(configfile.Invalid) as caught:
        parse(text, **environ)
    return caught.value.lines


def batch(text, **environ):
    indented = text.replace("\n", "\n    ")
    return parse(f"processors:\n  batch:\n    {indented}", **environ).config.processors["batch"]


def test_config_yaml():
    """
    config.yaml has every setting that there is, at its default, and nothing more.
    """
    defaults = configfile.parse("", "", {}).config
    text = CONFIG_YAML.read_text()

    assert plain(configfile.dump(defaults)) == plain(text)
    assert defaults == configfile.parse(text, "config.yaml", {}).config


def test_config_yaml_shows_redaction_at_its_defaults():
    """
    What config.yaml shows of a processor that isn't on has all its settings, at their defaults.
    """
    _, _, rest = CONFIG_YAML.read_text().partition("  # redaction:\n")
    shown = "\n".join(line.removeprefix("  # ") for line in rest.partition("\n\n")[0].splitlines())

    assert plain(shown) == msgspec.json.decode(msgspec.json.encode(Redaction()))


def test_config_yaml_shows_forwarders_at_their_defaults():
    """
    What config.yaml shows of a forwarder, for there is none by default, has all its settings.
    """
    _, _, rest = CONFIG_YAML.read_text().partition("  # otlphttp:\n")
    shown = "\n".join(line.removeprefix("  # ") for line in rest.partition("  #\n")[0].splitlines())
    defaults = OtlpHttp(endpoint="http://collector:4318")

    assert plain(shown) == msgspec.json.decode(msgspec.json.encode(defaults))


def plain(text):
    return document.parse(text, {})[0].plain()


@pytest.mark.parametrize("text", ["", "# nothing\n", "receivers:\n", "service: {}\n"])
def test_left_out(text):
    """
    What a file leaves out or leaves empty has its default.
    """
    config = parse(text).config

    assert {"pixsim": Pixsim(), "otlp": Otlp()} == config.receivers
    assert config.exporters == {"postgres": Postgres(dsn="embedded")}
    assert config.service.extensions == ("api",)
    assert config.service.pipelines.logs.receivers == ("pixsim", "otlp")


def test_section_is_whole():
    """
    A section of components that is there has what it names and no more, and so have its lists.
    """
    config = parse(
        "receivers: {otlp: , otlp/second: {protocols: {http: {endpoint: 'localhost:1'}}}}"
    ).config

    assert ["otlp", "otlp/second"] == list(config.receivers)
    assert config.receivers["otlp"] == Otlp()
    assert config.service.pipelines.logs.receivers == ("otlp", "otlp/second")


PROBLEMS = [
    pytest.param("- 1", ["c.yaml:1: expected a mapping, found a list"], id="not a mapping"),
    pytest.param(
        "a: b: c", ["c.yaml:1: not YAML: mapping values are not allowed here"], id="no YAML"
    ),
    pytest.param(
        "servce: {}", ["c.yaml:1: servce: unknown section, did you mean service?"], id="section"
    ),
    pytest.param(
        "receivers:\n  kafka: {}",
        ["c.yaml:2: receivers.kafka: unknown type of receiver, expected one of: otlp, pixsim"],
        id="type",
    ),
    pytest.param(
        "receivers:\n  otlp/ x: {}",
        ["c.yaml:2: receivers.otlp/ x: expected a name as type or type/name"],
        id="name",
    ),
    pytest.param(
        "receivers:\n  otlp:\n    protocols:\n      http:\n        endpoint: foo\n",
        ["c.yaml:5: receivers.otlp.protocols.http.endpoint: expected host:port, found 'foo'"],
        id="endpoint",
    ),
    pytest.param(
        "receivers: {pixsim: {endpoint: 'localhost:70000'}}",
        ["c.yaml:1: receivers.pixsim.endpoint: expected a port up to 65535"],
        id="port",
    ),
    pytest.param(
        "receivers:\n  pixsim: {endpont: 'h:1'}",
        ["c.yaml:2: receivers.pixsim.endpont: unknown key, did you mean endpoint?"],
        id="key",
    ),
    pytest.param(
        "processors:\n batch:\n  least: 0\n  most: 101\n  age: 0\n  eager: 1\n  names: {a: b, c: [1]}",
        [
            "c.yaml:3: processors.batch.least: expected a whole number from 1, found 0",
            "c.yaml:4: processors.batch.most: expected a whole number from 1 to 100, found 101",
            "c.yaml:5: processors.batch.age: expected a number of seconds above 0, found 0",
            "c.yaml:6: processors.batch.eager: expected true or false, found 1",
            "c.yaml:7: processors.batch.names.a: expected a list of text, found 'b'",
            "c.yaml:7: processors.batch.names.c[0]: expected text, found 1",
        ],
        id="types and bounds",
    ),
    pytest.param(
        "processors:\n batch: {least: 2.5, most: '3', age: , names: [], eager: {}}",
        [
            "c.yaml:2: processors.batch.age: expected a number of seconds above 0, found nothing",
            "c.yaml:2: processors.batch.eager: expected true or false, found a mapping",
            "c.yaml:2: processors.batch.least: expected a whole number from 1, found 2.5",
            "c.yaml:2: processors.batch.most: expected a whole number from 1 to 100, found '3'",
            "c.yaml:2: processors.batch.names: expected a mapping, found a list",
        ],
        id="no conversions",
    ),
    pytest.param(
        "receivers: {pixsim: {cors: {allowed_origins: 3, max_age: x}}}",
        [
            (
                "c.yaml:1: receivers.pixsim.cors.allowed_origins:"
                " expected text or a list of text, found 3"
            ),
            "c.yaml:1: receivers.pixsim.cors.max_age: expected a whole number, found 'x'",
        ],
        id="either of two types",
    ),
    pytest.param(
        "processors:\n  batch: {least: 20}",
        ["c.yaml:2: processors.batch: least exceeds most"],
        id="a rule between fields",
    ),
    pytest.param("receivers: 1", ["c.yaml:1: receivers: expected a mapping, found 1"], id="scalar"),
    pytest.param(
        "receivers: {}",
        [
            (
                "c.yaml:1: service.pipelines.logs.receivers: expected at least one of the receivers,"
                " found none"
            )
        ],
        id="no receivers",
    ),
    pytest.param(
        "service:\n  pipelines:\n    logs:\n      receivers: []\n      exporters: []",
        [
            (
                "c.yaml:4: service.pipelines.logs.receivers: expected at least one of the receivers,"
                " found none"
            ),
            (
                "c.yaml:5: service.pipelines.logs.exporters: expected at least one of the exporters,"
                " found none"
            ),
        ],
        id="empty pipeline",
    ),
    pytest.param(
        "service:\n  extensions: [ap]\n  pipelines:\n    logs:\n      receivers:\n"
        "        - otlp\n        - otlp\n        - syslog\n      processors: nothing",
        [
            "c.yaml:2: service.extensions[0]: no extension is named 'ap', did you mean api?",
            "c.yaml:7: service.pipelines.logs.receivers[1]: 'otlp' is there already",
            (
                "c.yaml:8: service.pipelines.logs.receivers[2]: no receiver is named 'syslog',"
                " expected one of: otlp, pixsim"
            ),
            "c.yaml:9: service.pipelines.logs.processors: expected a list of text, found 'nothing'",
        ],
        id="dangling names",
    ),
    pytest.param(
        "service: {pipelines: {traces: {}}}",
        ["c.yaml:1: service.pipelines.traces: unknown key, expected one of: logs"],
        id="another signal",
    ),
    pytest.param(
        "exporters:\n  postgres:\n  postgres/b:\n",
        [
            (
                "c.yaml:1: service.pipelines.logs.exporters: expected one exporter of type postgres,"
                " found postgres, postgres/b"
            )
        ],
        id="two stores",
    ),
    pytest.param(
        "receivers:\n  pixsim:\n  pixsim/b:\n    cors: {}\n",
        ["c.yaml:3: receivers.pixsim/b.endpoint: receivers.pixsim serves the same paths there"],
        id="same paths on one endpoint",
    ),
    pytest.param(
        "receivers: {pixsim: {endpoint: '0.0.0.0:8001'}}\nservice: {access: keys}",
        [
            (
                "c.yaml: extensions.api.endpoint: receivers.pixsim has 0.0.0.0:8001;"
                " to share the port write it the same"
            )
        ],
        id="one port at two addresses",
    ),
    pytest.param(
        "receivers:\n  pixsim:\n    endpoint: 0.0.0.0:80\nextensions:\n  api: {endpoint: ':81'}\n",
        [
            f"c.yaml:{line}: {path}.endpoint: {where} can be reached from other machines: set"
            " service.access to `keys`, and make one with `pixsim-collector keys create`; or to"
            " `anybody`, if everybody there may send and read"
            for line, path, where in (
                (3, "receivers.pixsim", "0.0.0.0:80"),
                (5, "extensions.api", ":81"),
            )
        ],
        id="open to all, and nobody said so",
    ),
    pytest.param(
        "receivers:\n  pixsim:\n    endpoint: ${env:WHERE}\n",
        [
            (
                "c.yaml:3: receivers.pixsim.endpoint: the environment variable WHERE is not set,"
                " and has no default here"
            )
        ],
        id="missing variable",
    ),
    pytest.param(
        "receivers:\n  otlp:\n    protocols: ${X}\n  pixsim: 1\n  pixsim: 2\nservice:\n"
        "  telemetry: {logs: {level: loud}}\n  pipelines: {logs: {receivers: [tcp]}}",
        [
            (
                "c.yaml:3: receivers.otlp.protocols: expected ${env:NAME} or ${env:NAME:-default},"
                " or $$ for a $ before {"
            ),
            "c.yaml:4: receivers.pixsim: expected a mapping, found 1",
            "c.yaml:5: receivers.pixsim: written twice, the first time on line 4",
            (
                "c.yaml:7: service.telemetry.logs.level: expected one of: debug, error, info, warning,"
                " found 'loud'"
            ),
            (
                "c.yaml:8: service.pipelines.logs.receivers[0]: no receiver is named 'tcp',"
                " expected one of: otlp, pixsim"
            ),
        ],
        id="all at once",
    ),
]


@pytest.mark.parametrize(("text", "expected"), PROBLEMS)
def test_problems(text, expected):
    """
    All problems of a file are told at once, each with its line, its path and what is expected.
    """
    assert expected == problems(text)


@pytest.mark.parametrize("access", ["keys", "anybody"])
def test_who_may_is_said(access):
    """
    Endpoints that others can reach are for who has a key, or for anybody: one has to say which.
    """
    text = f"receivers: {{pixsim: {{endpoint: ':8001'}}}}\nextensions: {{}}\nservice: {{access: {access}}}"

    assert access == parse(text).config.service.access


def test_required():
    """
    A key without a default must be there.
    """
    catalog = Catalog({**CATALOG.built_in, "processors": {"disk": Component(config=Required)}})

    with pytest.raises(configfile.Invalid) as caught:
        configfile.parse("processors:\n  disk: {}", "c.yaml", {}, catalog)

    assert caught.value.lines == ["c.yaml:2: processors.disk: the key folder is missing"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("least: ${env:N}", Batch(least=7), id="number"),
        pytest.param("least: '${env:N}'", Batch(least=7), id="quoted, as in a flow mapping"),
        pytest.param("eager: ${env:YES}", Batch(eager=True), id="boolean"),
        pytest.param("token: ${env:N}", Batch(token="7"), id="number where text is wanted"),
        pytest.param("token: ${env:NONE:-}", Batch(token=""), id="empty default"),
        pytest.param("age: ${env:EMPTY:-2.5}", Batch(age=2.5), id="default of an empty one"),
        pytest.param("token: a${env:N}b${env:X:-c:-d}", Batch(token="a7bc:-d"), id="within text"),
        pytest.param("token: $${env:N} $5 $", Batch(token="${env:N} $5 $"), id="escaped"),
        pytest.param("token: ${env:REF}", Batch(token="${env:N}"), id="not filled in twice"),
        pytest.param("names: {a: ['${env:N}']}", Batch(names={"a": ("7",)}), id="in a list"),
    ],
)
def test_environment(text, expected):
    """
    References to the environment work in every value; a whole one has its text's YAML type.
    """
    environ = {"N": "7", "YES": "true", "EMPTY": "", "REF": "${env:N}"}

    assert expected == batch(text, **environ)


def test_default_from_environment():
    """
    Without a word in the file, DATABASE_URL names the database.
    """
    url = "postgresql://me@db/logs"

    assert url == parse("", DATABASE_URL=url).config.store.dsn
    assert parse("", DATABASE_URL="").config.store.embedded


def test_unused_is_a_warning():
    """
    A component that no list names is allowed, and told.
    """
    loaded = parse(
        "receivers:\n  otlp:\n  pixsim:\nservice: {pipelines: {logs: {receivers: [otlp]}}}"
    )

    assert ["c.yaml:3: receivers.pixsim: not used"] == loaded.warnings
    assert ("otlp",) == loaded.config.service.pipelines.logs.receivers


@pytest.mark.parametrize(
    "text",
    [
        "",
        "receivers: {otlp/a: , pixsim: {endpoint: '[::1]:80', cors: {allowed_origins: '$$x'}}}",
        "processors: {batch: {token: '', names: {'on': ['1', 'null', '1e3', '~', '0o7', ${}]}}}",
        "service: {extensions: [], pipelines: {logs: {processors: []}}, shutdown_timeout: 1e22}",
        "exporters: {postgres: {dsn: 'postgres://h/d', retention: {days: 30, rules: [{env: a, days: 1}]}}}",
    ],
)
def test_dump_reads_back(text):
    """
    What print-config shows is a file that means the same.
    """
    config = parse(text.replace("${}", "'$${env:A}'")).config

    assert config == parse(configfile.dump(config)).config


@pytest.mark.parametrize(
    ("dsn", "expected"),
    [
        ("embedded", "embedded"),
        ("postgresql://me@h:5432/d", "postgresql://me@h:5432/d"),
        ("postgresql://me:hunter2@h/d", "postgresql://me:***@h/d"),
        ("postgres://:hunter2@h/d", "postgres://:***@h/d"),
        ("postgresql://me:a/hunter2@:@h/d?x=1", "postgresql://me:***@h/d?x=1"),
        ("postgresql://h/d?user=me&password=hunter2", "postgresql://h/d?user=me&password=***"),
    ],
)
def test_password_is_hidden(dsn, expected):
    """
    A password is in no listing and no representation; the rest of the URL is.
    """
    config = parse("exporters: {postgres: {dsn: '${env:D}'}}", D=dsn).config

    assert f"dsn: {expected}\n" in configfile.dump(config)
    assert f"dsn={expected!r}" in repr(config)
    assert "hunter2" not in configfile.dump(config) + repr(config)


def test_direct_dsn():
    """
    A server behind a pooler is named beside it, its password is hidden too, and an embedded one
    has no pooler.
    """
    text = "exporters: {postgres: {dsn: 'postgres://p/d', direct_dsn: '${env:D}'}}"
    config = parse(text, D="postgres://me:hunter2@h/d").config

    assert ("postgres://p/d", "postgres://me:hunter2@h/d") == (
        config.store.pooler,
        config.store.server,
    )
    assert "direct_dsn: postgres://me:***@h/d\n" in configfile.dump(config)
    assert parse("", DATABASE_URL="postgres://h/d").config.store.pooler is None
    assert "for a `dsn` that leads to a pooler" in "".join(
        problems("exporters: {postgres: {dsn: embedded, direct_dsn: 'postgres://h/d'}}")
    )


@pytest.mark.parametrize(
    "text",
    [
        "exporters: {postgres: {dsn: 'mysql://me:hunter2@h'}}",
        "exporters: {postgres: {dsn: 'me:${hunter2}@h'}}",
        "exporters: {postgres: {dsn: {hunter2: hunter2}}}",
        "processors: {batch: {token: [hunter2]}}",
        "exporters: {postgres: {dsn: '${env:HUNTER}'}}",
    ],
)
def test_secret_is_in_no_problem(text):
    """
    What is wrong with a secret is told without the secret.
    """
    told = "\n".join(problems(text, HUNTER="hunter2"))

    assert "hunter2" not in told


def test_secret_is_shown_as_stars():
    """
    Of any other secret nothing is shown, not even its length.
    """
    config = parse("processors: {batch: {token: hunter2}}").config

    assert "token: '***'\n" in configfile.dump(config)
    assert "token='***'" in repr(config)


@pytest.mark.parametrize(
    ("make", "expected"),
    [
        pytest.param(lambda path: path, "{}: No such file or directory", id="missing"),
        pytest.param(lambda path: path.parent, "{}: Is a directory", id="folder"),
        pytest.param(
            lambda path: path.write_bytes(b"a: \xff") and path,
            "{}: not UTF-8, at byte 3",
            id="bytes",
        ),
    ],
)
def test_unreadable(tmp_path, make, expected):
    """
    A file that cannot be read is a problem like any other.
    """
    path = make(tmp_path / "c.yaml")

    with pytest.raises(configfile.Invalid) as caught:
        configfile.load(path)

    assert [expected.format(path)] == caught.value.lines


def test_config_yaml_of_the_folder(tmp_path, monkeypatch):
    """
    Without a name, config.yaml of the working directory is read if it is there.
    """
    monkeypatch.chdir(tmp_path)
    without = configfile.load(None, {}).config
    (tmp_path / "config.yaml").write_text("service: {shutdown_timeout: 3}", encoding="utf-8-sig")

    assert without == configfile.parse("", "", {}).config
    assert configfile.load(None, {}).config.service.shutdown_timeout == 3


class _Point:
    """An entry point, whose package is loaded when it is asked for."""

    value = "elsewhere:component"

    def __init__(self, name, loaded):
        self.name = name
        self.loaded = loaded

    def load(self):
        return self.loaded()


def test_component_of_another_package(monkeypatch):
    """
    Another package adds a component by an entry point; it loads only when it is named.
    """
    points = [
        _Point("receivers.syslog", lambda: Component(config=Pixsim)),
        _Point("receivers.broken", lambda: 1 // 0),
        _Point("receivers.other", dict),
    ]
    monkeypatch.setattr(
        metadata, "entry_points", lambda group: points * (group == components.GROUP)
    )
    catalog = Catalog(CATALOG.built_in)

    def told(text):
        try:
            return list(configfile.parse(text, "c.yaml", {}, catalog).config.receivers)
        except configfile.Invalid as exc:
            return exc.lines

    assert told("receivers: {syslog/udp: {endpoint: '127.0.0.1:514'}}") == ["syslog/udp"]
    assert told("receivers: {broken: }") == [
        (
            "c.yaml:1: receivers.broken: elsewhere:component does not load: integer division or"
            " modulo by zero"
        )
    ]
    assert told("receivers: {other: }") == [
        "c.yaml:1: receivers.other: elsewhere:component is not a collector.components.Component"
    ]
    assert told("receivers: {sislog: }") == [
        "c.yaml:1: receivers.sislog: unknown type of receiver, did you mean syslog?"
    ]
