"""
The names that pixsim's log lines are made of: fields, stages, domains, channels, services.

They are the same for all services, so that a search for one finds it whoever logged it.
Nothing is refused for not being listed here.
"""

from __future__ import annotations

COMMON_FIELDS = [
    "timestamp",
    "level",
    "msg",
    "service",
    "env",
    "domain",
    "request_id",
    "job_id",
    "submission_id",
    "artifact_id",
    "generation_id",
    "provider_job_id",
    "provider_id",
    "operation_type",
    "stage",
    "channel",
    "user_id",
    "attempt",
    "duration_ms",
    "error",
    "error_type",
    "created_at",
]

STAGES = [
    "pipeline:start",
    "pipeline:artifact",
    "provider:map_params",
    "provider:submit",
    "provider:status",
    "provider:complete",
    "provider:error",
    "retry:decision",
]
STAGES_SET = set(STAGES)

CHANNELS = ["cron", "pipeline", "api", "system"]

# Groups of a settings page, in its order: identifier, label, domains.
DOMAIN_GROUPS: list[tuple[str, str, list[str]]] = [
    (
        "backend",
        "Backend / Server",
        ["account", "audit", "cron", "generation", "provider", "sql", "system", "worker"],
    ),
    (
        "frontend",
        "Frontend / Browser",
        ["localFolders", "overlay", "persistence", "stores", "websocket"],
    ),
    ("validation", "Validation", ["validateCompositionVocabs"]),
]
DOMAIN_TO_GROUP = {domain: group for group, _, domains in DOMAIN_GROUPS for domain in domains}
DOMAINS = sorted(
    (domain for _, _, domains in DOMAIN_GROUPS[:2] for domain in domains), key=str.lower
)

# What `configure_logging` is called with; ``.*`` stands for any name after the dot.
SERVICES = [
    "api",
    "events",
    "middleware.*",
    "plugin.*",
    "provider.*",
    "service.*",
    "startup",
    "worker",
]

PROVIDERS = [
    "anthropic_llm",
    "cmd_embedding",
    "cmd_llm",
    "local_llm",
    "openai_embedding",
    "openai_llm",
    "pixverse",
    "remaker",
    "remote_cmd_llm",
    "sora",
]


def ensure_valid_stage(stage: str) -> str:
    """Give *stage* back: stages are free text, `STAGES` are those that have a meaning."""
    return stage
