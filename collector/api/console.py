"""How a console marks the ids in its log lines."""

from __future__ import annotations

from collector.api.shapes import ConsoleField, ConsoleFields

_AMBER, _CYAN, _GREEN, _RED, _VIOLET = "#FFB74D", "#4DD0E1", "#81C784", "#EF5350", "#CE93D8"

# name, colour, whether a click on it asks for all its records, what it is
_FIELDS = (
    ("request_id", _AMBER, True, "the HTTP request"),
    ("job_id", _CYAN, True, "the job"),
    ("submission_id", _AMBER, True, "one submission of a job to a provider"),
    ("generation_id", _AMBER, True, "what a job generates"),
    ("provider_id", _CYAN, True, "the provider"),
    ("provider_job_id", _CYAN, True, "the provider's own id of the job"),
    ("error_type", _RED, False, "the class of the error"),
    ("domain", _GREEN, False, "the part of the application"),
    ("channel", _GREEN, False, "where the record comes from"),
    ("stage", _VIOLET, False, "the stage of the pipeline"),
    ("duration_ms", _AMBER, False, "milliseconds it took"),
    ("user_id", _AMBER, True, "the user"),
)

FIELDS = ConsoleFields(
    fields=[
        ConsoleField(
            name=name,
            color=color,
            clickable=clickable,
            pattern=rf"\b{name}=(\S+)",
            description=description,
        )
        for name, color, clickable, description in _FIELDS
    ]
)
