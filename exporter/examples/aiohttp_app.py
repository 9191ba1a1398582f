"""
A web application: each request is one `http_request` line, and its id is on every line.

    curl -i -H 'X-Request-ID: my-request' http://127.0.0.1:8080/jobs/123
"""

import os

from aiohttp import web
from pixsim_otel import configure_logging, configure_stdlib_root_logger, get_logger
from pixsim_otel.middleware import aiohttp as request_logging

routes = web.RouteTableDef()


@routes.get("/jobs/{job_id}")
async def show_job(request: web.Request) -> web.Response:
    """Answer with a job."""
    job_id = int(request.match_info["job_id"])
    get_logger("jobs").info("job_shown", job_id=job_id)
    return web.json_response({"job_id": job_id})


configure_logging("jobs-api")
configure_stdlib_root_logger()
app = web.Application()
request_logging.setup(app)
app.add_routes(routes)

if __name__ == "__main__":
    web.run_app(app, host="127.0.0.1", port=int(os.environ.get("PORT", "8080")))
