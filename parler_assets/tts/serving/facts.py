"""What is asked of a server before speech is: whether it is there and ready, its models and voices, its numbers."""

from __future__ import annotations

from importlib import resources
from typing import Literal

from fastapi import FastAPI, HTTPException
from fastapi.responses import HTMLResponse, JSONResponse, Response

from parler_assets.tts.serving.batcher import Batcher
from parler_assets.tts.serving.formats import FORMATS, can_encode
from parler_assets.tts.serving.telemetry import CONTENT_TYPE, Telemetry
from parler_assets.tts.serving.voices import Voices

# what the page's own script and style may do: nothing is loaded from elsewhere
_CSP = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; media-src blob:; img-src data:"
_TYPES = {"page.js": "text/javascript", "page.css": "text/css"}


def describe_server(app: FastAPI, name: str, batcher: Batcher, voices: Voices, telemetry: Telemetry) -> None:
    """Every route that only reads."""
    _health(app, batcher, telemetry)
    _models(app, name)
    _voices(app, batcher, voices)
    _page(app)


def _health(app: FastAPI, batcher: Batcher, telemetry: Telemetry) -> None:
    @app.get("/health")
    async def health() -> dict:
        waiting, counts = len(batcher.waiting), dict(batcher.counts)
        return {"status": "ok", "waiting": waiting, "batches": batcher.batches[-10:], "chunks": counts}

    @app.get("/ready")
    async def ready() -> JSONResponse:
        """Whether speech can be asked for now."""
        works = batcher.works
        return JSONResponse({"status": "ready" if works else "not speaking"}, 200 if works else 503)

    @app.get("/metrics", response_class=Response)
    async def metrics() -> Response:
        return Response(telemetry.page(), media_type=CONTENT_TYPE)


def _models(app: FastAPI, name: str) -> None:
    """Open WebUI reads the models of speech at a path of their own."""
    model = {"id": name, "object": "model", "created": 0, "owned_by": "parler_assets", "name": name}

    @app.get("/v1/models")
    async def models() -> dict:
        return {"object": "list", "data": [model]}

    @app.get("/v1/models/{model_id}")
    async def one_model(model_id: str) -> dict:
        if model_id != name:
            raise HTTPException(404, f"the one model here is {name!r}")
        return model

    @app.get("/v1/audio/models")
    async def speech_models() -> dict:
        return {"models": [model]}


def _voices(app: FastAPI, batcher: Batcher, voices: Voices) -> None:
    synthesizer = batcher.synthesizer

    @app.get("/v1/audio/voices")
    async def listed() -> dict:
        kinds = [("speaker", synthesizer.voices), ("kept", voices.kept.names)]
        return {
            "voices": [{"id": one, "name": one, "kind": kind} for kind, names in kinds for one in names],
            "styles": synthesizer.settings.styles,
            "rates": synthesizer.rates,
            "formats": [kind for kind in FORMATS if can_encode(kind)],
        }


def _page(app: FastAPI) -> None:
    folder = resources.files("parler_assets.tts.serving") / "page"

    @app.get("/", response_class=HTMLResponse, include_in_schema=False)
    async def page() -> HTMLResponse:
        return HTMLResponse((folder / "page.html").read_text("utf-8"), headers={"content-security-policy": _CSP})

    @app.get("/page/{name}", include_in_schema=False)
    async def asset(name: Literal["page.js", "page.css"]) -> Response:
        return Response((folder / name).read_text("utf-8"), media_type=_TYPES[name])
