"""The codec as stages use it: arrays of samples to arrays of codes and back, in batches of like length."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import cast

import numpy as np
import torch
from safetensors import safe_open
from torch import Tensor, nn
from transformers import DacModel

from parler_assets.intake import Refusal
from parler_assets.intake.json_documents import read_json
from parler_assets.intake.weights import tensor_shapes
from parler_assets.speech.codec.dac import build_dac, codec_config, dac_state, encoder_reach, reach
from parler_assets.speech.codec.sizes import refuse_codec_sizes
from parler_assets.speech.pieces import windows
from parler_assets.speech.precision import CODEC_DTYPE

_PREFIX = "audio_encoder."
# Decoded at once, padding included: the published codec takes 1.0 MB a frame in float32 (measured on one clip of 400).
# A clip of more frames is encoded and decoded in windows of so many.
MOST_FRAMES = 4096


class CodecError(ValueError):
    """A folder without a usable codec; the message names it and the remedy."""


def load_codec(checkpoint: Path, device: str = "cpu", dtype: torch.dtype = CODEC_DTYPE) -> Codec:
    """The codec of a Parler-TTS checkpoint, or of a codec's own folder, in any published naming.

    Raises:
        CodecError: no configuration, no safetensors weights, or weights that do not fit.
    """
    folder = Path(checkpoint)
    try:
        section = read_json(folder / "config.json")
        shapes = {name: shape for file in folder.glob("*.safetensors") for name, shape in tensor_shapes(file).items()}
        whole = section.get("audio_encoder")
        refuse_codec_sizes(whole if isinstance(whole, dict) else section, shapes)
    except FileNotFoundError:
        raise CodecError(f"{folder}: no config.json, so this is no codec or checkpoint folder") from None
    except Refusal as error:
        raise CodecError(f"{folder}: {error}; fetch it again") from None
    inside = isinstance(section.get("audio_encoder"), dict)
    tensors = _weights(folder, _PREFIX if inside else "")
    try:
        with torch.device("meta"):  # no memory for it until the weights are known to be of its sizes
            network = build_dac(codec_config(section["audio_encoder"] if inside else section))
        network.load_state_dict(dac_state(tensors), assign=True)
    except Exception as error:  # layers fail in their own ways at values that no field's check knows
        told = str(error).strip()[:400]
        raise CodecError(f"{folder}: the codec's weights do not fit its configuration: {told}") from None
    cast(nn.Module, network).to(device=device, dtype=dtype)
    return Codec(network)


def codec_digest(checkpoint: Path) -> str:
    """Digest of a folder's codec alone; a fine-tuned checkpoint has the codec, and so the digest, of its base."""
    codec = load_codec(checkpoint)
    content = hashlib.sha256(repr((codec.sampling_rate, codec.hop, codec.pads)).encode())
    for name, tensor in sorted(codec.network.state_dict().items()):
        content.update(name.encode() + tensor.numpy().tobytes())
    return content.hexdigest()[:16]


def _weights(folder: Path, prefix: str) -> dict[str, Tensor]:
    files = sorted(folder.glob("*.safetensors"))
    if not files:
        raise CodecError(f"{folder}: no .safetensors weights (pickled weights are never loaded)")
    found: dict[str, Tensor] = {}
    for file in files:
        with safe_open(file, "pt") as handle:
            names = [name for name in handle.keys() if name.startswith(prefix)]  # noqa: SIM118
            found |= {name.removeprefix(prefix): handle.get_tensor(name) for name in names}
    return found


