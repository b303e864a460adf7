"""A recipe that takes the whole graph through in seconds: a dozen buzzing clips, one broken one, and a tiny base."""

from __future__ import annotations

from pathlib import Path

import soundfile
import yaml

from tests.support.evaluation_samples import buzz
from tests.support.tiny_checkpoint import write_tiny_checkpoint

SPEAKERS = {"Jerry": 110.0, "Talia": 210.0}
STYLES = ("happy", "sad")
TEXTS = ("Open the door.", "The cat sat down.", "Rain fell all day.")
BROKEN = "broken-clip"


def write_tiny_recipe(folder: Path, **sections: dict) -> Path:
    """Recordings, descriptions, checkpoint and recipe in `folder`; `sections` are merged over the recipe's."""
    rows = [
        (f"{speaker}-{style}-{number}", speaker, style, text, pitch, 0.9 + number / 5)
        for speaker, pitch in SPEAKERS.items()
        for style in STYLES
        for number, text in enumerate(TEXTS)
    ]
    write_corpus(folder / "studio", rows)
    (folder / "studio" / f"{BROKEN}.wav").write_bytes(b"RIFF and then nothing")
    with (folder / "studio" / "metadata.csv").open("a") as table:
        table.write(f"{BROKEN},{BROKEN}.wav,Nobody hears this.,Jerry,happy\n")
    field = [(f"field-{number}", "", "", f"This is number {number}.", 150.0, 1.0) for number in range(4)]
    write_corpus(folder / "field", field)
    described = [f"{row[0]},A person speaks at a moderate speed in a quiet room." for row in field]
    (folder / "field.csv").write_text("\n".join(["id,text_description", *described]))
    write_tiny_checkpoint(folder / "base")
    content = recipe_content()
    for name, values in sections.items():
        content[name] = content.get(name, {}) | values
    path = folder / "tiny.yaml"
    path.write_text(yaml.safe_dump(content, sort_keys=False))
    return path


def recipe_content() -> dict:
    """The recipe as plain data; paths are relative to its folder."""
    columns = {"id": "id", "audio": "file_name", "text": "text", "speaker": "speaker", "style": "style"}
    return {
        "name": "tiny",
        "corpora": {
            "studio": {
                "source": {"kind": "folder", "path": "studio", "columns": columns, "licence": "CC0-1.0"},
                "genders": {"Jerry": "male", "Talia": "female"},
                "held_out": 0.3,
                "transcripts_heard": 0,  # they buzz
            },
            "field": {
                "source": {"kind": "folder", "path": "field", "columns": columns, "licence": "CC0-1.0"},
                "descriptions": {"kind": "published", "path": "field.csv", "licence": "CC0-1.0"},
                "held_out": 0,
                "transcripts_heard": 0,
            },
        },
        "shards": {"rows": 4, "max_set_aside": 0.1},
        "binning": {"edges": "estimated", "labels": "v01"},
        "base": {"path": "base", "licence": "Apache-2.0"},
        "training": {
            "min_seconds": 0.5,
            "max_steps": 4,
            "warmup_steps": 1,
            "learning_rate": 0.001,
            "batch_size": 4,
            "effective_batch_size": 4,
            "precision": "float32",
            "evaluate_every": 2,
            "save_every": 2,
            "log_every": 1,
        },
        "evaluation": {
            "speakers": list(SPEAKERS),
            "styles": list(STYLES),
            "texts": ["Open the door."],
            "rates": ["quite slowly", "quite fast"],
            "max_seconds": 0.6,
        },
    }


def write_corpus(folder: Path, rows: list[tuple]) -> None:
    """Sounds and their table: (id, speaker, style, text, pitch in Hz, seconds)."""
    folder.mkdir(parents=True)
    lines = ["id,file_name,text,speaker,style"]
    for seed, (name, speaker, style, text, pitch, seconds) in enumerate(rows):
        soundfile.write(folder / f"{name}.wav", buzz(pitch, seconds, seed=seed), 16000)
        lines.append(f"{name},{name}.wav,{text},{speaker},{style}")
    (folder / "metadata.csv").write_text("\n".join(lines) + "\n")
