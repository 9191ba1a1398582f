"""
A server that forks its workers after logging was configured, as gunicorn does with preload.

Each process sends what it logged itself, the parent's waiting records only the parent.
"""

import multiprocessing
import os
import sys

from pixsim_otel import bind_job_context, configure_logging

JOB = int(sys.argv[1]) if len(sys.argv) > 1 else 123
log = bind_job_context(configure_logging("prefork"), job_id=JOB)


def work(number: int) -> None:
    """Be a worker."""
    log.info("worker_done", worker=number, pid=os.getpid())


if __name__ == "__main__":
    log.info("server_started", pid=os.getpid())
    fork = multiprocessing.get_context("fork")
    workers = [fork.Process(target=work, args=(number,)) for number in (1, 2)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    if (child := os.fork()) == 0:  # without multiprocessing; exit handlers run by sys.exit
        work(3)
        sys.exit()
    os.waitpid(child, 0)
    log.info("server_ended", pid=os.getpid())
