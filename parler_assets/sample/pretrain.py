"""How the sample's base checkpoint was made: `python -m parler_assets.sample.pretrain FOLDER`.

Everything is synthesized, so the command needs no data: clips of many voices, a codec trained on them, their codes, and
a small Parler-TTS trained from nothing by this project's own stages. The four named speakers of the sample are never
heard here. A run that was killed goes on where it stopped. With `--publish` the result, with its provenance, replaces
the checkpoint that the package ships.
"""

from __future__ import annotations

import argparse
import csv
import json
import logging
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from transformers import DacModel

from parler_assets import storage
from parler_assets.recipe import Coding, Corpus, Shards, SyntheticSource, Training
from parler_assets.sample import base_path
from parler_assets.sample.codec_training import CONFIG, Part, train_codec, train_part
from parler_assets.sample.initial import write_initial
from parler_assets.sample.plan import pretraining_clips
from parler_assets.sample.published import pretraining_descriptions
from parler_assets.speech.audio import decode
from parler_assets.speech.clips import build_raw_dataset
from parler_assets.speech.codec.dac import build_dac
from parler_assets.speech.codec.encode import encode_corpus
from parler_assets.speech.descriptions import join_published
from parler_assets.tts.data import Lane, build_training_set
from parler_assets.tts.training.launch import run_training

SEED = 7
CLIPS, HEARD = 8000, 3000  # clips of the corpus; those of them that the codec is trained on
CONTINUOUS = Part("continuous", 1500, schedule="constant_with_warmup", quantized=False)
QUANTIZED = Part("quantized", 1500)
DECODER = Part("decoder", 3000, decoder_only=True)
TRAINING = Training(
    min_seconds=0.5,
    max_seconds=12,
    max_steps=4000,
    learning_rate=0.001,
    warmup_steps=100,
    weight_decay=0.01,
    batch_size=32,
    effective_batch_size=32,
    precision="float32",
    freeze_text_encoder=False,
    evaluate_every=500,
    save_every=500,
    log_every=10,
    seed=SEED,
)


