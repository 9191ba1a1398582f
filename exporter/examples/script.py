"""A script: what it logs last is sent when it ends, here with an exception's traceback."""

import sys
from pathlib import Path

from pixsim_otel import bind_job_context, configure_logging

logger = configure_logging("import-script")
job_id, *paths = sys.argv[1:] or ["123", "a.png", "/nowhere/b.png"]
log = bind_job_context(logger, job_id=int(job_id), operation_type="import")

log.info("pipeline:start", msg="import started", files=len(paths))
for attempt, path in enumerate(paths, start=1):
    try:
        log.info("imported", path=path, size=Path(path).stat().st_size)
    except OSError:
        log.exception("import_failed", path=path, attempt=attempt)
