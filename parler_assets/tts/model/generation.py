"""Generation: from texts to columns of codes, and from codes to samples."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from transformers import GenerationConfig
from transformers.utils import ModelOutput

from parler_assets.speech.codec import Codec
from parler_assets.tts.codebooks import FREE
from parler_assets.tts.model.cache import Cache
from parler_assets.tts.model.sampling import Endings, Sampling

if TYPE_CHECKING:
    from parler_assets.tts.model.conditional import ParlerTTSForConditionalGeneration, Reading

_LOOK = 16  # steps between looks at which samples have ended, on a device where looking means waiting


@dataclass
class GeneratedSpeech(ModelOutput):
    """Speech of a batch.

    Attributes:
        sequences: samples (B, N) float32, padded with zeros on the right.
        audios_length: samples of each.
        codes: (K, T) of each.
        ended: whether each ended by itself; the others were cut at the longest length.
    """

    sequences: Tensor | None = None
    audios_length: list[int] | None = None
    codes: list[Tensor] | None = None
    ended: list[bool] | None = None


@torch.no_grad()
def generate(
    self: ParlerTTSForConditionalGeneration,
    input_ids: Tensor | None = None,
    attention_mask: Tensor | None = None,
    prompt_input_ids: Tensor | None = None,
    prompt_attention_mask: Tensor | None = None,
    generation_config: GenerationConfig | None = None,
    encoder_outputs: Any = None,
    description_states: Tensor | None = None,
    input_values: Tensor | None = None,
    audio_codes: Tensor | None = None,
    seed: int | Sequence[int] | None = None,
    count_padding: bool = True,
    **options: Any,
) -> Tensor | GeneratedSpeech:
    """Speak a batch of prompts as their descriptions say.

    Args:
        input_ids: descriptions (B, S) with `attention_mask` (B, S); or their states as in `forward`.
        prompt_input_ids: transcripts (B, P) with `prompt_attention_mask` (B, P).
        generation_config: instead of the checkpoint's.
        input_values: samples (B, 1, N) or (B, N) that the speech goes on from; they stand before the result.
        audio_codes: the same as codes (B, K, T).
        seed: one for the batch or one for each sample. A sample with its own seed does not depend on the others'
            chances. By default drawn from torch's generator.
        count_padding: positions of a padded prompt start with its padding, as the original counts them. False
            counts from the prompt's first token, so that a sample is the same in every batch.
        options: fields of the generation config, such as `do_sample`, `temperature`, `top_k`, `top_p`,
            `max_length`, `max_new_tokens`, `min_new_tokens`, `guidance_scale`, `num_return_sequences`,
            `return_dict_in_generate`.

    Returns:
        Samples (B, N), or `GeneratedSpeech` with `return_dict_in_generate=True`.

    Unlike the original, ids that are no code are never chosen, an audio prefix is delayed once, and a sample
    without any frame has length 0.
    """
    config = merged(generation_config or self.generation_config, options)
    reading = self._reading(
        input_ids, attention_mask, prompt_input_ids, prompt_attention_mask, encoder_outputs, description_states
    )
    reading = reading.repeated(int(config.num_return_sequences or 1))
    prefix = _prefix(self, input_values, audio_codes, len(reading.states))
    loop = GenerationLoop(self, reading, config, prefix, seed, count_padding)
    for _ in loop.columns():
        pass
    return _speech(self, loop, bool(config.return_dict_in_generate))


def _prefix(model: ParlerTTSForConditionalGeneration, samples, codes, batch: int) -> Tensor | None:
    if samples is not None:
        sounds = [sound.reshape(-1).float().cpu().numpy() for sound in samples]
        encoded = Codec(model.audio_encoder).encode(sounds)
        if len({code.shape for code in encoded}) > 1:
            raise ValueError("input_values must have one length: prefixes of one batch are continued together")
        codes = torch.stack([torch.from_numpy(code.astype("int64")) for code in encoded])
    if codes is None:
        return None
    return codes.to(model.device).repeat_interleave(batch // len(codes), 0)


def _speech(model: ParlerTTSForConditionalGeneration, loop: GenerationLoop, full: bool) -> Tensor | GeneratedSpeech:
    codes = loop.codes()
    sounds = Codec(model.audio_encoder).decode_tensors(codes)
    lengths = [len(sound) for sound in sounds]
    sequences = torch.zeros(len(sounds), max(1, *lengths), device=model.device)
    for row, sound in zip(sequences, sounds, strict=True):
        row[: len(sound)] = sound
    if not full:
        return sequences
    return GeneratedSpeech(sequences=sequences, audios_length=lengths, codes=codes, ended=loop.ended.tolist())


def merged(config: GenerationConfig, options: dict[str, Any]) -> GenerationConfig:
    """A copy of the config with the options of one call.

    Raises:
        TypeError: an option that generation does not have.
    """
    config = copy.deepcopy(config)
    new = options.pop("max_new_tokens", None)
    unknown = config.update(**{key: value for key, value in options.items() if hasattr(config, key)})
    unknown |= {key: value for key, value in options.items() if not hasattr(config, key)}
    if unknown:
        raise TypeError(f"generate() has no option {sorted(unknown)[0]!r}")
    if new is not None:
        config.max_length = int(new) + 1
    return config


class GenerationLoop:
    """One batch being generated: column after column until every sample has ended.

    Samples that have ended leave the batch, so `rows` says which of the B samples are still in it.
    """

    def __init__(
        self,
        model: ParlerTTSForConditionalGeneration,
        reading: Reading,
        config: GenerationConfig,
        prefix: Tensor | None,
        seed: int | Sequence[int] | None,
        count_padding: bool,
    ) -> None:
        self.decoder, self.model = model.decoder.model.decoder, model
        self.pattern = model.config.decoder.pattern
        self.sampling = _within(Sampling.of(config, self.pattern.codebooks), model, reading)
        B, K, M, device = len(reading.states), self.pattern.codebooks, self.sampling.max_length, reading.states.device
        canvas = self.pattern.canvas(M, prefix).to(device)
        self.canvas = canvas.expand(B, K, M)
        self.start = min(M, 1 + (0 if prefix is None else prefix.shape[-1]))
        self.ids = torch.full((B, K, M), self.pattern.end, device=device)
        self.ids[..., : self.start] = self.canvas[..., : self.start]
        self.length = self.start
        self.ended = torch.zeros(B, dtype=torch.bool, device=device)
        self.rows = torch.arange(B, device=device)
        self.endings = Endings(B, K, self.pattern.end, device)
        self.guided = self.sampling.guidance != 1
        self.reading = reading.guided() if self.guided else reading
        self.chances = _chances(B, M, K, seed, device) if self.sampling.do_sample else None
        self.skipped = None if count_padding else self.reading.padding
        self.cache = Cache(len(self.decoder.layers))
        self.heads = self._heads()

    def _heads(self) -> Tensor:
        """(K * (end + 1), d): the heads' rows for codes and the end; what other ids score is never asked."""
        K = self.pattern.codebooks
        weights = self.model.decoder.head_weights()
        return weights.view(K, -1, weights.shape[-1])[:, : self.pattern.end + 1].flatten(0, 1).contiguous()

    def columns(self) -> Iterator[int]:
        """Generate; yields the number of columns after each new one."""
        hidden = self._prefill()
        look = 1 if hidden.device.type == "cpu" else _LOOK
        while self.length < self.sampling.max_length:
            self.ids[self.rows, :, self.length] = self._next(hidden)
            self.length += 1
            yield self.length
            if (self.length - self.start) % look == 0 and not self._drop_finished():
                return
            if self.length < self.sampling.max_length:
                hidden = self._step()
        self._drop_finished()

    def _prefill(self) -> Tensor:
        ids = self._both(self.ids[..., : self.start]).transpose(1, 2)
        positions = None
        if self.skipped is not None:
            P = 0 if self.reading.prompt is None else self.reading.prompt.shape[1]
            positions = (torch.arange(P + self.start, device=ids.device) - self.skipped[:, None]).clamp(min=0)
        return self.model.hidden(self.reading, ids, self.cache, positions)[:, -1]

    def _step(self) -> Tensor:
        ids = self._both(self.ids[self.rows, :, self.length - 1])[:, None]
        positions = torch.full((1,), self.cache.length, device=ids.device)
        if self.skipped is not None:
            positions = positions - self.skipped[:, None]
        return self.decoder.step(self.decoder.embed(ids), positions, self.cache)[:, -1]

    def _both(self, ids: Tensor) -> Tensor:
        return torch.cat([ids, ids]) if self.guided else ids

    def _next(self, hidden: Tensor) -> Tensor:
        """The next column (B, K) after hidden states (B, d)."""
        K, end = self.pattern.codebooks, self.pattern.end
        logits = torch.nn.functional.linear(hidden, self.heads).float().unflatten(-1, (K, end + 1))
        if self.guided:
            described, free = logits.chunk(2)
            logits = free + self.sampling.guidance * (described - free)
        forbidden = self.endings.forbidden()
        if self.length - self.start < self.sampling.min_new:
            forbidden = torch.ones_like(forbidden)
        logits[..., end].masked_fill_(forbidden, -torch.inf)
        chance = None if self.chances is None else self.chances[self.rows, self.length]
        ids = self.endings.note(self.sampling.choose(logits, chance))
        decided = self.canvas[self.rows, :, self.length]
        return torch.where(decided == FREE, ids, decided)

    def _drop_finished(self) -> bool:
        """Take finished samples out of the batch; False when none is left."""
        finished = self.endings.finished()
        if not bool(finished.any()):
            return True
        self.ended[self.rows[finished]] = True
        going = (~finished).nonzero().squeeze(1)
        self.rows = self.rows[going]
        self.endings.keep(going)
        both = torch.cat([going, going + len(finished)]) if self.guided else going
        self.cache.keep(both)
        if self.skipped is not None:
            self.skipped = self.skipped[both]
        return len(going) > 0

    def codes(self) -> list[Tensor]:
        """The frames (K, T) of each sample; a frame with an id that is no code is left out, as the original does."""
        frames = self.pattern.undo(self.ids[..., : self.length])
        return [sample[:, (sample < self.pattern.end).all(0)] for sample in frames]