class Codec:
    """A DAC in use.

    Attributes:
        sampling_rate: samples a second.
        hop: samples a frame.
        codebooks: K.
        codebook_size: entries of each codebook.
        reach: frames on either side that a decoded frame depends on.
    """

    def __init__(self, network: DacModel) -> None:
        config = network.config
        self.network = network.eval()
        self.sampling_rate, self.codebooks = int(config.sampling_rate), int(config.n_codebooks)
        self.codebook_size, self.hop = int(config.codebook_size), math.prod(config.downsampling_ratios)
        self.reach, self._encoder_reach = reach(config), encoder_reach(config)
        self.pads = getattr(config, "partial_frame", "pad") == "pad"

    def frames(self, samples: int) -> int:
        """Frames of so many samples: the last partial frame counts, or not, as in the checkpoint's own software."""
        return math.ceil(samples / self.hop) if self.pads else samples // self.hop

    def encode(self, sounds: Sequence[np.ndarray]) -> list[np.ndarray]:
        """Codes (K, T) uint16 of mono samples (N,) at `sampling_rate`, each as if it were encoded alone."""
        short = [place for place, sound in enumerate(sounds) if self.frames(len(sound)) <= MOST_FRAMES]
        codes = dict(zip(short, self._encoded([sounds[place] for place in short]), strict=True))
        return [codes[place] if place in codes else self._long_codes(sound) for place, sound in enumerate(sounds)]

    def _long_codes(self, sound: np.ndarray) -> np.ndarray:
        frames, found = self.frames(len(sound)), []
        for window in windows(frames, self._encoder_reach, MOST_FRAMES):
            # the last window has the samples after the last whole frame, too
            end = len(sound) if window.last == frames else window.last * self.hop
            (codes,) = self._encoded([sound[window.first * self.hop : end]])
            found.append(codes[:, window.kept])
        return np.concatenate(found, axis=1)

    @torch.no_grad()
    def _encoded(self, sounds: Sequence[np.ndarray]) -> list[np.ndarray]:
        frames = [self.frames(len(sound)) for sound in sounds]
        lengths = [count * self.hop if self.pads else len(sound) for count, sound in zip(frames, sounds, strict=True)]
        if not sum(frames):
            return [np.zeros((self.codebooks, 0), np.uint16) for _ in sounds]
        batch = self._parameter().new_zeros(len(sounds), 1, max(lengths))
        for row, sound in zip(batch, sounds, strict=True):
            row[0, : len(sound)] = torch.from_numpy(np.ascontiguousarray(sound, dtype=np.float32))
        with mask_padding(self.network.encoder, lengths):
            codes = self.network.encode(batch).audio_codes
        found = codes.cpu().numpy().astype(np.uint16)
        return [code[:, :count] for code, count in zip(found, frames, strict=True)]

    def decode(self, codes: Sequence[np.ndarray]) -> list[np.ndarray]:
        """Samples (T * hop,) float32 of codes (K, T), each as if it were decoded alone."""
        tensors = [torch.from_numpy(np.ascontiguousarray(code).astype(np.int64)) for code in codes]
        return [sound.cpu().numpy() for sound in self.decode_tensors(tensors)]

    @torch.no_grad()
    def decode_tensors(self, codes: Sequence[Tensor]) -> list[Tensor]:
        """Samples (T * hop,) float32 of codes (K, T), on the codec's device, decoded in groups of like length."""
        # on a CPU a batch saves nothing and padding costs
        shortest = 1.0 if self._parameter().device.type == "cpu" else 0.75
        sounds: dict[int, Tensor] = {}
        for places in alike([code.shape[1] for code in codes], shortest):
            group = [codes[place] for place in places]
            long = group[0].shape[1] > MOST_FRAMES  # and then alone
            sounds |= zip(places, [self._long_sound(group[0])] if long else self._decoded(group), strict=True)
        return [sounds[place] for place in range(len(codes))]

    def _long_sound(self, codes: Tensor) -> Tensor:
        found = []
        for window in windows(codes.shape[1], self.reach, MOST_FRAMES):
            (sound,) = self._decoded([codes[:, window.first : window.last]])
            found.append(sound.view(-1, self.hop)[window.kept].flatten())
        return torch.cat(found)

    def _decoded(self, codes: Sequence[Tensor]) -> list[Tensor]:
        frames, device = [code.shape[1] for code in codes], self._parameter().device
        batch = torch.zeros(len(codes), self.codebooks, max(frames), dtype=torch.long, device=device)
        if not batch.numel():
            return [torch.zeros(0, device=device) for _ in codes]
        for row, code in zip(batch, codes, strict=True):
            row[:, : code.shape[1]] = code
        with mask_padding(self.network.decoder, frames):
            sounds = self.network.decode(audio_codes=batch).audio_values.float()
        return [sound[: count * self.hop] for sound, count in zip(sounds, frames, strict=True)]

    def _parameter(self) -> Tensor:
        return next(self.network.parameters())


def alike(lengths: Sequence[int], shortest: float, most: int = MOST_FRAMES) -> list[list[int]]:
    """Places of the lengths in groups, longest first: none is shorter than this share of its group's longest, and
    none but a single one makes its group, padded, longer than `most` together."""
    groups: list[list[int]] = []
    for place in sorted(range(len(lengths)), key=lambda place: -lengths[place]):
        longest = lengths[groups[-1][0]] if groups else 0
        if groups and lengths[place] >= shortest * longest and (len(groups[-1]) + 1) * longest <= most:
            groups[-1].append(place)
        else:
            groups.append([place])
    return groups


@contextmanager
def mask_padding(part: nn.Module, lengths: Sequence[int]) -> Iterator[None]:
    """Within, every convolution of `part` sees zeros beyond a sample's own length, exactly as if it were alone.

    Padding the input would not do: biases turn it into sound that convolutions reach back for. `lengths` are those of
    the input; they change with every stride.
    """
    if len(set(lengths)) == 1:
        yield
        return
    ends = torch.tensor(lengths)

    def silence(module: nn.Module, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        nonlocal ends
        (x,) = inputs
        silent = torch.arange(x.shape[-1]) >= ends[:, None, None]
        ends = _length_after(cast(nn.Conv1d | nn.ConvTranspose1d, module), ends)
        return (x.masked_fill(silent.to(x.device), 0),)

    convolutions = [m for m in part.modules() if isinstance(m, nn.Conv1d | nn.ConvTranspose1d) and m.kernel_size[0] > 1]
    handles = [module.register_forward_pre_hook(silence) for module in convolutions]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _length_after(module: nn.Conv1d | nn.ConvTranspose1d, length: Tensor) -> Tensor:
    """How long a convolution makes inputs of these lengths (torch's documented formulas)."""
    (kernel,), (stride,), (dilation,) = module.kernel_size, module.stride, module.dilation
    padding, span = int(module.padding[0]), dilation * (kernel - 1)
    if isinstance(module, nn.ConvTranspose1d):
        return (length - 1) * stride - 2 * padding + span + module.output_padding[0] + 1
    return (length + 2 * padding - span - 1) // stride + 1
