"""
What happens at a made-up pixsim: jobs on their way through its services, an event at a time.

Pure: the only chance is the `random.Random` that is given, so a seed tells the whole story.
Times are given when an event is sent. What an event says of a duration agrees with them, as long
as the events follow each other at the story's pace.

Services in Python and OpenTelemetry's name the span they are in, and when they leave it also the
one that this is part of, as ``parent_span_id``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

if TYPE_CHECKING:
    import random
    from collections.abc import Iterator

JOBS_AT_ONCE = 6
MOST_ATTEMPTS = 3

# How each service sends: today's two kinds of native client, and OpenTelemetry's SDK.
PYTHON, BROWSER, OTEL = "python", "browser", "otel"
SERVICES = {
    "frontend": BROWSER,
    "admin": BROWSER,
    "api": PYTHON,
    "worker": PYTHON,
    "generation-worker": PYTHON,
    "backfill-script": PYTHON,
    "gateway": OTEL,
    "media": OTEL,
}
PROVIDERS = ("pixverse", "sora", "remaker")
OPERATIONS = ("text_to_video", "image_to_video", "video_extend")
TRACEBACK = """\
Traceback (most recent call last):
  File "/srv/pixsim/workers/generation.py", line 184, in run
    submitted = await provider.submit(params, timeout=60)
  File "/srv/pixsim/providers/{provider}.py", line 92, in submit
    raise self._error(response)
pixsim.providers.errors.{error_type}: {error}"""


class Failure(msgspec.Struct, frozen=True, kw_only=True):
    """What goes wrong at a provider; *taken* is whether it had taken the job by then."""

    error_type: str
    error: str
    taken: bool = False


FAILURES = (
    Failure(
        error_type="ProviderRateLimited",
        error="429 from the provider: too many generations at once",
    ),
    Failure(
        error_type="ProviderTimeout", error="no answer from the provider within 60 s", taken=True
    ),
    Failure(error_type="ContentFiltered", error="the prompt was refused by the provider's filter"),
)


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that one service says; ``fields`` are named as in the native protocol."""

    service: str
    level: str = "info"
    event: str
    fields: dict[str, Any] = {}
    exception: str | None = None


class Job(msgspec.Struct, kw_only=True):
    """What the services know of one job, and how it ended once it has; spans are by service."""

    job_id: int
    submission_id: int
    artifact_id: int
    user_id: int
    request_id: str
    trace_id: str
    provider_id: str
    operation_type: str
    spans: dict[str, str]
    attempts: int = 0
    failed: bool = False
    done: bool = False


