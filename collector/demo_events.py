"""
What happens at a made-up pixsim: jobs on their way through its services, an event at a time.

Pure: the only chance is the `random.Random` that is given, so a seed tells the whole story.
Times are given when an event is sent.
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
FAILURES = (
    ("ProviderRateLimited", "429 from the provider: too many generations at once"),
    ("ProviderTimeout", "no answer from the provider within 60 s"),
    ("ContentFiltered", "the prompt was refused by the provider's filter"),
)
TRACEBACK = """\
Traceback (most recent call last):
  File "/srv/pixsim/workers/generation.py", line 184, in run
    submitted = await provider.submit(params, timeout=60)
  File "/srv/pixsim/providers/{provider}.py", line 92, in submit
    raise self._error(response)
pixsim.providers.errors.{error_type}: {error}"""


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that one service says; ``fields`` are named as in the native protocol."""

    service: str
    level: str = "info"
    event: str
    fields: dict[str, Any] = {}
    exception: str | None = None


class Job(msgspec.Struct, kw_only=True):
    """What the services know of one job, and how it ended once it has."""

    job_id: int
    submission_id: int
    artifact_id: int
    user_id: int
    request_id: str
    trace_id: str
    provider_id: str
    operation_type: str
    attempts: int = 0
    failed: bool = False
    done: bool = False


class Story:
    """Jobs and the events between them, for ever; ``jobs`` are those that began."""

    def __init__(self, chance: random.Random) -> None:
        self._chance = chance
        self.jobs: list[Job] = []

    def events(self) -> Iterator[Event]:
        """Give one event after the other, of a few jobs at once and of what else goes on."""
        running = [self._job() for _ in range(JOBS_AT_ONCE)]
        while True:
            place = self._chance.randrange(JOBS_AT_ONCE + 1)
            if place == JOBS_AT_ONCE:
                yield self._aside()
            elif (event := next(running[place], None)) is not None:
                yield event
            else:
                running[place] = self._job()

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
        forwarded = {"http.request.method": "POST", "http.response.status_code": 202}
        yield self._otel("gateway", "request forwarded", {**seen, **forwarded})
        created = {**asked, **_ids(job), "user_id": job.user_id}
        yield Event(service="api", event="job_created", fields=created)
        answered = {"method": "POST", "path": "/api/v1/jobs", "status_code": 202}
        answered["duration_ms"] = self._milliseconds(40)
        yield Event(service="api", event="http_request", fields={**seen, **answered})
        started = {**seen, **_ids(job), "stage": "pipeline:start", "msg": "job_processing_started"}
        yield Event(service="worker", event="pipeline:start", fields=started)

    def _generation(self, job: Job) -> Iterator[Event]:
        """Tell of attempts until one succeeds or no more are left."""
        for attempt in range(1, MOST_ATTEMPTS + 1):
            job.attempts = attempt
            common = {
                **_ids(job),
                "trace_id": job.trace_id,
                "provider_id": job.provider_id,
                "attempt": attempt,
            }
            yield self._staged("provider:map_params", common, resolution="720p", seconds=5)
            task = {"provider_job_id": f"{job.provider_id}-{self._chance.getrandbits(40):010x}"}
            if self._chance.random() < 0.3:
                final = attempt == MOST_ATTEMPTS
                yield from self._failure(common, final=final)
                job.failed = final
                continue
            took = self._milliseconds(800)
            yield self._staged("provider:submit", common | task, duration_ms=took)
            for progress in range(self._chance.randrange(1, 4)):
                yield self._staged("provider:status", common | task, progress=25 * (progress + 1))
            took = self._milliseconds(20_000)
            yield self._staged("provider:complete", common | task, duration_ms=took)
            return

    def _failure(self, common: dict[str, Any], *, final: bool) -> Iterator[Event]:
        error_type, error = self._chance.choice(FAILURES)
        yield Event(
            service="generation-worker",
            level="error",
            event="provider:error",
            fields={**common, "stage": "provider:error", "error": error, "error_type": error_type},
            exception=TRACEBACK.format(
                provider=common["provider_id"], error_type=error_type, error=error
            ),
        )
        yield Event(
            service="worker",
            level="error" if final else "warning",
            event="retry:decision",
            fields={**common, "stage": "retry:decision", "retry": not final, "reason": error_type},
        )

    def _ending(self, job: Job) -> Iterator[Event]:
        seen: dict[str, Any] = {"trace_id": job.trace_id, "job_id": job.job_id}
        if job.failed:
            fields = {**seen, "error": "the generation failed"}
            yield Event(service="frontend", level="error", event="generation_failed", fields=fields)
            return
        stored = {"stage": "pipeline:artifact", "media.bytes": self._chance.randrange(10**7)}
        yield self._otel("media", "artifact stored", {**seen, **stored})
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

    def _otel(self, service: str, text: str, fields: dict[str, Any]) -> Event:
        span_id = f"{self._chance.getrandbits(64) | 1:016x}"
        return Event(service=service, event=text, fields={**fields, "span_id": span_id})

    def _milliseconds(self, typical: float) -> float:
        return round(self._chance.lognormvariate(0, 0.5) * typical, 2)


def _ids(job: Job) -> dict[str, Any]:
    return {
        "job_id": job.job_id,
        "submission_id": job.submission_id,
        "artifact_id": job.artifact_id,
        "operation_type": job.operation_type,
    }
