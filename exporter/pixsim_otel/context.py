"""
Loggers, and what they say of the job, the artifact or the domain they work for.

A logger that was bound says it on every line; the one it was made from is unchanged.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, TypeVar

import structlog

if TYPE_CHECKING:
    from structlog.typing import FilteringBoundLogger


class _Binds(Protocol):
    """Any of structlog's loggers."""

    def bind(self, **new_values: object) -> object: ...


L = TypeVar("L", bound=_Binds)


def get_logger(name: str | None = None) -> FilteringBoundLogger:
    """Give a logger; *name* is said by each record, as its scope's name."""
    logger: FilteringBoundLogger = (
        structlog.get_logger() if name is None else structlog.get_logger(logger_name=name)
    )
    return logger


def bind_job_context(
    logger: L,
    job_id: int | str | None = None,
    operation_type: str | None = None,
    provider_id: str | None = None,
) -> L:
    """Bind what is known of a job."""
    return _bound(logger, job_id=job_id, operation_type=operation_type, provider_id=provider_id)


def bind_artifact_context(
    logger: L, artifact_id: int | None = None, submission_id: int | None = None
) -> L:
    """Bind what is known of an artifact; newer services call it a generation."""
    return _bound(logger, artifact_id=artifact_id, submission_id=submission_id)


def bind_generation_context(
    logger: L, generation_id: int | None = None, submission_id: int | None = None
) -> L:
    """Bind what is known of a generation."""
    return _bound(logger, generation_id=generation_id, submission_id=submission_id)


def bind_domain_context(logger: L, domain: str) -> L:
    """Bind the business domain, whose level may be set apart."""
    return _bound(logger, domain=domain)


def _bound(logger: L, **known: object) -> L:
    bound: L = logger.bind(  # type: ignore[assignment]
        **{key: value for key, value in known.items() if value is not None}
    )
    return bound