class Story:
    """Jobs and the events between them, for ever; ``jobs`` are those that began."""

    def __init__(self, chance: random.Random, *, rate: float = 50) -> None:
        """Tell of *rate* events a second."""
        self._chance = chance
        self._rate = rate
        self._told = 0  # events
        self.jobs: list[Job] = []

    def events(self) -> Iterator[Event]:
        """Give one event after the other, of a few jobs at once and of what else goes on."""
        running = [self._job() for _ in range(JOBS_AT_ONCE)]
        while True:
            place = self._chance.randrange(JOBS_AT_ONCE + 1)
            if place == JOBS_AT_ONCE:
                event: Event | None = self._aside()
            else:
                event = next(running[place], None)
            if event is None:
                running[place] = self._job()
            else:
                self._told += 1
                yield event

    def _job(self) -> Iterator[Event]:
        chance = self._chance
        number = chance.randrange(10_000, 10_000_000)
        job = Job(
            job_id=number,
            submission_id=number + 7,
            artifact_id=number * 2,
            user_id=chance.randrange(1, 500),
            request_id=f"req-{chance.getrandbits(48):012x}",
            trace_id=f"{chance.getrandbits(128) | 1:032x}",
            provider_id=chance.choice(PROVIDERS),
            operation_type=chance.choice(OPERATIONS),
            spans={service: self._span() for service in ("gateway", "api", "worker", "media")},
        )
        self.jobs.append(job)
        yield from self._request(job)
        yield from self._generation(job)
        yield from self._ending(job)
        job.done = True

    def _request(self, job: Job) -> Iterator[Event]:
        seen = {"request_id": job.request_id, "trace_id": job.trace_id}
        asked = {**seen, "operation_type": job.operation_type, "channel": "api"}
        yield Event(service="frontend", event="generation_requested", fields=asked)
        span, begun = {"span_id": job.spans["api"]}, self._told
        created = {**asked, **span, **_ids(job), "user_id": job.user_id}
        yield Event(service="api", event="job_created", fields=created)
        answered = {"method": "POST", "path": "/api/v1/jobs", "status_code": 202}
        answered["duration_ms"] = self._since(begun)
        answered["parent_span_id"] = job.spans["gateway"]
        yield Event(service="api", event="http_request", fields={**seen, **span, **answered})
        forwarded = {"http.request.method": "POST", "http.response.status_code": 202}
        forwarded |= {"span_id": job.spans["gateway"], "duration_ms": self._since(begun)}
        yield Event(service="gateway", event="request forwarded", fields={**seen, **forwarded})
        started = {**seen, **_ids(job), "stage": "pipeline:start", "msg": "job_processing_started"}
        started |= {"span_id": job.spans["worker"], "parent_span_id": job.spans["api"]}
        yield Event(service="worker", event="pipeline:start", fields=started)

    def _generation(self, job: Job) -> Iterator[Event]:
        """Tell of attempts until one succeeds or no more are left."""
        for attempt in range(1, MOST_ATTEMPTS + 1):
            job.attempts = attempt
            tried = {
                **_ids(job),
                "trace_id": job.trace_id,
                "provider_id": job.provider_id,
                "attempt": attempt,
            }
            common = tried | {"span_id": self._span()}
            begun = self._told
            yield self._staged("provider:map_params", common, resolution="720p", seconds=5)
            task = {"provider_job_id": f"{job.provider_id}-{self._chance.getrandbits(40):010x}"}
            left = {"parent_span_id": job.spans["worker"]}
            failure = self._chance.choice(FAILURES) if self._chance.random() < 0.3 else None
            if failure is None or failure.taken:
                took = self._since(begun)
                yield self._staged("provider:submit", common | task, duration_ms=took)
                for progress in range(self._chance.randrange(1, 4)):
                    done = 25 * (progress + 1)
                    yield self._staged("provider:status", common | task, progress=done)
            took = self._since(begun)
            if failure is None:
                yield self._staged("provider:complete", common | task | left, duration_ms=took)
                return
            job.failed = attempt == MOST_ATTEMPTS
            yield self._failed(failure, common | left | {"duration_ms": took})
            yield self._decision(tried | {"span_id": job.spans["worker"]}, failure, job)

    def _failed(self, failure: Failure, fields: dict[str, Any]) -> Event:
        error_type, error = failure.error_type, failure.error
        why = {"stage": "provider:error", "error": error, "error_type": error_type}
        trace = TRACEBACK.format(provider=fields["provider_id"], error_type=error_type, error=error)
        return Event(
            service="generation-worker",
            level="error",
            event="provider:error",
            fields=fields | why,
            exception=trace,
        )

    def _decision(self, fields: dict[str, Any], failure: Failure, job: Job) -> Event:
        decided = {"retry": not job.failed, "reason": failure.error_type}
        return Event(
            service="worker",
            level="error" if job.failed else "warning",
            event="retry:decision",
            fields={**fields, "stage": "retry:decision", **decided},
        )

    def _ending(self, job: Job) -> Iterator[Event]:
        seen: dict[str, Any] = {"trace_id": job.trace_id, "job_id": job.job_id}
        if job.failed:
            fields = {**seen, "error": "the generation failed"}
            yield Event(service="frontend", level="error", event="generation_failed", fields=fields)
            return
        stored = {"stage": "pipeline:artifact", "media.bytes": self._chance.randrange(10**7)}
        stored |= {"span_id": job.spans["media"], "parent_span_id": job.spans["worker"]}
        stored |= {"artifact_id": job.artifact_id, "duration_ms": self._milliseconds(120)}
        yield Event(service="media", event="artifact stored", fields={**seen, **stored})
        yield Event(service="frontend", event="generation_shown", fields=seen)

    def _aside(self) -> Event:
        """Tell of something that belongs to no job."""
        chance = self._chance
        match chance.randrange(4):
            case 0:
                service, event = "admin", "log_event_collapsed"
                fields = {"original_level": "WARN", "occurrences": chance.randrange(2, 40)}
            case 1:
                service, event = "backfill-script", "asset_checked"
                fields = {"channel": "cron", "asset_id": chance.randrange(10_000), "ok": True}
            case 2:
                service, event = "api", "http_request"
                fields = {"method": "GET", "path": "/api/v1/assets", "status_code": 200}
                fields["duration_ms"] = self._milliseconds(15)
            case _:
                service, event = "media", "cache read"
                fields = {"cache.hit": chance.random() < 0.9, "cache.size": chance.randrange(10**6)}
        level = "warning" if service == "admin" else "info"
        return Event(service=service, level=level, event=event, fields=fields)

    def _staged(self, stage: str, common: dict[str, Any], **more: Any) -> Event:
        fields = {**common, "stage": stage, **more}
        return Event(service="generation-worker", event=stage, fields=fields)

    def _span(self) -> str:
        return f"{self._chance.getrandbits(64) | 1:016x}"

    def _since(self, told: int) -> float:
        """Give the milliseconds that the events since *told* take, a little less than they do."""
        return round((self._told - told) / self._rate * 1_000 * self._chance.uniform(0.85, 0.99), 2)

    def _milliseconds(self, typical: float) -> float:
        return round(self._chance.lognormvariate(0, 0.5) * typical, 2)


def _ids(job: Job) -> dict[str, Any]:
    return {
        "job_id": job.job_id,
        "submission_id": job.submission_id,
        "artifact_id": job.artifact_id,
        "operation_type": job.operation_type,
    }
