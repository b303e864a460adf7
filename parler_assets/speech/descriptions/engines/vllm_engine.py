"""The engine `vllm`: an offline engine in a process of its own, whose end gives back the GPU's memory.

The process is another interpreter where PARLER_VLLM_PYTHON names one: vLLM may live in an environment of its own.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from parler_assets.progress import follow
from parler_assets.recipe import Describing
from parler_assets.speech.descriptions.engines.engine import ANSWER_SCHEMA, Request, checked_model
from parler_assets.speech.descriptions.errors import DescriptionError
from parler_assets.speech.devices import visible

PYTHON = "PARLER_VLLM_PYTHON"
BATCHES = 8  # of describing.batch_size handed over at once: vLLM batches on its own, this is what a kill can lose
GRACE = 20.0  # seconds to end by itself
TAIL = 12  # lines of its log in an error


class VllmEngine:
    """Starts `vllm_process.py` and talks with it in lines of JSON."""

    def __init__(self, settings: Describing, revision: str | None, device: str = "cpu") -> None:
        self.settings, folder = settings, checked_model(str(settings.model), revision)
        self._log = tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace")  # noqa: SIM115
        self._process = subprocess.Popen(
            [os.environ.get(PYTHON) or sys.executable, "-P", str(Path(__file__).with_name("vllm_process.py"))],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            text=True,
            encoding="utf-8",
            start_new_session=True,
            env=os.environ | visible(device) | {"PYTHONSAFEPATH": "1"},  # nothing is imported from this folder
        )
        self._send(
            {
                "model": str(folder),
                "revision": None,
                "temperature": settings.temperature,
                "max_tokens": settings.max_new_tokens,
                "tensor_parallel": settings.tensor_parallel,
                "gpu_memory_utilization": settings.gpu_memory_utilization,
                "seed": settings.seed,
                "schema": ANSWER_SCHEMA if settings.structured else None,
            }
        )

    def answers(self, requests: Sequence[Request]) -> Iterator[dict[str, str]]:
        size = self.settings.batch_size * BATCHES
        starts = range(0, len(requests), size)
        for start in follow(starts, "answers", len(starts), "batch"):
            chunk = [
                {"key": r.key, "messages": list(r.messages), "seed": r.seed} for r in requests[start : start + size]
            ]
            self._send(chunk)
            yield self._receive()

    def close(self) -> None:
        """End the process, politely and then for certain, with all processes it started."""
        if self._process.stdin:
            with suppress(OSError):
                self._process.stdin.close()
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(GRACE)
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        if self._process.stdout:
            self._process.stdout.close()
        self._log.close()

    def _send(self, content: dict | list) -> None:
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps(content) + "\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            raise self._failure() from None

    def _receive(self) -> dict[str, str]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line.endswith("\n"):
            raise self._failure()
        answer = json.loads(line)
        if "error" in answer:
            raise DescriptionError(f"vllm: {answer['error']}")
        return answer["texts"]

    def _failure(self) -> DescriptionError:
        """Why the process ended, from its exit and the end of its log."""
        code = self._process.wait()
        self._log.seek(0)
        lines = [line for line in self._log.read().splitlines() if line.strip()]
        why = f"was ended by {signal.Signals(-code).name}" if code < 0 else f"ended with code {code}"
        return DescriptionError(f"the vllm process {why}; the end of its log:\n" + "\n".join(lines[-TAIL:]))