def _within(sampling: Sampling, model: ParlerTTSForConditionalGeneration, reading: Reading) -> Sampling:
    """At most as many columns as the checkpoint has positions for.

    Raises:
        ValueError: no room for speech after this prompt, or a length without any.
    """
    from dataclasses import replace

    config, P = model.config.decoder, 0 if reading.prompt is None else reading.prompt.shape[1]
    room = sampling.max_length if config.rope_embeddings else config.max_position_embeddings - P
    if room <= 2 * config.num_codebooks:
        raise ValueError(
            f"a prompt of {P} tokens leaves {max(room, 0)} positions for speech: shorten or split the text"
        )
    return replace(sampling, max_length=min(room, sampling.max_length))


def _chances(B: int, M: int, K: int, seed: int | Sequence[int] | None, device: torch.device) -> Tensor:
    """(B, M, K) uniform in [0, 1), each sample's from its own seed."""
    if seed is None:
        seed = int(torch.randint(2**31, ()))
    seeds = [seed + row for row in range(B)] if isinstance(seed, int) else list(seed)
    if len(seeds) != B:
        raise ValueError(f"{len(seeds)} seeds for {B} samples")
    drawn = [torch.rand(M, K, generator=torch.Generator().manual_seed(one)) for one in seeds]
    return torch.stack(drawn).to(device)
