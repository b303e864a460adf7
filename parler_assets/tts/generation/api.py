"""Generation: from texts and descriptions to samples, at once or piece by piece."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor
from transformers import GenerationConfig
from transformers.utils import ModelOutput

from parler_assets.speech.codec.codec import Codec
from parler_assets.tts.generation.inputs import check_texts, prefix_codes
from parler_assets.tts.generation.loop import GenerationLoop
from parler_assets.tts.generation.sampling import Sampling
from parler_assets.tts.generation.streaming import ParlerTTSStreamer, pieces
from parler_assets.tts.model.config import ParlerTTSDecoderConfig
from parler_assets.tts.model.parler import ParlerTTSModel


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


class ParlerTTSForConditionalGeneration(ParlerTTSModel):
    """Speech from a transcript ("prompt") and a description of how it is spoken."""

    @torch.no_grad()
    def generate(
        self,
        input_ids: Tensor | None = None,
        streamer: ParlerTTSStreamer | None = None,
        **given: Any,
    ) -> Tensor | GeneratedSpeech:
        """Speak a batch of prompts as their descriptions say.

        Args:
            input_ids: descriptions (B, S), with `attention_mask` (B, S); or `description_states` or `encoder_outputs`
                as in `forward`.
            streamer: gets the samples as they become final, from another thread's point of view.
            given: `prompt_input_ids` (B, P) with `prompt_attention_mask` (B, P) and the other arguments of `begin`.

        Returns:
            Samples (B, N), or `GeneratedSpeech` with `return_dict_in_generate=True`.

        Unlike the original, ids that are no code are never chosen, an audio prefix is delayed once, and a sample
        without any frame has length 0.
        """
        loop, config = begin(self, input_ids=input_ids, **given)
        codec = Codec(self.audio_encoder)
        if streamer is not None:
            return _streamed(loop, codec, streamer)
        for _ in loop.run():
            pass
        codes = loop.codes()
        sounds = codec.decode_tensors(codes)
        sequences = _padded(sounds)
        if not config.return_dict_in_generate:
            return sequences
        lengths = [len(sound) for sound in sounds]
        return GeneratedSpeech(sequences=sequences, audios_length=lengths, codes=codes, ended=loop.ended.tolist())

    def stream(self, input_ids: Tensor | None = None, frames: int = 43, **given: Any) -> Iterator[list[Tensor]]:
        """Speak as `generate` does, giving samples as soon as they are final.

        Args:
            input_ids, given: as in `generate`.
            frames: how many codec frames a piece has; the first one is shorter, so that sound begins early.

        Returns:
            Pieces: for each of the B samples what is new (n,), nothing once it has ended. A sample's pieces joined are
            what `generate` gives for it. The codec looks `reach` frames ahead (10 for published checkpoints), so a
            piece comes that much after its last frame; it costs its frames and twice the reach, however long the
            speech.
        """
        with torch.no_grad():
            loop, _ = begin(self, input_ids=input_ids, **given)
        return pieces(loop, Codec(self.audio_encoder), frames)


def begin(
    model: ParlerTTSModel,
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
) -> tuple[GenerationLoop, GenerationConfig]:
    """Check what is asked for and get ready.

    Args:
        generation_config: instead of the checkpoint's.
        input_values: samples (B, 1, N) or (B, N) that the speech continues from; they stand before the result, and the
            prompt has to begin with their transcript.
        audio_codes: the same as codes (B, K, T).
        seed: one for the batch or one for each sample. A sample with its own seed does not depend on its
            company. By default drawn from torch's generator.
        count_padding: positions of a padded prompt start with its padding, as the original counts them. False
            counts from the prompt's first token, so that a sample is the same in every batch.
        options: fields of the generation config, such as `do_sample`, `temperature`, `top_k`, `top_p`,
            `max_length`, `max_new_tokens`, `min_new_tokens`, `guidance_scale`, `num_return_sequences`,
            `return_dict_in_generate`.

    Raises:
        ValueError: an empty text, ids of another tokenizer, batches of different sizes, a setting out of its range,
            or no room for speech behind the prompt.
        TypeError: an option that does not exist.
    """
    new = options.pop("max_new_tokens", None)
    config = merged(generation_config or model.generation_config, options)
    check_texts(input_ids, attention_mask, model.config.text_encoder.vocab_size, "description")
    check_texts(prompt_input_ids, prompt_attention_mask, model.config.vocab_size, "prompt")
    inputs = model.prepare_inputs(
        input_ids, attention_mask, prompt_input_ids, prompt_attention_mask, encoder_outputs, description_states,
        count_padding,
    )  # fmt: skip
    times = int(config.num_return_sequences or 1)
    prefix = prefix_codes(
        Codec(model.audio_encoder), model.config.decoder, input_values, audio_codes, len(inputs.states)
    )
    prefix = None if prefix is None else prefix.to(inputs.states.device).repeat_interleave(times, 0)
    given = 1 + (0 if prefix is None else prefix.shape[-1])
    if new is not None:
        config.max_length = given + int(new)
    sampling = Sampling.of(config, model.config.decoder.num_codebooks)
    sampling = _within(sampling, model.config.decoder, inputs.prompt_length, given)
    return GenerationLoop(model.decoder, inputs.repeated(times), sampling, prefix, seed), config


def merged(config: GenerationConfig, options: dict[str, Any]) -> GenerationConfig:
    """A copy of the config with the options of one call.

    Raises:
        TypeError: an option that generation does not have.
    """
    unknown = [name for name in options if not hasattr(config, name)]
    if unknown:
        raise TypeError(f"generate() has no option {unknown[0]!r}")
    config = copy.deepcopy(config)
    for name, value in options.items():
        setattr(config, name, value)
    return config


def _within(sampling: Sampling, config: ParlerTTSDecoderConfig, P: int, given: int) -> Sampling:
    """At most as many columns as the checkpoint has positions for after a prompt of P tokens.

    Raises:
        ValueError: no room for speech after this prompt, or a length without any.
    """
    least = max(given + config.num_codebooks, 2 * config.num_codebooks - 1)
    room = sampling.max_length if config.rope_embeddings else config.max_position_embeddings - P
    if sampling.max_length < least:
        raise ValueError(f"max_length {sampling.max_length} has no room for speech: it must be at least {least}")
    if room < least:
        raise ValueError(
            f"a prompt of {P} tokens leaves {max(room, 0)} positions for speech: shorten or split the text"
        )
    return replace(sampling, max_length=min(room, sampling.max_length))


def _padded(sounds: Sequence[Tensor]) -> Tensor:
    """(B, N) of samples (n,), with zeros behind them; at least one sample long."""
    sequences = sounds[0].new_zeros(len(sounds), max(1, *(len(sound) for sound in sounds)))
    for row, sound in zip(sequences, sounds, strict=True):
        row[: len(sound)] = sound
    return sequences


def _streamed(loop: GenerationLoop, codec: Codec, streamer: ParlerTTSStreamer) -> Tensor:
    """Everything that was streamed, (B, N)."""
    sounds: list[list[Tensor]] = []
    try:
        for piece in pieces(loop, codec, streamer.play_steps):
            sounds.append(piece)
            streamer.put(piece)
    finally:
        streamer.end()
    return _padded([torch.cat(parts) for parts in zip(*sounds, strict=True)] or [torch.zeros(0)])
