"""What runs in vLLM's own process: reads questions in lines of JSON, writes answers, ends when its input closes.

It imports nothing of this project, so that any interpreter that has vLLM can run it. vLLM and its libraries print as
they like: their output goes to standard error, the answers through the original standard output.
"""

from __future__ import annotations

import json
import os
import queue
import signal
import sys
import threading

LONGEST_CONTEXT = 4096  # tokens; a prompt has about a thousand, and a long context only costs memory


def read_ahead(lines: queue.Queue) -> None:
    """Hand on lines of input; when the other end is gone, however it went, end with all child processes."""
    for line in sys.stdin:
        lines.put(line)
    lines.put(None)
    idle.wait(timeout=1.0)
    os.killpg(0, signal.SIGKILL)


idle = threading.Event()


def main() -> None:
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    lines: queue.Queue = queue.Queue()
    threading.Thread(target=read_ahead, args=(lines,), daemon=True).start()
    settings = json.loads(lines.get())
    llm = None
    while True:
        idle.set()
        line = lines.get()
        if line is None:
            return
        idle.clear()
        try:
            llm = llm or load(settings)
            reply: dict = {"texts": chat(llm, settings, json.loads(line))}
        except Exception as error:  # told to the other side, which stops
            reply = {"error": explained(error)}
        answers.write(json.dumps(reply) + "\n")
        answers.flush()


def load(settings: dict):
    """The engine: prefixes are cached, as prompts differ only at their end."""
    os.environ.setdefault("VLLM_NO_USAGE_STATS", "1")
    os.environ.setdefault("DO_NOT_TRACK", "1")
    if settings["tensor_parallel"] == 1:
        os.environ.setdefault("VLLM_ENABLE_V1_MULTIPROCESSING", "0")  # this process is its own already
    from vllm import LLM
    from vllm.platforms import current_platform

    on_cpu = current_platform.is_cpu()
    share = settings["gpu_memory_utilization"]
    return LLM(
        model=settings["model"],
        revision=settings["revision"],
        tokenizer_revision=settings["revision"],
        load_format="safetensors",
        dtype="float32" if on_cpu else "auto",
        enforce_eager=on_cpu,
        tensor_parallel_size=settings["tensor_parallel"],
        enable_prefix_caching=True,
        trust_remote_code=False,
        max_model_len=context(settings),
        seed=settings["seed"],
        **({} if share is None else {"gpu_memory_utilization": share}),
    )


def context(settings: dict) -> int:
    """Tokens of prompt and answer together."""
    from transformers import AutoConfig

    config = AutoConfig.from_pretrained(settings["model"], revision=settings["revision"], trust_remote_code=False)
    return min(getattr(config, "max_position_embeddings", None) or LONGEST_CONTEXT, LONGEST_CONTEXT)


def chat(llm, settings: dict, requests: list[dict]) -> dict[str, str]:
    """Key to text; every request is sampled with its own seed."""
    from vllm import SamplingParams

    structured = {}
    if settings["schema"]:
        from vllm.sampling_params import StructuredOutputsParams

        structured = {"structured_outputs": StructuredOutputsParams(json=settings["schema"])}
    sampling = [
        SamplingParams(
            temperature=settings["temperature"], max_tokens=settings["max_tokens"], seed=r["seed"], **structured
        )
        for r in requests
    ]
    outputs = llm.chat([r["messages"] for r in requests], sampling, use_tqdm=False)
    return {r["key"]: output.outputs[0].text for r, output in zip(requests, outputs, strict=True)}


def explained(error: Exception) -> str:
    if isinstance(error, ImportError):
        return f"{error}: install the extra vllm, or name an interpreter that has it in PARLER_VLLM_PYTHON"
    first = next((line for line in str(error).splitlines() if line.strip()), "")
    remedy = ""
    if "memory utilization" in first.lower().replace("_", " "):
        remedy = "; free the card, or set describing.gpu_memory_utilization (a share of its memory, 0.9 by default)"
    return f"{type(error).__name__}: {first}{remedy}"


if __name__ == "__main__":
    main()
