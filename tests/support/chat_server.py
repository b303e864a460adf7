"""A small OpenAI-compatible server on loopback, which answers well or fails as a test tells it to."""

from __future__ import annotations

import json
import re
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import uvicorn
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse

from parler_assets.speech.descriptions.template import sentences

TITLES = {"speaker": "name", "speaking rate": "speaking_rate", "style": "style", "gender": "gender"}


@dataclass
class Reply:
    """Status, text and headers of an answer, and how long it takes."""

    text: str = ""
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    seconds: float = 0.0


def obedient(body: dict) -> Reply:
    """What a good model would say: the last keywords of the prompt, worded by the request's seed."""
    return Reply(sentences(keywords(body) | {"quality": "high"}, 1, body["seed"])[0])


def keywords(body: dict) -> dict[str, str]:
    """The keywords that the prompt ends with."""
    line = body["messages"][-1]["content"].split("Keywords: ")[-1].split("\n")[0]
    return {TITLES[title.strip(", ")]: value for title, value in re.findall(r'([a-z ,]+) "([^"]*)"', line)}


class ChatServer:
    """`answer` is called for every request and may be replaced at any time; `bodies` are the requests so far."""

    def __init__(self, answer: Callable[[dict], Reply] = obedient) -> None:
        self.answer, self.bodies, self.keys = answer, list[dict](), list[str]()
        self.headers: list[str] = []
        self.url = ""
        self._lock = threading.Lock()

    def app(self) -> FastAPI:
        app = FastAPI()

        @app.post("/v1/chat/completions")
        def chat(body: dict, request: Request) -> JSONResponse:
            with self._lock:
                self.bodies.append(body)
                self.keys.append(request.headers.get("authorization", ""))
                self.headers += [f"{name}: {value}" for name, value in request.headers.items()]
            reply = self.answer(body)
            time.sleep(reply.seconds)
            if reply.status != 200:
                said = {"error": {"message": f"no: {request.headers.get('authorization')}", "type": "x", "code": "x"}}
                return JSONResponse(said, reply.status, reply.headers)
            choice = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": reply.text}}
            return JSONResponse({"id": "1", "object": "chat.completion", "created": 1, "model": body["model"],
                                 "choices": [choice]})  # fmt: skip

        return app


@contextmanager
def serving(server: ChatServer) -> Iterator[ChatServer]:
    listener = socket.create_server(("127.0.0.1", 0))
    server.url = f"http://127.0.0.1:{listener.getsockname()[1]}/v1"
    running = uvicorn.Server(uvicorn.Config(server.app(), log_level="error"))
    thread = threading.Thread(target=running.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    while not running.started:
        time.sleep(0.01)
    try:
        yield server
    finally:
        running.should_exit = True
        thread.join(10)
        listener.close()


def structured(text: str) -> str:
    return json.dumps({"description": text})