@dataclass(frozen=True)
class Pretraining:
    """All steps, each of which does nothing when it is done already; `folder` keeps what they make."""

    folder: Path
    training: Training = TRAINING
    clips: int = CLIPS
    parts: tuple[Part, Part, Part] = (CONTINUOUS, QUANTIZED, DECODER)

    def run(self) -> Path:
        """The finished checkpoint, weights in 16 bits."""
        self.corpus()
        self.codec()
        self.initial()
        self.train()
        self.decoder()
        return self.checkpoint()

    def corpus(self) -> None:
        """Clips as any corpus's, with descriptions from what is known of them."""
        build_raw_dataset(self._corpus, self.folder / "raw", Shards(rows=250), self.folder / "cache")
        if not self._table.exists():
            found = pretraining_descriptions(pretraining_clips(self.clips, SEED), SEED)
            with storage.replacing(self._table) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
                csv.writer(file).writerows([("id", "text_description"), *found.items()])
        join_published(self.folder / "raw", self.folder / "descriptions", self._corpus, self.folder / "cache")

    def codec(self) -> None:
        """Encoder and codebooks; the decoder is not finished."""

        def make() -> DacModel:
            return train_codec(self._sounds, self.folder / "codec", *self.parts[:2], SEED)

        self._keep("codec.safetensors", make)

    def decoder(self) -> None:
        """The codec with a decoder that was trained longer, for the same codes."""

        def make() -> DacModel:
            codec = self._codec("codec.safetensors")
            train_part(codec, self._sounds, self.folder / "codec", self.parts[2], SEED + 2)
            return codec

        self._keep("codec_finished.safetensors", make)

    def initial(self) -> None:
        """The untrained model around the codec."""
        if not (self.folder / "initial" / "config.json").exists():
            with self._table.open(encoding="utf-8") as file:
                texts = [row["text_description"] for row in csv.DictReader(file)]
            write_initial(self.folder / "initial", self._codec("codec.safetensors"), texts, SEED)

    def training_set(self) -> Path:
        """Codes and descriptions, joined."""
        raw, initial, codes = (self.folder / name for name in ("raw", "initial", "codes"))
        encode_corpus(raw, initial, codes, Coding())
        lane = Lane("pretraining", raw, self.folder / "descriptions", codes, held_out=0.02, licence="CC0-1.0")
        return build_training_set([lane], initial, self.folder / "training_set", self.training).folder

    def train(self) -> Path:
        """The trained checkpoint, still with the unfinished decoder."""
        initial, folder = self.folder / "initial", self.folder / "training"
        return run_training(self.training_set(), initial, folder, self.training).checkpoint

    def checkpoint(self) -> Path:
        """The trained checkpoint with the finished codec, in 16 bits, and what it was made from."""
        trained, made = self.train(), self.folder / "base"
        shutil.rmtree(made, ignore_errors=True)
        shutil.copytree(trained, made)
        tensors = load_file(made / "model.safetensors")
        codec = load_file(self.folder / "codec_finished.safetensors")
        tensors |= {f"audio_encoder.{name}": tensor for name, tensor in codec.items()}
        halves = {name: tensor.half().contiguous() for name, tensor in tensors.items()}
        save_file(halves, made / "model.safetensors", metadata={"format": "pt"})
        storage.write_json(made / "provenance.json", self._provenance())
        return made

    def _provenance(self) -> dict:
        record = json.loads((self.folder / "training" / "training.json").read_text(encoding="utf-8"))
        return {
            "made_by": "python -m parler_assets.sample.pretrain",
            "speech": f"{self.clips} clips synthesized by espeak-ng, none of them by a named speaker of the sample",
            "licence": "Apache-2.0; espeak-ng itself (GPL-3.0-or-later) is not part of it",
            "codec_updates": {part.name: part.updates for part in self.parts},
            "training": {key: record[key] for key in ("updates", "chosen_update", "held_out_loss", "seconds")},
            "settings": self.training.model_dump(mode="json"),
        }

    @property
    def _corpus(self) -> Corpus:
        source = SyntheticSource(kind="synthetic", voices="pretraining", clips=self.clips, seed=SEED)
        return Corpus.model_validate({"source": source, "descriptions": {"kind": "published", "path": self._table}})

    @property
    def _table(self) -> Path:
        return self.folder / "descriptions.csv"

    @cached_property
    def _sounds(self) -> list[np.ndarray]:
        """The first clips, mono at the codec's rate."""
        found: list[np.ndarray] = []
        for table in storage.iterate(self.folder / "raw", ["audio"]):
            found += [decode(audio.as_py()).at(int(CONFIG.sampling_rate)).samples for audio in table["audio"]]
            if len(found) >= HEARD:
                break
        return found[:HEARD]

    def _codec(self, name: str) -> DacModel:
        codec = build_dac(CONFIG)
        codec.load_state_dict(load_file(self.folder / name))
        return codec

    def _keep(self, name: str, make: Callable[[], DacModel]) -> None:
        path = self.folder / name
        if not path.exists():
            weights = {key: tensor.contiguous() for key, tensor in make().state_dict().items()}
            with storage.replacing(path) as temporary:
                save_file(weights, temporary)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="where to work; half a gigabyte")
    parser.add_argument("--only", choices=["corpus", "codec", "initial", "train", "decoder"], help="one step alone")
    parser.add_argument("--publish", action="store_true", help="replace the checkpoint that the package ships")
    given = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s: %(message)s")
    torch.set_num_threads(1)  # sums in one order: the same weights again
    pretraining, started = Pretraining(given.folder), time.monotonic()
    if given.only:
        getattr(pretraining, given.only)()
        return
    made = pretraining.run()
    logging.info("%s after %.0f minutes", made, (time.monotonic() - started) / 60)
    if given.publish:
        shutil.rmtree(base_path(), ignore_errors=True)
        shutil.copytree(made, base_path())


if __name__ == "__main__":
    main()
