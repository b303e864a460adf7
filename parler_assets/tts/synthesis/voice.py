"""A checkpoint that speaks: texts and descriptions in, samples out. Used by evaluation, `say` and `serve`."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from parler_assets.recipe import Evaluation
from parler_assets.speech.precision import CODEC_DTYPE, inference_dtype

if TYPE_CHECKING:
    from parler_assets.tts.generation.loop import GenerationLoop

FRAMES = 43  # of a streamed piece: half a second of the published codec


@dataclass(frozen=True)
class Utterance:
    """Generated samples (N,) float32; `seconds` is its share of the wall time of its batch.

    `ended` is false when the model did not end by itself and was cut at the limit. `codes` (K, T) are those of the
    samples, for speech that continues from them.
    """

    samples: np.ndarray
    rate: int
    seconds: float
    ended: bool
    codes: np.ndarray | None = None
    alone: bool = False  # spoken by itself, since it failed behind the speech that it was to continue from

    @property
    def duration(self) -> float:
        return len(self.samples) / self.rate


@dataclass(frozen=True)
class VoicePrompt:
    """Speech that other speech continues from, an audio prefix: its words and its codes (K, T)."""

    text: str
    codes: np.ndarray


class _Clock:
    """Wall time since the start, shared equally among the samples that it was spent on."""

    def __init__(self, count: int) -> None:
        self.spent, self.last = [0.0] * count, time.perf_counter()

    def share(self, rows: Sequence[int]) -> None:
        """Give the time since the last call to these samples; to none, when it was spent elsewhere."""
        now = time.perf_counter()
        for row in rows:
            self.spent[row] += (now - self.last) / len(rows)
        self.last = now


class BrokenCheckpoint(RuntimeError):
    """A checkpoint that cannot speak: its weights, or what it computes, are no numbers."""


class Voice:
    """A loaded checkpoint with its two tokenizers, in the precision that suits its device (`speech/precision.py`).

    Raises:
        BrokenCheckpoint: weights that are not finite, as a diverged training leaves them; on speaking, too.
    """

    def __init__(self, checkpoint: Path, device: str = "cpu", precision: str = "auto") -> None:
        from parler_assets.tts import ParlerTTSForConditionalGeneration
        from parler_assets.tts.model.tokenizers import load_tokenizers

        model: Any = ParlerTTSForConditionalGeneration.from_pretrained(checkpoint)
        _check_weights(checkpoint, model)
        self.model = _cast(model.to(device).eval(), inference_dtype(device, precision))
        self.tokenizers = load_tokenizers(checkpoint)
        self.device = device
        codec = self.model.config.audio_encoder
        self.rate = int(codec.sampling_rate)
        self.hop = (
            int(np.prod(codec.downsampling_ratios)) if hasattr(codec, "downsampling_ratios") else codec.hop_length
        )
        self.codebooks = int(self.model.config.decoder.num_codebooks)
        self.codebook_size = int(self.model.config.decoder.codebook_size)
        self._known: dict[str, bool] = {}  # letters that the tokenizer has been asked about

    def speak(
        self,
        texts: Sequence[str],
        descriptions: Sequence[str],
        settings: Evaluation,
        seed: int | Sequence[int],
        after: VoicePrompt | None = None,
    ) -> list[Utterance]:
        """Speak a batch. With a seed for each text, a sample depends on its own seed and not on its company.

        Every text continues from `after`, in its voice, where that is given; samples are of the text alone.
        """
        spoken = dict(self.speak_each(texts, descriptions, settings, seed, after))
        return [spoken[place] for place in range(len(texts))]

    @torch.inference_mode()
    def speak_each(
        self,
        texts: Sequence[str],
        descriptions: Sequence[str],
        settings: Evaluation,
        seed: int | Sequence[int],
        after: VoicePrompt | None = None,
    ) -> Iterator[tuple[int, Utterance]]:
        """Speak a batch as `speak` does; (place, utterance) of each as soon as it has ended, the shortest first."""
        from parler_assets.speech.codec.codec import Codec
        from parler_assets.tts.generation.api import begin

        inputs, before = self._behind(texts, descriptions, after)
        loop, _ = begin(self.model, **inputs, **self.sampling(settings), seed=seed)
        codec, clock, waiting = Codec(self.model.audio_encoder), _Clock(len(texts)), list(range(len(texts)))
        steps = loop.run()
        going = True
        while going:
            going = next(steps, None) is not None
            clock.share(waiting)
            left = loop.rows.tolist() if going else []
            if len(left) == len(waiting):
                continue
            self._check(loop)
            codes, ended = loop.codes(), [row for row in waiting if row not in left]
            sounds = codec.decode_tensors([codes[row] for row in ended])
            clock.share(ended)
            for row, sound in zip(ended, sounds, strict=True):
                samples = sound[before * codec.hop :].float().cpu().numpy()
                own = codes[row][:, before:].cpu().numpy()
                yield row, Utterance(samples, self.rate, clock.spent[row], bool(loop.ended[row]), own)
            waiting = left
            clock.share([])

    @torch.inference_mode()
    def stream(
        self,
        texts: Sequence[str],
        descriptions: Sequence[str],
        settings: Evaluation,
        seed: int | Sequence[int],
        after: VoicePrompt | None = None,
    ) -> Generator[list[np.ndarray], None, list[Utterance]]:
        """Speak a batch piece by piece: for each text what is new (n,) float32, nothing once it has ended.

        The pieces of a text joined are what `speak` gives for it; the generator returns those utterances.
        """
        from parler_assets.speech.codec.codec import Codec
        from parler_assets.tts.generation.api import begin
        from parler_assets.tts.generation.streaming import pieces

        started = time.perf_counter()
        inputs, before = self._behind(texts, descriptions, after)
        loop, _ = begin(self.model, **inputs, **self.sampling(settings), seed=seed)
        sounds: list[list[np.ndarray]] = [[np.zeros(0, np.float32)] for _ in texts]
        for parts in pieces(loop, Codec(self.model.audio_encoder), FRAMES, before):
            self._check(loop)
            heard = [part.float().cpu().numpy() for part in parts]
            for kept, part in zip(sounds, heard, strict=True):
                kept.append(part)
            yield heard
        self._check(loop)
        seconds = (time.perf_counter() - started) / len(texts)
        whole, ended = [np.concatenate(kept) for kept in sounds], loop.ended.tolist()
        codes = [code[:, before:].cpu().numpy() for code in loop.codes()]
        return [
            Utterance(*one)
            for one in zip(whole, [self.rate] * len(whole), [seconds] * len(whole), ended, codes, strict=True)
        ]

    def _check(self, loop: GenerationLoop) -> None:
        if bool(loop.broken):
            raise BrokenCheckpoint(
                "this checkpoint computes values that are no numbers (NaN or infinite), so nothing it says is speech: "
                "use an earlier checkpoint, or another precision"
            )

    def _behind(self, texts: Sequence[str], descriptions: Sequence[str], after: VoicePrompt | None) -> tuple[dict, int]:
        """What the model reads, and how many frames stand before what it is to say."""
        if after is None:
            return self.inputs(texts, descriptions), 0
        inputs = self.inputs([f"{after.text} {text}" for text in texts], descriptions)
        inputs["audio_codes"] = torch.from_numpy(after.codes)[None].expand(len(texts), -1, -1)
        return inputs, after.codes.shape[1]

    def unknown(self, letters: Iterable[str]) -> set[str]:
        """Those of these characters that the prompt's tokenizer has no token for."""
        tokenizer = self.tokenizers.prompt
        for letter in set(letters) - self._known.keys():
            ids = tokenizer(letter, add_special_tokens=False).input_ids
            self._known[letter] = bool(ids) and tokenizer.unk_token_id not in ids
        return {letter for letter in letters if not self._known[letter]}

    def encode(self, samples: np.ndarray) -> np.ndarray:
        """Codes (K, T) of samples (N,) at `rate`."""
        from parler_assets.speech.codec.codec import Codec

        (codes,) = Codec(self.model.audio_encoder).encode([samples])
        return codes.astype(np.int64)

    @cached_property
    def codec_identity(self) -> str:
        """Equal where codes mean the same sound: a digest of the codec."""
        content = hashlib.sha256(repr((self.rate, self.hop, self.codebooks)).encode())
        for name, tensor in sorted(self.model.audio_encoder.state_dict().items()):
            content.update(name.encode() + tensor.float().cpu().numpy().tobytes())
        return content.hexdigest()[:16]

    def inputs(self, texts: Sequence[str], descriptions: Sequence[str]) -> dict[str, Any]:
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


def _cast(model: torch.nn.Module, dtype: torch.dtype) -> Any:
    """All but the codec in a precision."""
    for name, part in model.named_children():
        part.to(CODEC_DTYPE if name == "audio_encoder" else dtype)
    return model


def _check_weights(checkpoint: Path, model: torch.nn.Module) -> None:
    broken = [name for name, weight in model.named_parameters() if not torch.isfinite(weight).all()]
    if broken:
        shown = ", ".join(broken[:3]) + (f" and {len(broken) - 3} more" if len(broken) > 3 else "")
        raise BrokenCheckpoint(
            f"{checkpoint}: weights that are no numbers (NaN or infinite) in {shown}: its training diverged; "
            "use an earlier checkpoint, or train with a lower learning rate"
        )
