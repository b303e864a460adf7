"""The engine `server`: any OpenAI-compatible endpoint, such as `vllm serve`; many requests at a time, with patience.

Connections that fail, answers that take too long, 429 and 5xx are tried again with growing pauses (or the one that the
server asks for); anything else stops at once. The key comes from PARLER_LLM_API_KEY only, is in no message, and
is sent to the origin in PARLER_LLM_ORIGIN only.
"""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from typing import Any, cast
from urllib.parse import urlsplit

import httpx
import openai
from tenacity import (
    RetryCallState,
    Retrying,
    retry_if_exception_type,
    stop_after_attempt,
    stop_when_event_set,
    wait_exponential_jitter,
)
from tenacity.wait import wait_base

from parler_assets.recipe import Describing
from parler_assets.speech.descriptions.engines.engine import ANSWER_SCHEMA, Request
from parler_assets.speech.descriptions.errors import DescriptionError

logger = logging.getLogger(__name__)

KEY, ORIGIN = "PARLER_LLM_API_KEY", "PARLER_LLM_ORIGIN"
LOOPBACK = {"127.0.0.1", "localhost", "::1"}
SENT = {
    "host",
    "authorization",
    "user-agent",
    "accept",
    "accept-encoding",
    "connection",
    "content-type",
    "content-length",
}
TRIES = 6
FIRST_PAUSE, LONGEST_PAUSE = 1.0, 30.0  # seconds; doubled from try to try
LONGEST_ASKED_PAUSE = 120.0  # seconds that a server may ask for
_PASSING = (openai.APIConnectionError, openai.APITimeoutError, openai.RateLimitError, openai.InternalServerError)


class ServerEngine:
    """Asks a server; answers are given as they arrive."""

    def __init__(self, settings: Describing) -> None:
        self.settings, self.where = settings, shown(str(settings.url))
        key = key_for(str(settings.url)) or "none"  # vllm serve asks for none, the client for something
        # Who is asked is whom the recipe names: an answer sends neither key nor prompts on to another place.
        direct = openai.DefaultHttpxClient(follow_redirects=False, event_hooks={"request": [_bare]})
        self.client = openai.OpenAI(
            base_url=settings.url, api_key=key, timeout=settings.timeout, max_retries=0, http_client=direct
        )
        self._stopped = threading.Event()

    def answers(self, requests: Sequence[Request]) -> Iterator[dict[str, str]]:
        """Key to text of whatever has arrived. After a failure that lasts, what is under way is still given."""
        with ThreadPoolExecutor(self.settings.batch_size) as pool:
            waiting = {pool.submit(self._answer, request): request.key for request in requests}
            failure: DescriptionError | None = None
            while waiting:
                done, _ = wait(waiting, return_when=FIRST_COMPLETED)
                arrived, failed = _sorted_out({future: waiting.pop(future) for future in done})
                failure = failure or failed
                if failure:
                    self._stopped.set()  # the others stop waiting for another try
                    waiting = {future: key for future, key in waiting.items() if not future.cancel()}
                if arrived:
                    yield arrived
            if failure:
                raise failure

    def close(self) -> None:
        self._stopped.set()
        self.client.close()

    def _answer(self, request: Request) -> str:
        retrying = Retrying(
            retry=retry_if_exception_type(_PASSING),
            stop=stop_when_event_set(self._stopped) | stop_after_attempt(TRIES),
            wait=_Patience(),
            sleep=self._pause,
            before_sleep=self._say,
            reraise=True,
        )
        try:
            return retrying(self._ask, request)
        except openai.APIError as error:
            raise DescriptionError(self._explained(error)) from None

    def _ask(self, request: Request) -> str:
        settings = self.settings
        options: dict[str, Any] = {"temperature": settings.temperature, "max_tokens": settings.max_new_tokens}
        if settings.structured:
            schema = {"name": "description", "schema": ANSWER_SCHEMA, "strict": True}
            options["response_format"] = {"type": "json_schema", "json_schema": schema}
        answer = self.client.chat.completions.create(
            model=str(settings.model), messages=cast(Any, request.messages), seed=request.seed, **options
        )
        return (answer.choices[0].message.content or "") if answer.choices else ""

    def _pause(self, seconds: float) -> None:
        self._stopped.wait(seconds)

    def _say(self, state: RetryCallState) -> None:
        error = state.outcome.exception() if state.outcome else None
        logger.info("%s: %s, try %d of %d", self.where, type(error).__name__, state.attempt_number, TRIES)

    def _explained(self, error: openai.APIError) -> str:
        """What went wrong, without what the server said: servers repeat keys in their messages."""
        if isinstance(error, openai.APITimeoutError):
            waited = f"within {self.settings.timeout:g} s, {TRIES} times"
            return f"{self.where} did not answer {waited}: raise describing.timeout"
        if isinstance(error, openai.APIConnectionError):
            return f"{self.where} cannot be reached: start the server, or correct describing.url"
        status = error.status_code if isinstance(error, openai.APIStatusError) else "a malformed answer"
        remedy = {
            400: "it refuses these settings or this prompt's length; check describing.model and max_new_tokens",
            401: f"set {KEY} to a key it accepts, and {ORIGIN} to its origin",
            403: f"set {KEY} to a key that may use this model",
            404: "no such model or address: check describing.model and describing.url (it usually ends in /v1)",
            429: "it allows no more requests for now: lower describing.batch_size, or go on later",
        }.get(status if isinstance(status, int) else 0, "look at its log, then go on")
        return f"{self.where} answered {status}: {remedy}"


