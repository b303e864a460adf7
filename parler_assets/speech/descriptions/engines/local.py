"""The engine `transformers`: a causal model in this process, in left-padded batches of like length.

Every question draws from its own random numbers (Gumbel-max: the highest sum of log-probability and noise is a sample
of the distribution), so that an answer depends on its seed and not on what else is in the batch.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, cast

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, LogitsProcessor, LogitsProcessorList

from parler_assets.hub.pretrained import refuse_larger, whole
from parler_assets.intake import Refusal
from parler_assets.intake.chat_templates import refuse_template, written
from parler_assets.intake.remote_code import first_line
from parler_assets.progress import follow
from parler_assets.recipe import Describing
from parler_assets.speech.descriptions.engines.engine import Request, checked_model
from parler_assets.speech.descriptions.errors import DescriptionError
from parler_assets.speech.devices import cards, first, give_back


class TransformersEngine:
    """A model from the Hub or a folder; safetensors only, with the chat template of its tokenizer."""

    def __init__(self, settings: Describing, revision: str | None, device: str = "cpu") -> None:
        self.settings, self.device = settings, first(device)
        folder = checked_model(str(settings.model), revision)
        self.tokenizer = _tokenizer(str(settings.model), folder)
        self.model = _model(settings, folder, self.device)

    def answers(self, requests: Sequence[Request]) -> Iterator[dict[str, str]]:
        """Key to text, batch by batch, long prompts first: a batch that is too large shows at once."""
        prompts = [self._tokens(request) for request in requests]
        order = sorted(range(len(requests)), key=lambda place: (-len(prompts[place]), prompts[place], place))
        size = self.settings.batch_size
        starts = range(0, len(order), size)
        for start in follow(starts, "answers", len(starts), "batch"):
            batch = order[start : start + size]
            yield from self._batch([requests[place] for place in batch], [prompts[place] for place in batch])

    def close(self) -> None:
        del self.model
        give_back()

    def _tokens(self, request: Request) -> list[int]:
        messages = list(request.messages)
        try:
            text = written(
                lambda: self.tokenizer.apply_chat_template(messages, add_generation_prompt=True, tokenize=False)
            )
        except Refusal as error:
            raise DescriptionError(f"describing.model {self.settings.model}: {error}") from None
        ids = self.tokenizer(text, add_special_tokens=False).input_ids
        longest = getattr(self.model.config, "max_position_embeddings", None)
        if longest and len(ids) + self.settings.max_new_tokens > longest:
            raise DescriptionError(
                f"{self.settings.model} reads {longest} tokens, a prompt has {len(ids)} and describing.max_new_tokens "
                f"is {self.settings.max_new_tokens}: choose a model with a longer context, a shorter prompt or answer"
            )
        return ids

    def _batch(self, requests: Sequence[Request], prompts: Sequence[list[int]]) -> Iterator[dict[str, str]]:
        """One batch, or its halves where the GPU's memory does not hold it."""
        try:
            texts = self._generate(prompts, [request.seed for request in requests])
        except torch.OutOfMemoryError:
            if len(requests) == 1:
                raise DescriptionError(
                    f"{self.settings.model} does not fit on this GPU: set describing.load_in_4bit, or a smaller model"
                ) from None
            torch.cuda.empty_cache()
            half = len(requests) // 2
            for part in (slice(None, half), slice(half, None)):
                yield from self._batch(requests[part], prompts[part])
            return
        yield {request.key: text for request, text in zip(requests, texts, strict=True)}

    @torch.inference_mode()
    def _generate(self, prompts: Sequence[list[int]], seeds: Sequence[int]) -> list[str]:
        """Answers to prompts (B token lists), each sampled with its seed. Prompts that occur twice are read once."""
        distinct = {tuple(prompt): place for place, prompt in enumerate(dict.fromkeys(map(tuple, prompts)))}
        ids, mask = self._padded(list(distinct))
        rows = torch.tensor([distinct[tuple(prompt)] for prompt in prompts], device=self.device)
        sampling = SeededSampling(seeds, self.settings.temperature, self.device)
        output = self.model.generate(
            input_ids=ids[rows],
            attention_mask=mask[rows],
            past_key_values=self._read(ids, mask, rows) if len(distinct) < len(prompts) else None,
            max_new_tokens=self.settings.max_new_tokens,
            do_sample=False,
            logits_processor=LogitsProcessorList([sampling] if self.settings.temperature else []),
            pad_token_id=self.tokenizer.pad_token_id,
        )
        return self.tokenizer.batch_decode(output[:, ids.shape[1] :], skip_special_tokens=True)

    def _padded(self, prompts: Sequence[Sequence[int]]) -> tuple[torch.Tensor, torch.Tensor]:
        """Token ids and mask (U, S), padded on the left."""
        longest, pad = max(map(len, prompts)), self.tokenizer.pad_token_id
        ids = torch.tensor([[pad] * (longest - len(p)) + list(p) for p in prompts], device=self.device)
        mask = torch.tensor([[0] * (longest - len(p)) + [1] * len(p) for p in prompts], device=self.device)
        return ids, mask

    def _read(self, ids: torch.Tensor, mask: torch.Tensor, rows: torch.Tensor) -> Any:
        """Keys and values of all tokens but the last of prompts (U, S), repeated for the answers' `rows` (B,)."""
        positions = (mask.cumsum(1) - 1).clamp(min=0)
        cache = self.model(
            input_ids=ids[:, :-1],
            attention_mask=mask[:, :-1],
            position_ids=positions[:, :-1],
            use_cache=True,
            logits_to_keep=1,
        ).past_key_values
        cache.reorder_cache(rows)
        return cache


