"""Make the sample's base checkpoint from nothing: `python -m parler_assets.sample.pretraining FOLDER`.

Everything is synthesized, so the command needs no data. The four named speakers of the sample are never heard here. A
run that was killed goes on where it stopped and gives the same bits. With `--publish` the result, with its provenance,
replaces the checkpoint that the package ships.
"""

from __future__ import annotations

import argparse
import json
import logging
import shutil
import time
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

from parler_assets import storage
from parler_assets.sample import base_path
from parler_assets.sample.pretraining.codec import CodecTraining
from parler_assets.sample.pretraining.speech import SpeechTraining
from parler_assets.tts.base import seal_checkpoint

SEED = 7


@dataclass(frozen=True)
class Pretraining:
    """The codec, then the speech model, then both in one checkpoint."""

    folder: Path
    codec: CodecTraining
    speech: SpeechTraining

    @classmethod
    def at(cls, folder: Path) -> Pretraining:
        return cls(folder, CodecTraining(folder / "codec", SEED), SpeechTraining(folder, SEED))

    def run(self) -> Path:
        """The finished checkpoint, weights in 16 bits."""
        self.codec.finished()
        self.speech.train(self.codec.encoded())
        return self.checkpoint()

    def checkpoint(self) -> Path:
        """The trained speech model with the finished codec, and what they were made from."""
        trained, made = self.speech.train(self.codec.encoded()), self.folder / "base"
        shutil.rmtree(made, ignore_errors=True)
        shutil.copytree(trained, made)
        tensors = load_file(made / "model.safetensors")
        codec = self.codec.finished().state_dict()
        tensors |= {f"audio_encoder.{name}": tensor for name, tensor in codec.items()}
        halves = {name: tensor.half().contiguous() for name, tensor in tensors.items()}
        save_file(halves, made / "model.safetensors", metadata={"format": "pt"})
        storage.write_json(made / "provenance.json", self._provenance())
        seal_checkpoint(made)
        return made

    def _provenance(self) -> dict:
        record = json.loads((self.folder / "training" / "training.json").read_text(encoding="utf-8"))
        return {
            "made_by": "python -m parler_assets.sample.pretraining",
            "speech": f"{self.speech.clips} clips, and {self.codec.clips} for the codec, synthesized by espeak-ng, "
            "none by a named speaker of the sample",
            "clips_digest": self.speech.corpus(),
            "codec_clips_sha256": self.codec.features.digest,
            "licence": "Apache-2.0; espeak-ng itself (GPL-3.0-or-later) is not part of it",
            "codec_updates": {"encoder": self.codec.encoder.updates, "decoder": self.codec.decoder.updates},
            "training": {key: record[key] for key in ("updates", "chosen_update", "held_out_loss", "seconds")},
            "settings": self.speech.training.model_dump(mode="json"),
        }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="where to work; a gigabyte")
    parser.add_argument("--only", choices=["encoder", "decoder", "codes", "speech"], help="one step and what it needs")
    parser.add_argument("--publish", action="store_true", help="replace the checkpoint that the package ships")
    given = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s: %(message)s")
    torch.set_num_threads(1)  # sums in one order: the same weights again
    pretraining, started = Pretraining.at(given.folder), time.monotonic()
    if given.only:
        _step(pretraining, given.only)
        return
    made = pretraining.run()
    logging.info("%s after %.0f minutes", made, (time.monotonic() - started) / 60)
    if given.publish:
        shutil.rmtree(base_path(), ignore_errors=True)
        shutil.copytree(made, base_path())


def _step(pretraining: Pretraining, name: str) -> None:
    codec, speech = pretraining.codec, pretraining.speech
    if name == "decoder":
        codec.finished()
    elif name == "encoder":
        codec.encoded()
    elif name == "codes":
        speech.training_set(codec.encoded())
    else:
        speech.train(codec.encoded())


if __name__ == "__main__":
    main()
