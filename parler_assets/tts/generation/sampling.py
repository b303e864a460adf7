"""From logits to ids: guidance, when a codebook may end, and the choice itself."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from transformers import GenerationConfig

# Fields of a generation config that change what is chosen in transformers and that no model of speech here follows,
# with the values that change nothing: published files have those.
NOT_FOLLOWED: dict[str, tuple] = {
    "repetition_penalty": (1.0,), "encoder_repetition_penalty": (1.0,), "no_repeat_ngram_size": (0,),
    "encoder_no_repeat_ngram_size": (0,), "diversity_penalty": (0.0,), "num_beam_groups": (1,), "typical_p": (1.0,),
    "min_p": (), "top_h": (), "epsilon_cutoff": (0.0,), "eta_cutoff": (0.0,), "penalty_alpha": (), "min_length": (0,),
    "bad_words_ids": (), "sequence_bias": (), "force_words_ids": (), "constraints": (), "suppress_tokens": (),
    "begin_suppress_tokens": (), "forced_bos_token_id": (), "forced_eos_token_id": (), "stop_strings": (),
    "exponential_decay_length_penalty": (), "max_time": (), "output_scores": (False,), "output_logits": (False,),
    "output_attentions": (False,), "output_hidden_states": (False,), "prompt_lookup_num_tokens": (),
    "watermarking_config": (), "assistant_early_exit": (), "dola_layers": (), "num_beams": (1,),
}  # fmt: skip
FOLLOWED = (
    "do_sample, temperature, top_k, top_p, max_length, max_new_tokens, min_new_tokens, guidance_scale, "
    "num_return_sequences and return_dict_in_generate"
)


def check_followed(config: GenerationConfig) -> None:
    """Refuse settings that would be without effect.

    Raises:
        ValueError: names the setting and those that generation follows.
    """
    for name, harmless in NOT_FOLLOWED.items():
        value = getattr(config, name, None)
        if value is not None and value not in harmless:
            raise ValueError(f"{name}={value!r} is not supported: generation follows {FOLLOWED}")


@dataclass(frozen=True)
class Sampling:
    """How ids are chosen.

    Attributes:
        max_length: columns at most, the start column included.
        min_new: new columns before any codebook may end.
        guidance: how far logits are moved away from those without a description; 1 leaves them.
    """

    max_length: int
    min_new: int
    do_sample: bool = True
    temperature: float = 1.0
    top_k: int = 50
    top_p: float = 1.0
    guidance: float = 1.0

    @classmethod
    def of(cls, config: GenerationConfig, codebooks: int) -> Sampling:
        """Missing values as in the original: top_k 50, and codebooks + 1 columns before the end.

        Raises:
            ValueError: a value out of its range, or a setting that generation does not follow, such as beam search.
        """
        check_followed(config)
        sampling = cls(
            max_length=int(config.max_length or 0),
            min_new=codebooks + 1 if config.min_new_tokens is None else int(config.min_new_tokens),
            do_sample=bool(config.do_sample),
            temperature=1.0 if config.temperature is None else float(config.temperature),
            top_k=50 if config.top_k is None else int(config.top_k),
            top_p=1.0 if config.top_p is None else float(config.top_p),
            guidance=1.0 if config.guidance_scale is None else float(config.guidance_scale),
        )
        if sampling.do_sample and sampling.temperature <= 0:
            raise ValueError(
                f"temperature {sampling.temperature}: must be above 0; for greedy speech set do_sample=False"
            )
        if not 0 < sampling.top_p <= 1 or sampling.top_k < 0:
            raise ValueError(f"top_p {sampling.top_p} must be in (0, 1] and top_k {sampling.top_k} at least 0 (0: all)")
        return sampling

    def choose(self, logits: Tensor, uniform: Tensor | None) -> Tensor:
        """Ids (B, K) from float32 logits (B, K, V), by numbers `uniform` (B, K) in [0, 1); None: the best ids.

        Inverse transform sampling: a number is a place in the cumulated probabilities, best first, so a sample depends
        on its own numbers only.
        """
        if uniform is None:
            return logits.argmax(-1)
        V = logits.shape[-1]
        best, ids = _best(logits, min(self.top_k or V, V))
        probs = torch.softmax(best / self.temperature, dim=-1)
        cumulated = probs.cumsum(-1)
        if self.top_p < 1:
            inside = cumulated - probs < self.top_p
            cumulated = (probs * inside).cumsum(-1)
        place = (cumulated <= uniform[..., None] * cumulated[..., -1:]).sum(-1, keepdim=True)
        return ids.gather(-1, place.clamp(max=ids.shape[-1] - 1)).squeeze(-1)


def _best(logits: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """The highest of (..., V) and their places (..., count), best first; torch takes three times as long on a CPU."""
    if logits.device.type != "cpu" or count == logits.shape[-1]:
        return logits.topk(count, dim=-1)
    places = torch.from_numpy(np.argpartition(logits.numpy(), -count, axis=-1)[..., -count:])
    best, order = logits.gather(-1, places).sort(-1, descending=True)
    return best, places.gather(-1, order)


class EosTracker:
    """Which codebooks of each sample have ended. They end in order: codebook k only after k - 1 has.

    What the original finds by searching the whole history at each step is kept as two small tensors.

    Attributes:
        ended: (B, K) bool.
        active: (B, 1) the codebook that may end next.
    """

    def __init__(self, samples: int, codebooks: int, eos: int, device: torch.device) -> None:
        self.eos = eos
        self.ended = torch.zeros(samples, codebooks, dtype=torch.bool, device=device)
        self.active = torch.zeros(samples, 1, dtype=torch.long, device=device)
        self._rows = torch.arange(codebooks, device=device)

    def forbidden(self) -> Tensor:
        """(B, K): codebooks that may not end now. Moves on by at most one codebook."""
        self.active += self.ended.gather(1, self.active) & (self.active < self._rows[-1])
        return self._rows > self.active

    def update(self, ids: Tensor) -> Tensor:
        """Take in the column (B, K) that was chosen; an ended codebook stays at EOS."""
        ids = ids.masked_fill(self.ended, self.eos)
        self.ended |= ids == self.eos
        return ids

    def finished(self) -> Tensor:
        """(B,): samples whose codebooks have all ended."""
        return self.ended.all(1)

    def keep(self, rows: Tensor) -> None:
        self.ended, self.active = self.ended[rows], self.active[rows]
