"""What the histogram, the facets and the stats are asked and answer."""

from __future__ import annotations

import datetime as dt  # noqa: TC003  msgspec reads the annotations
from typing import Annotated, Literal

import msgspec

from collector.api.parameters import Conditions

MOST_FACETS = 20
MOST_NUMBERS = 5
MOST_GROUPED = 3  # fields that stats are grouped by at once
FACETS = (
    "level",
    "service",
    "env",
    "domain",
    "channel",
    "stage",
    "provider_id",
    "operation_type",
    "error_type",
    "event_name",
)

Interval = Annotated[
    str | None,
    msgspec.Meta(
        description="the length of a bucket: 30s, 5m, 1h, 1d, 1w",
        extra_json_schema={"pattern": r"^[1-9][0-9]{0,3}[smhdw]$"},
    ),
]
Count = Annotated[int, msgspec.Meta(ge=1, le=100)]
Records = Annotated[
    int,
    msgspec.Meta(ge=1, le=1_000_000, description="how many of the newest records to read at most"),
]


class Histogram(Conditions, frozen=True, kw_only=True):
    """The parameters of ``/histogram``."""

    buckets: Annotated[
        int, msgspec.Meta(ge=1, le=1000, description="of time, at most, where no interval is given")
    ] = 60
    interval: Interval = None
    by: Annotated[str, msgspec.Meta(description="the field whose values are told apart")] = "level"
    top: Annotated[Count, msgspec.Meta(description="how many values have counts of their own")] = 10


class Facets(Conditions, frozen=True, kw_only=True):
    """The parameters of ``/facets``."""

    fields: Annotated[
        str,
        msgspec.Meta(
            description=f"names with commas between, at most {MOST_FACETS}",
            extra_json_schema={"pattern": rf"^[^,]+(,[^,]+){{0,{MOST_FACETS - 1}}}$"},
        ),
    ] = ",".join(FACETS)
    limit: Annotated[Count, msgspec.Meta(description="how many values of each field")] = 10
    records: Records = 100_000
    matching: Annotated[
        str | None,
        msgspec.Meta(
            description="another search, such as `level>=error`: how many records of each value"
            " it finds too",
            extra_json_schema={"format": "pixsim-search"},
        ),
    ] = None


class Stats(Conditions, frozen=True, kw_only=True):
    """The parameters of ``/stats``."""

    of: Annotated[
        str,
        msgspec.Meta(
            description="numeric columns, or keys, with commas between, at most"
            f" {MOST_NUMBERS}; of a key what is a number",
            extra_json_schema={"pattern": rf"^[^,]+(,[^,]+){{0,{MOST_NUMBERS - 1}}}$"},
        ),
    ] = "duration_ms"
    by: Annotated[
        str | None,
        msgspec.Meta(
            description=f"fields to group by, with commas between, at most {MOST_GROUPED}",
            extra_json_schema={"pattern": rf"^[^,]+(,[^,]+){{0,{MOST_GROUPED - 1}}}$"},
        ),
    ] = None
    interval: Interval = None
    limit: Annotated[Count, msgspec.Meta(description="how many groups, the largest")] = 20
    records: Records = 200_000


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """What time an answer is of, and whether it has all of that."""

    start: Annotated[
        dt.datetime, msgspec.Meta(description="a day before the end, where none is given")
    ]
    end: Annotated[
        dt.datetime,
        msgspec.Meta(description="exclusive; the end of this minute, where none is given"),
    ]
    complete: Annotated[bool, msgspec.Meta(description="whether all from start to end is counted")]
    since: Annotated[
        dt.datetime, msgspec.Meta(description="from when on, where it is not complete")
    ]
    reason: Annotated[str | None, msgspec.Meta(description="why it is not complete")]


class Series(msgspec.Struct, frozen=True, kw_only=True):
    """Numbers of records, in all and by bucket."""

    total: int
    counts: list[int]


class CountedValue(msgspec.Struct, frozen=True, kw_only=True):
    """A value and its number of records."""

    value: str | float
    value_is_cut: Annotated[bool, msgspec.Meta(description="whether the value goes on")]
    count: int
    matching: Annotated[
        int | None, msgspec.Meta(description="how many of these `matching` finds, if it was given")
    ]


class ValueSeries(Series, frozen=True, kw_only=True):
    """The records with one value."""

    value: str | float
    value_is_cut: Annotated[bool, msgspec.Meta(description="whether the value goes on")]


class Counted(Answer, frozen=True, kw_only=True):
    """How many records there are, by time and value; a bucket without any has a 0."""

    interval_seconds: float
    starts: Annotated[
        list[dt.datetime], msgspec.Meta(description="of the buckets; the first may be before start")
    ]
    total: int
    counts: list[int]
    by: str
    values: Annotated[list[ValueSeries], msgspec.Meta(description="the most frequent first")]
    other: Annotated[Series, msgspec.Meta(description="the records with other values")]
    missing: Annotated[Series, msgspec.Meta(description="the records without the field")]
    source: Annotated[
        Literal["roll-ups", "scan"],
        msgspec.Meta(description="whether counts were added up or records read; both are exact"),
    ]


class Facet(msgspec.Struct, frozen=True, kw_only=True):
    """The most frequent values of a field."""

    field: str
    values: list[CountedValue]
    distinct: Annotated[int, msgspec.Meta(description="how many values there are")]
    other: Annotated[int, msgspec.Meta(description="records with a value that isn't listed")]
    missing: Annotated[int, msgspec.Meta(description="records without the field")]


class Faceted(Answer, frozen=True, kw_only=True):
    """The most frequent values of several fields."""

    records: int
    facets: list[Facet]


class Numbers(msgspec.Struct, frozen=True, kw_only=True):
    """How the numbers of a field are spread; null where there are none."""

    count: Annotated[int, msgspec.Meta(description="records with a number there")]
    distinct: int
    min: float | None
    max: float | None
    avg: float | None
    p50: float | None
    p90: float | None
    p95: float | None
    p99: float | None


class Group(msgspec.Struct, frozen=True, kw_only=True):
    """The records of a group, in one bucket where an interval was given."""

    by: dict[str, str | float | None]
    start: dt.datetime | None
    records: int
    of: dict[str, Numbers]


class Spread(Answer, frozen=True, kw_only=True):
    """How numbers are spread, the largest groups first."""

    records: int
    groups: list[Group]
    more_groups: Annotated[bool, msgspec.Meta(description="whether there are smaller ones too")]
