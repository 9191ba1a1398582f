"""What operators ask and do, as the OpenAPI document describes it: intake, destinations, alerts."""

from __future__ import annotations

from collector.access.needs import READ_ALL
from collector.api import alerts_shapes as a
from collector.api import forwarders_shapes as f
from collector.api import operator, operator_shapes
from collector.api.operation import AWAY, WRONG, Operation
from collector.api.responses import ALERTS, FORWARDERS
from storage.silences import Silence

_ONE = f"{FORWARDERS}/{{name}}"
_NONE = {404: "there is no such destination"} | WRONG | AWAY
_OURS = {403: "a page of another site asks"} | _NONE
FORWARDING = (
    Operation(
        path=FORWARDERS,
        summary="Where records are sent on, and how far that has come",
        answer=f.Forwarders,
        failures=AWAY,
    ),
    Operation(
        path=_ONE,
        summary="One destination, and how far that has come",
        in_path=f.Forwarder,
        answer=f.Status,
        failures=_NONE,
    ),
    Operation(
        method="post",
        path=f"{_ONE}/pause",
        summary="Send nothing more, until it is resumed",
        in_path=f.Forwarder,
        query=f.Pause,
        answer=f.Status,
        failures=_OURS,
    ),
    Operation(
        method="post",
        path=f"{_ONE}/resume",
        summary="Send again, after a pause or a stop",
        in_path=f.Forwarder,
        answer=f.Status,
        failures=_OURS,
    ),
    Operation(
        method="post",
        path=f"{_ONE}/skip",
        summary="Go on from now, a time, or a position, whatever is before it",
        in_path=f.Forwarder,
        query=f.Skip,
        answer=f.Status,
        failures=_OURS,
    ),
    Operation(
        method="post",
        path=f"{_ONE}/replay",
        summary="Send once more what was received in a range of time, beside what is new",
        in_path=f.Forwarder,
        query=f.Range,
        answer=f.Begun,
        failures=_OURS,
    ),
    Operation(
        method="delete",
        path=f"{_ONE}/replays/{{replay}}",
        summary="Send no more of a replay",
        in_path=f.ReplayOf,
        answer=f.Status,
        failures=_OURS,
    ),
    Operation(
        path=f"{_ONE}/dead-letters",
        summary="Records that the destination did not take, the newest first, with the reasons",
        in_path=f.Forwarder,
        query=f.Page,
        answer=f.DeadLetters,
        failures=_NONE,
    ),
    Operation(
        method="post",
        path=f"{_ONE}/dead-letters/retry",
        summary="Send dead letters again",
        in_path=f.Forwarder,
        query=f.Letters,
        answer=f.Number,
        failures=_OURS,
    ),
    Operation(
        method="delete",
        path=f"{_ONE}/dead-letters/{{id}}",
        summary="Delete a dead letter; the record stays",
        in_path=f.LetterOf,
        answer=f.Number,
        failures=_OURS,
    ),
)
OPERATING = (
    Operation(
        path=operator.INTAKE,
        summary="What was committed over time, and from whom",
        query=operator_shapes.IntakeAsked,
        answer=operator_shapes.Intake,
        failures=WRONG | AWAY,
    ),
    Operation(
        path=operator.REFUSALS,
        summary="What was refused since the collector started, by reason",
        answer=operator_shapes.Refusals,
    ),
    Operation(
        path=operator.PARTITIONS,
        summary="The tables that hold the records, by day, and their sizes",
        answer=operator_shapes.Partitions,
        failures=AWAY,
    ),
)
ALERTING = (
    Operation(
        path=ALERTS,
        needs=READ_ALL,
        summary="The rules of alerts, and what is pending or fires",
        answer=a.Alerts,
        failures=AWAY,
    ),
    Operation(
        path=f"{ALERTS}/history",
        needs=READ_ALL,
        summary="When alerts began and ceased to fire, the newest first",
        query=a.HistoryAsked,
        answer=a.History,
        failures=WRONG | AWAY,
    ),
    Operation(
        path=f"{ALERTS}/silences",
        needs=READ_ALL,
        summary="Which alerts nobody is told of, and until when",
        answer=a.Silences,
        failures=AWAY,
    ),
    Operation(
        method="post",
        path=f"{ALERTS}/silences",
        summary="Have nobody told of alerts with some labels",
        query=a.Silencing,
        answer=Silence,
        failures={
            400: "there are 1,000 silences",
            403: "a page of another site asks",
            409: "its end is over",
        }
        | WRONG
        | AWAY,
    ),
    Operation(
        method="delete",
        path=f"{ALERTS}/silences/{{id}}",
        summary="End a silence",
        in_path=a.SilenceOf,
        answer=Silence,
        failures={403: "a page of another site asks", 404: "there is no such silence"}
        | WRONG
        | AWAY,
    ),
)
