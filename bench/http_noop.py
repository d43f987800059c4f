"""Servers that read a job and do nothing: `python -m bench.http_noop starlette|fastapi PORT`, under uvicorn."""

from __future__ import annotations

import sys
from typing import Any, Final

import uvicorn
from fastapi import FastAPI
from pydantic import BaseModel
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

ANSWER: Final = {"id": "1m8jvx32csa4d8f3jx", "total": 1, "accepted": 1}


class Content(BaseModel):
    """As `web.api.shapes.jobs.SmsContent`."""

    kind: str
    text: str
    to: str | list[str]


class Job(BaseModel):
    """As `web.api.shapes.jobs.JobRequest`, as far as the bench's body goes."""

    content: Content
    lane: str = "normal"


async def _starlette(request: Request) -> JSONResponse:
    await request.json()
    return JSONResponse(ANSWER, 202)


async def _fastapi(job: Job) -> dict[str, Any]:
    del job
    return ANSWER


def app(framework: str) -> Any:
    """The application of one framework."""
    if framework == "starlette":
        return Starlette(routes=[Route("/v1/jobs", _starlette, methods=["POST"])])
    made = FastAPI()
    made.post("/v1/jobs", status_code=202)(_fastapi)
    return made


if __name__ == "__main__":
    uvicorn.run(app(sys.argv[1]), port=int(sys.argv[2]), access_log=False, log_level="warning")
