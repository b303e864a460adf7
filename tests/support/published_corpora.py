"""Small data sets in the layouts that Expresso, Jenny and LibriTTS-R have on the Hub, put into the Hub's local cache.

Real loading code then runs on them with HF_HUB_OFFLINE. Voices are hums; names, ids, columns, types, splits and markup
are those of the published sets.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from datasets import Audio, ClassLabel, Features, Value

from parler_assets.speech.audio import encode

STYLES = ["confused", "default", "emphasis", "enunciated", "essentials", "happy"]
STYLES += ["laughing", "longform", "sad", "singing", "whisper"]
TEXTS = ("*Blimy* are you threatening me?", "Does yeast rise? <laugh>", "Find Sergeant Pepper.", "How do you thaw it?")


def hum(index: int, rate: int, seconds: float = 0.4) -> bytes:
    """A short FLAC or WAV of a voice that no other index has."""
    time = np.arange(int(seconds * rate)) / rate
    wave = sum(np.sin(2 * np.pi * (110 + 7 * index) * k * time) / k for k in range(1, 6))
    return encode(0.1 * wave.astype(np.float32), rate, "WAV" if index % 2 else "FLAC")


def sound(index: int, rate: int) -> dict:
    return {"bytes": hum(index, rate), "path": f"{index}.wav"}


class HubCache:
    """A folder laid out as the Hub's cache."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def add(self, repo: str, files: dict[str, pa.Table | str], branch: str = "main") -> str:
        """A repository at one commit; gives the commit."""
        commit = hashlib.sha1(f"{repo}{branch}{sorted(files)}".encode()).hexdigest()
        root = self.folder / f"datasets--{repo.replace('/', '--')}"
        (root / "refs" / branch).parent.mkdir(parents=True, exist_ok=True)
        (root / "refs" / branch).write_text(commit)
        for name, content in files.items():
            path = root / "snapshots" / commit / name
            path.parent.mkdir(parents=True, exist_ok=True)
            if isinstance(content, str):
                path.write_text(content)
            else:
                pq.write_table(content, path, row_group_size=3)
        return commit


def expresso(cache: HubCache, clips: int = 22) -> str:
    """`ylacombe/expresso`: config read, 48 kHz, two files, card with a configs section."""
    features = Features(
        audio=Audio(), text=Value("string"), speaker_id=Value("string"), style=Value("string"), id=Value("string")
    )
    rows = []
    for index in range(clips):
        speaker, style = f"ex0{index % 4 + 1}", STYLES[index % len(STYLES)]
        part = "default_emphasis" if style == "emphasis" else "narration_longform" if style == "longform" else style
        rows.append(
            {
                "audio": sound(index, 48000),
                "text": TEXTS[index % len(TEXTS)],
                "speaker_id": speaker,
                "style": style,
                "id": f"{speaker}_{part}_{index + 1:05d}",
            }
        )
    table = pa.Table.from_pylist(rows, schema=features.arrow_schema)
    half = clips // 2
    card = (
        "---\nlicense: cc-by-nc-4.0\nconfigs:\n- config_name: read\n"
        "  data_files:\n  - split: train\n    path: read/train-*\n---\n"
    )
    names = [f"read/train-0000{part}-of-00002.parquet" for part in range(2)]
    return cache.add("ylacombe/expresso", {"README.md": card, names[0]: table[:half], names[1]: table[half:]})


def jenny(cache: HubCache, clips: int = 20) -> str:
    """`reach-vb/jenny_tts_dataset`: default config, sizes in the card, ids that are file names, no speaker."""
    names = ("file_name", "transcription", "transcription_normalised")
    features = Features({name: Value("string") for name in names} | {"audio": Audio()})
    rows = [
        {
            "file_name": f"wavs/{index}.wav",
            "transcription": TEXTS[index % 4],
            "transcription_normalised": TEXTS[index % 4].lower(),
            "audio": sound(index, 48000),
        }
        for index in range(clips)
    ]
    table = pa.Table.from_pylist(rows, schema=features.arrow_schema)
    card = (
        f"---\ndataset_info:\n  splits:\n  - name: train\n    num_examples: {clips}\n"
        "configs:\n- config_name: default\n  data_files:\n  - split: train\n    path: data/train-*\n---\n"
    )
    files: dict[str, pa.Table | str] = {"README.md": card, "data/train-00000-of-00002.parquet": table[:12]}
    return cache.add("reach-vb/jenny_tts_dataset", files)  # the second file is not fetched: 20 % do not need it


def libritts(cache: HubCache) -> str:
    """`blabble-io/libritts_r`: split names with dots, 24 kHz, several configs, no card, numbers as speakers."""
    features = Features(
        audio=Audio(),
        text_normalized=Value("string"),
        text_original=Value("string"),
        speaker_id=Value("string"),
        path=Value("string"),
        chapter_id=Value("string"),
        id=Value("string"),
    )
    files: dict[str, pa.Table | str] = {}
    for config, split, count in (("clean", "test.clean", 5), ("other", "test.other", 4)):
        rows = [
            {
                "audio": sound(index, 24000),
                "text_normalized": TEXTS[index % 4],
                "text_original": TEXTS[index % 4],
                "speaker_id": str(61 + index % 2),
                "path": f"/{index}.wav",
                "chapter_id": "70968",
                "id": f"{61 + index % 2}_70968_{index:06d}_000000",
            }
            for index in range(count)
        ]
        files[f"{config}/{split}-00000-of-00001.parquet"] = pa.Table.from_pylist(rows, schema=features.arrow_schema)
    return cache.add("blabble-io/libritts_r", files)


def numbered(cache: HubCache) -> str:
    """A set whose speakers and styles are class numbers, found only in the Hub's converted branch."""
    features = Features(audio=Audio(), text=Value("string"), speaker=ClassLabel(names=["Ann", "Ben"]))
    rows = [{"audio": sound(index, 16000), "text": "hello", "speaker": index % 2} for index in range(4)]
    table = pa.Table.from_pylist(rows, schema=features.arrow_schema)
    commit = cache.add("someone/numbered", {"numbered.py": "raise SystemExit('a loading script must never run')"})
    cache.add("someone/numbered", {"default/train/0000.parquet": table}, branch="refs/convert/parquet")
    return commit
