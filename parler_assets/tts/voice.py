"""A checkpoint that speaks: texts and descriptions in, samples out. Used by evaluation, `say` and `serve`."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from parler_assets.recipe import Evaluation


@dataclass(frozen=True)
class Utterance:
    """Generated samples (N,) float32; `seconds` is the wall time of its batch shared by duration.

    `stopped` is false when the model did not end by itself and was cut at the limit.
    """

    samples: np.ndarray
    rate: int
    seconds: float
    stopped: bool

    @property
    def duration(self) -> float:
        return len(self.samples) / self.rate


class Voice:
    """A loaded checkpoint with its two tokenizers."""

    def __init__(self, checkpoint: Path, device: str = "cpu") -> None:
        from parler_assets.tts import ParlerTTSForConditionalGeneration
        from parler_assets.tts.model.tokenizers import load_tokenizers

        model: Any = ParlerTTSForConditionalGeneration.from_pretrained(checkpoint)
        self.model = model.to(device).eval()
        self.tokenizers = load_tokenizers(checkpoint)
        self.device = device
        codec = self.model.config.audio_encoder
        self.rate = int(codec.sampling_rate)
        self.hop = (
            int(np.prod(codec.downsampling_ratios)) if hasattr(codec, "downsampling_ratios") else codec.hop_length
        )
        self.codebooks = int(self.model.config.decoder.num_codebooks)

    @torch.inference_mode()
    def speak(
        self, texts: Sequence[str], descriptions: Sequence[str], settings: Evaluation, seed: int | Sequence[int]
    ) -> list[Utterance]:
        """Speak a batch. With a seed for each text, a sample depends on its own seed and not on its company."""
        started = time.perf_counter()
        output = self.model.generate(**self._inputs(texts, descriptions), **self.sampling(settings), seed=seed)
        samples = output.sequences.float().cpu().numpy().reshape(len(texts), -1)
        lengths = [int(length) for length in output.audios_length]
        share = (time.perf_counter() - started) / max(1, sum(lengths))
        return [
            Utterance(sound[:length].copy(), self.rate, share * length, bool(ended))
            for sound, length, ended in zip(samples, lengths, output.ended, strict=True)
        ]

    def stream(
        self, texts: Sequence[str], descriptions: Sequence[str], settings: Evaluation, seed: int | Sequence[int]
    ) -> Iterator[list[np.ndarray]]:
        """Speak a batch piece by piece: for each text what is new (n,) float32, nothing once it has ended.

        The pieces of a text joined are what `speak` gives for it.
        """
        options = self.sampling(settings) | {"return_dict_in_generate": False}
        with torch.inference_mode():
            for parts in self.model.stream(**self._inputs(texts, descriptions), **options, seed=seed):
                yield [part.float().cpu().numpy() for part in parts]

    def _inputs(self, texts: Sequence[str], descriptions: Sequence[str]) -> dict[str, torch.Tensor]:
        description = self.tokenizers.description(list(descriptions), padding=True, return_tensors="pt").to(self.device)
        prompt = self.tokenizers.prompt(list(texts), padding=True, return_tensors="pt").to(self.device)
        return {
            "input_ids": description.input_ids,
            "attention_mask": description.attention_mask,
            "prompt_input_ids": prompt.input_ids,
            "prompt_attention_mask": prompt.attention_mask,
        }

    def sampling(self, settings: Evaluation) -> dict:
        """Options of `generate`. Positions count from the prompt's first token: a sample is the same in any batch."""
        frames = max(1, round(settings.max_seconds * self.rate / self.hop))
        options: dict = {"max_length": frames + self.codebooks, "do_sample": settings.temperature > 0}
        if settings.temperature > 0:
            options |= {"temperature": settings.temperature, "top_k": settings.top_k}
        if settings.guidance_scale > 1:
            options["guidance_scale"] = settings.guidance_scale
        return options | {"return_dict_in_generate": True, "count_padding": False}
