"""The whole codec from nothing, step by step; each step's result is kept and not made twice."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from safetensors.torch import load_file, save_file
from transformers import DacModel

from parler_assets.sample.pretraining import decoder, encoder
from parler_assets.sample.pretraining.codebooks import place_codebooks
from parler_assets.sample.pretraining.features import Features, make_features
from parler_assets.sample.pretraining.latent import AXES, untrained
from parler_assets.sample.pretraining.loop import Schedule
from parler_assets.storage.files import replacing

CLIPS = 2400


@dataclass(frozen=True)
class CodecTraining:
    """`folder` keeps clips, states of the trainings and weights."""

    folder: Path
    seed: int
    clips: int = CLIPS
    encoder: Schedule = encoder.SCHEDULE
    decoder: Schedule = decoder.SCHEDULE

    @cached_property
    def features(self) -> Features:
        return make_features(self.folder / "features.safetensors", self.clips, self.seed)

    def encoded(self) -> DacModel:
        """Codebooks and encoder: enough to make codes."""
        return self._kept("encoded", self._encoded)

    def finished(self) -> DacModel:
        """With the decoder."""
        return self._kept("finished", self._decoded)

    def _encoded(self) -> DacModel:
        codec = untrained(self.seed)
        place_codebooks(codec, self.features.latents[:, :AXES], self.seed)
        encoder.train_encoder(codec, self.features, self.folder / "encoder.safetensors", self.seed, self.encoder)
        return codec

    def _decoded(self) -> DacModel:
        codec = self.encoded()
        decoder.train_decoder(codec, self.features, self.folder / "decoder.safetensors", self.seed, self.decoder)
        return codec

    def _kept(self, name: str, make: Callable[[], DacModel]) -> DacModel:
        path = self.folder / f"codec_{name}.safetensors"
        if not path.exists():
            made = {key: tensor.contiguous() for key, tensor in make().state_dict().items()}
            with replacing(path) as temporary:
                save_file(made, temporary)
        codec = untrained(self.seed)
        codec.load_state_dict(load_file(path))
        return codec.eval()
