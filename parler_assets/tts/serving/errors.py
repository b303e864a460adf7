"""Errors in OpenAI's form, which its client shows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from parler_assets.tts.serving.batcher import Busy, SpeakingError
from parler_assets.tts.serving.text import SayError


def answer_errors(app: FastAPI) -> None:
    """Every error in OpenAI's form."""
    for kind, status in ((SayError, 400), (SpeakingError, 500)):
        app.add_exception_handler(kind, _answering(status))

    @app.exception_handler(Busy)
    async def busy(_, error: Busy) -> JSONResponse:
        return _error(429, str(error), error.retry_after)

    @app.exception_handler(RequestValidationError)
    async def invalid(_, error: RequestValidationError) -> JSONResponse:
        return _error(400, "; ".join(map(_in_words, error.errors())))

    @app.exception_handler(HTTPException)
    async def refused(_, error: HTTPException) -> JSONResponse:
        return _error(error.status_code, str(error.detail))


def _answering(status: int):
    async def answer(_, error: Exception) -> JSONResponse:
        return _error(status, str(error))

    return answer


def _in_words(problem: Mapping[str, Any]) -> str:
    """One problem of a request's body in words."""
    if problem["type"] == "json_invalid":
        return f"the body is not JSON: {problem['ctx']['error']} at character {problem['loc'][-1]}"
    return f"{problem['loc'][-1] if problem['loc'] else 'body'}: {problem['msg']}"


def _error(status: int, message: str, retry_after: int | None = None) -> JSONResponse:
    headers = None if retry_after is None else {"retry-after": str(retry_after)}
    return JSONResponse({"error": error_body(status, message)}, status, headers)


def error_body(status: int, message: str) -> dict[str, str | None]:
    """An error in OpenAI's form, which its client shows; without what JSON in UTF-8 cannot hold."""
    kind = {429: "server_busy"}.get(status, "invalid_request_error" if status < 500 else "server_error")
    told = message.encode("utf-8", "replace").decode("utf-8")
    return {"message": told, "type": kind, "param": None, "code": None}
