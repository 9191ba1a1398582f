"""What the configuration may say of alerts, and that documents show it as it is."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from collector import configfile, document
from collector.alerting import settings

ROOT = Path(__file__).parents[4]
DOCS = (ROOT / "docs" / "alerts.md").read_text()
EMAIL = "host: h, sender: a@b, to: [c@d]"


def problems(text):
    with pytest.raises(configfile.Invalid) as caught:
        configfile.parse(f"alerts: {{{text}}}", "c", {})
    return caught.value.lines


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("rules: [{name: a}]", "expected one of count, compare and new, found none"),
        pytest.param(
            "rules: [{name: a, count: {above: 1}, new: {}}]",
            "expected one of count, compare and new, found count and new",
        ),
        pytest.param("rules: [{name: a, count: {}}]", "count: expected above, below, or both"),
        pytest.param("rules: [{name: a, count: {abvoe: 1}}]", "unknown key, did you mean above?"),
        pytest.param("rules: [{name: a, new: {}, by: service}]", "by: new has groups of its own"),
        pytest.param(
            "rules: [{name: a, new: {}, search: 'a:('}]", "search: column 3: expected a value"
        ),
        pytest.param("rules: [{name: a, new: {field: eror_type}}]", "did you mean `error_type`?"),
        pytest.param("rules: [{name: a, new: {}, for: -1}]", "rules[0].for: expected a number"),
        pytest.param(
            "rules: [{name: a, new: {}}, {name: a, new: {}}]", "rules: 'a' is there twice"
        ),
        pytest.param(
            "rules: [{name: a, new: {}, notify: [b]}]", "'a' notifies 'b', which is no notifier"
        ),
        pytest.param(
            f"notifiers: {{webhook: {{a: {{url: 'http://a'}}}}, email: {{a: {{{EMAIL}}}}}}}",
            "notifiers: 'a' is there twice",
        ),
        pytest.param(
            f"notifiers: {{email: {{a: {{{EMAIL}, password: p, security: none}}}}}}",
            "security: expected starttls or tls, for a password is sent",
        ),
        pytest.param(
            "notifiers: {slack: {a: {url: s3cret}}}", "expected http://… URL, found another value"
        ),
    ],
)
def test_problems(text, expected):
    """
    What is no rule or notifier is told, at its line, and no secret with it.
    """
    line = next((each for each in problems(text) if expected in each), "")

    assert line.startswith("c:1: alerts")
    assert "s3cret" not in line


def test_rules_that_tell_nobody():
    """
    Rules without anybody to tell are allowed, and odd: what fires is in the history alone.
    """
    found = configfile.parse("alerts: {rules: [{name: a, new: {}}]}", "c", {})

    assert ["c:1: alerts.rules: nobody is told, for alerts.notifiers has nobody"] == found.warnings


def test_secrets_are_not_shown():
    """
    Of a notifier's address nothing is shown but its host, of headers and passwords nothing.
    """
    text = f"""
alerts:
  notifiers:
    slack: {{a: {{url: "https://hooks.example/s3cret"}}}}
    webhook: {{b: {{url: "https://u:s3cret@host/s3cret", headers: {{X: s3cret}}}}}}
    email: {{c: {{{EMAIL}, password: s3cret}}}}
"""
    config = configfile.parse(text, "c", {}).config
    shown = configfile.dump(config)

    assert "s3cret" not in shown + repr(config.alerts.notifiers)
    assert "https://hooks.example/***" in shown


def documented(title):
    found = re.search(rf"^## {title}$(.*?)(?=^## |\Z)", DOCS, re.DOTALL | re.MULTILINE).group(1)
    rows = re.findall(r"^\| (`.*?`) \|", found, re.MULTILINE)
    return set(re.findall(r"`(\w+)`", " ".join(rows)))


def keys(*kinds):
    return {name for kind in kinds for name in kind.__struct_encode_fields__}


def test_the_document_has_every_key():
    """
    docs/alerts.md has a row for each key of a rule and of notifiers.
    """
    assert keys(settings.Rule) == documented("What a rule can say")
    assert keys(settings.Webhook, settings.Slack, settings.Email) == documented("Who is told")


def test_examples():
    """
    The example of the document is a whole configuration, and config.yaml shows a rule's defaults.
    """
    example = re.search(r"```yaml\n(.*?)```", DOCS, re.DOTALL).group(1)
    environ = {"SLACK_URL": "https://a/b", "OPS_TOKEN": "t"}
    found = configfile.parse(example, "alerts.md", environ).config.alerts
    _, _, rest = (ROOT / "config.yaml").read_text().partition("#   - name: errors of a service\n")
    lines = [
        line.removeprefix("  #     ") for line in rest.partition("  rules: []")[0].splitlines()
    ]
    shown = document.parse("\n".join(lines), {})[0].plain()
    defaults = {f.encode_name: f for f in settings.msgspec.structs.fields(settings.Rule)}

    assert ["chat", "ops"] == sorted(found.notifiers.named)
    assert 4 == len(found.stored)
    for name in shown.keys() - {"search", "count"}:
        field = defaults[name]
        factory = field.default_factory
        default = field.default if factory is settings.msgspec.NODEFAULT else factory()
        assert (name, default) == (name, tuple(v) if isinstance(v := shown[name], list) else v)
    assert defaults.keys() - {"name", "compare", "new"} == shown.keys()
