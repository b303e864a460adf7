"""Clips to codes of the base checkpoint's codec: decoded and resampled once, encoded in batches of like length."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from parler_assets import storage
from parler_assets.recipe import Coding, digest
from parler_assets.speech.audio import AudioError, decode
from parler_assets.speech.codec.codec import Codec, codec_digest, load_codec
from parler_assets.speech.pieces import in_pieces, pieces
from parler_assets.storage import Executor, Part, SetAside, StageResult

VERSION = "1"
STAGE = "dac_codes"
TRIED, HEARD = 8, 30  # clips whose round trip through the codec is measured, and the first seconds of each
SCHEMA = pa.schema(
    [
        ("id", pa.string()),
        ("codes", pa.list_(pa.uint16())),
        ("frames", pa.int32()),
        ("codebooks", pa.int32()),
        ("duration", pa.float64()),
    ]
)


def encode_corpus(
    raw: Path,
    checkpoint: Path,
    folder: Path,
    settings: Coding,
    device: str = "cpu",
    rebuild: bool = False,
    executor: Executor | None = None,
) -> StageResult:
    """Encode every clip: id, codes (K * T numbers, codebook after codebook), frames T, codebooks K, duration (s).

    The facts name the codec (sampling_rate, hop, codebooks, codebook_size, bits a second) and say how well it keeps a
    few of these clips (`round_trip`, see `round_trip`). A clip that cannot be decoded, or is shorter than a frame, is
    set aside. The codes of a clip do not depend on the clips it was encoded with, so the batch size is no part of the
    fingerprint.

    Raises:
        CodecError: the checkpoint has no usable codec.
        ShardError: the raw clips are unfinished.
    """
    fingerprint = digest(codec_digest(checkpoint), VERSION)
    coder = _Coder(raw, checkpoint, settings, device)
    return storage.map_groups(
        raw,
        folder,
        fingerprint,
        coder.code,
        columns=["id", "audio", "duration"],
        facts=coder.facts,
        rebuild=rebuild,
        executor=executor,
        room=coder.room,
    )


class _Coder:
    def __init__(self, raw: Path, checkpoint: Path, settings: Coding, device: str) -> None:
        self.raw, self.checkpoint, self.settings, self.device = raw, checkpoint, settings, device

    @cached_property
    def codec(self) -> Codec:
        return load_codec(self.checkpoint, self.device)

    def code(self, tables: Iterator[pa.Table]) -> Part:
        return in_pieces(tables, self._coded, STAGE)

    def _coded(self, table: pa.Table) -> Part:
        sounds, aside = self._sounds(table)
        codes: dict[str, np.ndarray] = {}
        for names in self._batches({name: len(sound) for name, sound in sounds.items()}):
            codes |= dict(zip(names, self.codec.encode([sounds[name] for name in names]), strict=True))
        rate = self.codec.sampling_rate
        rows = [
            {
                "id": name,
                "codes": codes[name].ravel(),
                "frames": codes[name].shape[1],
                "codebooks": codes[name].shape[0],
                "duration": len(sound) / rate,
            }
            for name, sound in sounds.items()
        ]
        return Part(pa.Table.from_pylist(rows, schema=SCHEMA), aside)

    def _sounds(self, table: pa.Table) -> tuple[dict[str, np.ndarray], list[SetAside]]:
        """Samples of each clip at the codec's rate, and the clips that have none."""
        sounds, aside = {}, []
        for name, audio in zip(table["id"].to_pylist(), table["audio"], strict=True):
            try:
                sound = decode(audio.as_py()).at(self.codec.sampling_rate).samples
            except AudioError as error:
                aside.append(SetAside(name, STAGE, str(error)))
                continue
            if self.codec.frames(len(sound)) == 0:
                aside.append(SetAside(name, STAGE, f"{len(sound)} samples, shorter than one frame of the codec"))
                continue
            sounds[name] = sound
        return sounds, aside

    def _batches(self, lengths: dict[str, int]) -> Iterator[list[str]]:
        """Names by length, as many at once as `batch_seconds` of padded audio allow, and at least one."""
        room = self.settings.batch_seconds * self.codec.sampling_rate
        batch: list[str] = []
        for name in sorted(lengths, key=lambda name: lengths[name]):
            if batch and (len(batch) + 1) * lengths[name] > room:
                yield batch
                batch = []
            batch.append(name)
        if batch:
            yield batch

    def room(self) -> float:
        """Bytes of all codes, as Parquet packs them."""
        seconds = sum(pc.sum(table["duration"]).as_py() or 0 for table in storage.iterate(self.raw, ["duration"]))
        return seconds * self._bits_per_second / 8

    @property
    def _bits_per_second(self) -> float:
        codec = self.codec
        return float(codec.sampling_rate / codec.hop * codec.codebooks * np.log2(codec.codebook_size))

    def facts(self) -> dict:
        codec = self.codec
        return {
            "sampling_rate": codec.sampling_rate,
            "hop": codec.hop,
            "codebooks": codec.codebooks,
            "codebook_size": codec.codebook_size,
            "bits_per_second": round(self._bits_per_second),
            "round_trip": self._round_trip(),
        }

    def _round_trip(self) -> dict:
        shard = next(iter(storage.read_manifest(self.raw).shards), None)
        first = next(storage.read_groups(self.raw, shard, ["id", "audio", "duration"])) if shard else None
        sounds = self._sounds(pieces(first.slice(0, TRIED))[0])[0].values() if first is not None else []
        return round_trip(self.codec, [sound[: HEARD * self.codec.sampling_rate] for sound in sounds])


def round_trip(codec: Codec, sounds: Sequence[np.ndarray]) -> dict:
    """How well the codec keeps sounds (N,): medians over clips.

    `si_sdr` is the scale-invariant signal-to-distortion ratio in dB (Le Roux et al., 2019), `spectral_distance` the
    mean difference of log-magnitude spectra (1024-point, hop 256) in dB.
    """
    if not sounds:
        return {}
    kept = codec.decode(codec.encode(sounds))
    pairs = [(sound[: len(copy)], copy[: len(sound)]) for sound, copy in zip(sounds, kept, strict=True)]
    return {
        "clips": len(pairs),
        "si_sdr": round(float(np.median([_si_sdr(*pair) for pair in pairs])), 2),
        "spectral_distance": round(float(np.median([_spectral_distance(*pair) for pair in pairs])), 2),
    }


def _si_sdr(sound: np.ndarray, copy: np.ndarray) -> float:
    """In dB, both (N,) and made zero-mean."""
    sound, copy = sound - sound.mean(), copy - copy.mean()
    target = sound * float(copy @ sound) / max(float(sound @ sound), 1e-12)
    wrong = copy - target
    return 10 * float(np.log10(max(float(target @ target), 1e-12) / max(float(wrong @ wrong), 1e-12)))


def _spectral_distance(sound: np.ndarray, copy: np.ndarray) -> float:
    """Mean absolute difference in dB; magnitudes under -60 dB of the sound's largest count as that."""
    one, other = _magnitudes(sound), _magnitudes(copy)
    floor = max(float(one.max()), 1e-6) * 1e-3
    return float(np.abs(20 * np.log10(np.maximum(one, floor) / np.maximum(other, floor))).mean())


def _magnitudes(sound: np.ndarray, size: int = 1024, hop: int = 256) -> np.ndarray:
    padded = np.pad(sound, (0, max(0, size - len(sound))))
    windows = np.lib.stride_tricks.sliding_window_view(padded, size)[::hop]
    return np.abs(np.fft.rfft(windows * np.hanning(size)))
