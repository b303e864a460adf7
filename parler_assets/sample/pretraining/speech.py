"""The small Parler-TTS around the codec, trained from nothing by this project's own stages on synthesized clips."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path

from transformers import DacModel

from parler_assets import storage
from parler_assets.recipe import Coding, Corpus, Shards, SyntheticSource, Training
from parler_assets.sample.plan import pretraining_clips
from parler_assets.sample.pretraining.initial import write_initial
from parler_assets.sample.published import pretraining_descriptions
from parler_assets.speech.clips import build_raw_dataset
from parler_assets.speech.codec.encode import encode_corpus
from parler_assets.speech.descriptions import join_published
from parler_assets.tts.data import Lane, build_training_set
from parler_assets.tts.training.launch import run_training

CLIPS = 8000
TRAINING = Training(
    min_seconds=0.5,
    max_seconds=12,
    max_steps=1700,
    learning_rate=0.0015,
    warmup_steps=100,
    weight_decay=0.01,
    batch_size=32,
    effective_batch_size=32,
    precision="float32",
    freeze_text_encoder=False,
    evaluate_every=500,
    save_every=250,
    log_every=10,
    seed=7,
)


@dataclass(frozen=True)
class SpeechTraining:
    """`folder` keeps what every stage makes; a stage that is done does nothing."""

    folder: Path
    seed: int
    clips: int = CLIPS
    training: Training = TRAINING

    def corpus(self) -> str:
        """Clips as any corpus's, with descriptions from what is known of them; the digest of the clips."""
        raw = build_raw_dataset(self._corpus, self.folder / "raw", Shards(rows=250), self.folder / "cache")
        if not self._table.exists():
            found = pretraining_descriptions(pretraining_clips(self.clips, self.seed), self.seed)
            with storage.replacing(self._table) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
                csv.writer(file).writerows([("id", "text_description"), *found.items()])
        join_published(self.folder / "raw", self.folder / "descriptions", self._corpus, self.folder / "cache")
        return raw.digest

    def initial(self, codec: DacModel) -> Path:
        """The untrained model around the codec, whose decoder need not be finished."""
        folder = self.folder / "initial"
        if not (folder / "config.json").exists():
            with self._table.open(encoding="utf-8") as file:
                texts = [row["text_description"] for row in csv.DictReader(file)]
            write_initial(folder, codec, texts, self.seed)
        return folder

    def training_set(self, codec: DacModel) -> Path:
        """Codes and descriptions, joined."""
        self.corpus()
        raw, codes, initial = self.folder / "raw", self.folder / "codes", self.initial(codec)
        encode_corpus(raw, initial, codes, Coding())
        lane = Lane("pretraining", raw, self.folder / "descriptions", codes, held_out=0.02, licence="CC0-1.0")
        return build_training_set([lane], initial, self.folder / "training_set", self.training).folder

    def train(self, codec: DacModel) -> Path:
        """The trained checkpoint, around the codec that it was given."""
        chosen, initial = self.training_set(codec), self.initial(codec)
        return run_training(chosen, initial, self.folder / "training", self.training).checkpoint

    @property
    def _corpus(self) -> Corpus:
        source = SyntheticSource(kind="synthetic", voices="pretraining", clips=self.clips, seed=self.seed)
        return Corpus.model_validate({"source": source, "descriptions": {"kind": "published", "path": self._table}})

    @property
    def _table(self) -> Path:
        return self.folder / "descriptions.csv"