class SeededSampling(LogitsProcessor):
    """Makes the greedy choice a sample: logits / temperature + Gumbel noise, from one generator a row."""

    def __init__(self, seeds: Sequence[int], temperature: float, device: str) -> None:
        self.temperature = temperature
        self.generators = [torch.Generator(device).manual_seed(seed) for seed in seeds]

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        """Scores (B, V) of the next token."""
        V = scores.shape[1]
        uniform = torch.stack([torch.rand(V, generator=g, device=scores.device) for g in self.generators])
        return scores.float() / self.temperature - torch.log(-torch.log(uniform.clamp(1e-20, 1 - 1e-7)))


def _tokenizer(model: str, folder: Path) -> Any:
    try:
        tokenizer = AutoTokenizer.from_pretrained(folder, padding_side="left", trust_remote_code=False)
        refuse_template(str(tokenizer.chat_template or ""))
    except Exception as error:  # whatever the libraries make of files that they did not write
        raise DescriptionError(
            f"describing.model {model}: its tokenizer cannot be loaded: {first_line(error)}"
        ) from None
    if not tokenizer.chat_template:
        raise DescriptionError(
            f"describing.model {model} has no chat template: choose an instruction-tuned model, such as "
            "mistralai/Mistral-7B-Instruct-v0.2 or google/gemma-2b-it"
        )
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token
    return tokenizer


def _model(settings: Describing, folder: Path, device: str) -> Any:
    options: dict[str, Any] = {"dtype": torch.bfloat16 if cards(device) else torch.float32}
    if settings.load_in_4bit:
        options |= {"quantization_config": _four_bits(device), "device_map": {"": device}}
    try:
        refuse_larger(AutoModelForCausalLM, folder)
        loaded: Any = AutoModelForCausalLM.from_pretrained(
            folder, use_safetensors=True, trust_remote_code=False, output_loading_info=True, **options
        )
        model = whole(loaded, folder)
    except torch.OutOfMemoryError:
        raise DescriptionError(
            f"{settings.model} does not fit on this GPU: set describing.load_in_4bit, or a smaller model"
        ) from None
    except Exception as error:  # whatever the library makes of files that it did not write
        raise DescriptionError(
            f"describing.model {settings.model} cannot be loaded (safetensors only): {first_line(error)}"
        ) from None
    return (model if settings.load_in_4bit else cast(Any, model).to(device)).eval()


def _four_bits(device: str) -> Any:
    """NF4 weights, computed with in bfloat16, as the reference run used them."""
    import importlib.util

    from transformers import BitsAndBytesConfig

    if not cards(device) or importlib.util.find_spec("bitsandbytes") is None:
        missing = "a CUDA device" if not cards(device) else "bitsandbytes: install the extra gpu"
        raise DescriptionError(f"describing.load_in_4bit needs {missing}; or set it to false")
    return BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_compute_dtype=torch.bfloat16,
        bnb_4bit_use_double_quant=True,
    )