def _bare(request: httpx.Request) -> None:
    """Only these headers leave: the client would add what OPENAI_CUSTOM_HEADERS, OPENAI_ORG_ID and others hold, which
    belong to another server than the one that a recipe names."""
    for name in set(request.headers) - SENT:
        del request.headers[name]


def key_for(url: str) -> str | None:
    """The key, if the environment names the address's origin as the one that it belongs to.

    A recipe is somebody's file, and chooses only whom to ask. In the clear a key goes to this machine alone.
    """
    key = os.environ.get(KEY)
    if not key:
        return None
    named, asked = os.environ.get(ORIGIN, ""), _origin(url)
    if not named or _origin(named) != asked:
        logger.warning("%s is not sent to %s: set %s to its origin if it may have the key", KEY, shown(url), ORIGIN)
        return None
    if asked[0] != "https" and asked[1] not in LOOPBACK:
        logger.warning("%s is not sent to %s, where all can read it on the way: use https", KEY, shown(url))
        return None
    return key


def _origin(url: str) -> tuple[str, str, int | None]:
    """Scheme, host and port."""
    try:
        parts = urlsplit(url)
        port = parts.port or {"http": 80, "https": 443}.get(parts.scheme)
    except ValueError:
        raise DescriptionError(f"{url[:80]!r} is no address of a server: write https://name:port/v1") from None
    return parts.scheme, (parts.hostname or "").lower(), port


def shown(url: str) -> str:
    """An address without user, password and query, which may be secrets."""
    parts = urlsplit(url)
    port = f":{parts.port}" if parts.port else ""
    return f"{parts.scheme}://{parts.hostname or ''}{port}{parts.path}"


def _sorted_out(done: dict[Future, str]) -> tuple[dict[str, str], DescriptionError | None]:
    arrived, failure = {}, None
    for future, key in done.items():
        if future.cancelled():
            continue
        error = future.exception()
        if error is None:
            arrived[key] = future.result()
        elif isinstance(error, DescriptionError):
            failure = error
        else:
            raise error
    return arrived, failure


class _Patience(wait_base):
    """The pause that the server asks for by `Retry-After`, else a growing one with some chance in it."""

    def __call__(self, retry_state: RetryCallState) -> float:
        error = retry_state.outcome.exception() if retry_state.outcome else None
        asked = error.response.headers.get("retry-after") if isinstance(error, openai.APIStatusError) else None
        try:
            return min(float(asked or ""), LONGEST_ASKED_PAUSE)
        except ValueError:
            growing = wait_exponential_jitter(FIRST_PAUSE, LONGEST_PAUSE, jitter=FIRST_PAUSE)
            return growing(retry_state)
