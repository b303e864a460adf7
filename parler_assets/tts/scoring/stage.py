"""Scores of generated speech, by the instruments that described the corpus, beside real, copy, base and chance."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from parler_assets import storage
from parler_assets.hub.revisions import COMMITS
from parler_assets.recipe import Annotation, Evaluation, digest
from parler_assets.speech.annotation.stage import loaded_until_here
from parler_assets.storage import StageResult
from parler_assets.tts.inputs import Inputs
from parler_assets.tts.scoring import card as cards
from parler_assets.tts.scoring.copies import copy_score
from parler_assets.tts.scoring.crossed import heard_by_held_out
from parler_assets.tts.scoring.judges import commits, judge_samples, pinned
from parler_assets.tts.scoring.measure import measure_samples, measured_rows
from parler_assets.tts.scoring.metrics import HEADLINES, SYSTEMS
from parler_assets.tts.scoring.probe import Probe
from parler_assets.tts.scoring.statistics import Missing, Outcome, Score
from parler_assets.tts.scoring.table import (
    CARD,
    FILE,
    FILES,
    LINES,
    check_thresholds,
    flat,
    markdown,
    not_above_chance,
    worse_than_base,
    write_lines,
)
from parler_assets.tts.scoring.voices import Speakers, known_speakers, sentences, train_probes
from parler_assets.tts.scoring.words import errors_of

logger = logging.getLogger(__name__)
VERSION = "4"
PAGE, TABLE = "scorecard.md", "samples.parquet"
__all__ = ["Score", "Scores", "check_thresholds", "not_above_chance", "read_scorecard", "score_samples"]


@dataclass(frozen=True)
class Scores:
    """A finished scorecard: `scorecard.json`, `scorecard.md`, `samples.jsonl` and `samples.parquet` in `folder`."""

    folder: Path
    card: dict
    reused: bool
    seconds: float

    @property
    def digest(self) -> str:
        return digest({key: self.card[key] for key in ("scores", "differences", "missing")})

    @property
    def numbers(self) -> dict[str, float]:
        return flat(self.card)

    @property
    def own(self) -> dict[str, float]:
        """The values of the checkpoint itself, without bounds and other systems."""
        scored = [score for score in self.card["scores"] if score["system"] == "finetuned"]
        return {f"finetuned/{score['metric']}": score["value"] for score in scored}

    @property
    def headlines(self) -> dict[str, float]:
        """The few of them to read first."""
        own = {score["metric"]: score["value"] for score in self.card["scores"] if score["system"] == "finetuned"}
        return {name: own[name] for name in HEADLINES if name in own}

    @property
    def markdown(self) -> str:
        return markdown(self.card)


def score_samples(
    samples: Path,
    training_set: Path,
    bins: Sequence[Path],
    base: Path,
    folder: Path,
    annotation: Annotation,
    settings: Evaluation,
    device: str = "cpu",
    rebuild: bool = False,
    held_out_loss: float | None = None,
    probes_folder: Path | None = None,
) -> Scores:
    """Measure and score every sample, and write the scorecard.

    Args:
        bins: text bins of the lanes that have them: they know genders, pitches, edges and labels.
        base: the checkpoint whose codec made the codes.
        probes_folder: where what the probes learn from is kept, to share it between scorecards; beside this one's by
            default.
        held_out_loss: of the fine-tuned checkpoint, for its threshold.

    Raises:
        ShardError: an input is unfinished.
        InputChanged: one was replaced meanwhile; no scorecard is written.
    """
    started, settings = time.perf_counter(), pinned(settings)
    inputs = Inputs.of([base], [samples, training_set, *bins])
    digests = [inputs.stages[path] for path in (samples, training_set, *bins)]
    judging = [settings.styles, settings.seed, settings.judged, settings.recognised]
    judging += settings.recognising
    fingerprint = digest(digests, inputs.checkpoints[base], annotation, judging, held_out_loss, VERSION)
    finished = None if rebuild else read_scorecard(folder)
    if finished and finished.get("fingerprint") == fingerprint and _files_whole(folder, finished):
        return Scores(folder, finished, True, time.perf_counter() - started)
    scoring = _Scoring(samples, training_set, bins, base, folder, annotation, settings, device, rebuild)
    with loaded_until_here():
        made, rows = scoring.card(probes_folder or folder / "probes")
    manifest = storage.read_manifest(samples)
    made |= {"fingerprint": fingerprint, "set_aside": len(manifest.set_aside)}
    made |= {name: manifest.facts.get(name) for name in ("checkpoint", "base")}
    made |= {COMMITS: commits(settings), "held_out_loss": held_out_loss}
    made |= {"cost": _cost(rows, time.perf_counter() - started)}
    inputs.verify()
    _write(folder, made, rows)
    return Scores(folder, made, False, time.perf_counter() - started)


@dataclass(frozen=True)
class _Scoring:
    """What a scorecard is made from; see `score_samples`."""

    samples: Path
    training_set: Path
    bins: Sequence[Path]
    base: Path
    folder: Path
    annotation: Annotation
    settings: Evaluation
    device: str
    rebuild: bool

    def card(self, probes_folder: Path) -> tuple[dict, list[dict]]:
        """Scores, differences and what is missing; and the rows of all samples that they are made from."""
        known = known_speakers(self.bins)
        measured = self._measured(known)
        asked = (self.settings.styles, known, self.annotation, probes_folder, self.device, self.rebuild)
        probes = train_probes(self.training_set, self.base, *asked)
        rows = cards.with_requests(measured_rows(measured.folder), known.attributes)
        rows, reasons = self._judged(heard_by_held_out(cards.with_hits(rows, probes, known), probes))
        stoi, copied = copy_score(self.samples)
        rows = [row | {"stoi": stoi.get(row["id"])} for row in rows]
        made = _card(rows, probes, known, measured.manifest.facts["recogniser"], self.settings.seed, reasons)
        made["scores"] += [copied.as_dict()] if isinstance(copied, Score) else []
        made["missing"] += [vars(copied)] if isinstance(copied, Missing) else []
        return made, rows

    def _measured(self, known: Speakers) -> StageResult:
        asked = storage.read(self.samples, ["text", "kind"]).to_pylist()
        texts = [row["text"] for row in asked if row["kind"] != "long"]
        return measure_samples(
            self.samples,
            self.folder / "measured",
            self.annotation,
            known.genders,
            known.bin_facts,
            sentences(self.training_set, texts, self.settings.speakers),
            self.device,
            self.rebuild,
            self.settings.recognised,
        )

    def _judged(self, rows: list[dict]) -> tuple[list[dict], dict[str, str]]:
        """Rows with what the slow judges say, and the reasons of those that are not here."""
        folder = self.folder / "judged"
        values, reasons = judge_samples(self.samples, rows, folder, self.settings, self.device, self.rebuild)
        judged = []
        for row in rows:
            row = {**row, **values.get(row["id"], {})}
            if row.get("transcript_open") is not None:
                counts = errors_of(row["text"], row["transcript_open"])
                row |= {f"{name}_open": count for name, count in counts.items()}
            judged.append(row)
        return judged, reasons


def _cost(rows: list[dict], scoring: float) -> dict[str, float]:
    """Seconds: what generating the samples took, and what scoring them took."""
    generated = sum(row["seconds_to_generate"] or 0.0 for row in rows)
    return {"generation_seconds": round(generated, 3), "scoring_seconds": round(scoring, 3), "samples": len(rows)}


def _card(
    rows: list[dict], probes: dict[str, Probe], known: Speakers, recogniser: str, seed: int, reasons: dict[str, str]
) -> dict:
    by_system = {system: [row for row in rows if row["system"] == system] for system in SYSTEMS}
    by_system["chance"] = cards.chance_rows(by_system["finetuned"], seed)
    outcomes: list[Outcome] = []
    for system, chosen in by_system.items():
        outcomes += cards.system_scores(system, chosen, probes, known, recogniser)
        outcomes += cards.judged_scores(system, chosen, reasons) if system != "chance" else []
    differences = [score.as_dict() for score in cards.paired_differences(rows) if isinstance(score, Score)]
    return {
        "scores": [score.as_dict() for score in outcomes if isinstance(score, Score)],
        "missing": [vars(entry) for entry in outcomes if isinstance(entry, Missing)],
        "differences": differences,
        "worse_than_base": worse_than_base(differences),
        "confusion": cards.confusions(rows, probes, known.attributes),
    }


def _write(folder: Path, made: dict, rows: list[dict]) -> None:
    write_lines(folder / LINES, rows)
    with storage.replacing(folder / TABLE) as temporary:
        pq.write_table(pa.Table.from_pylist(rows), temporary)
    _write_page(folder, made)
    CARD.write(folder / FILE, made | {FILES: storage.digests(folder, [LINES, TABLE])})


def _write_page(folder: Path, made: dict) -> None:
    with storage.replacing(folder / PAGE) as temporary:
        temporary.write_text(markdown(made), encoding="utf-8")


def _files_whole(folder: Path, card: dict) -> bool:
    """Whether what lies beside a scorecard is what was written; the page is made again from the card itself."""
    expected = card.get(FILES) or dict.fromkeys((LINES, TABLE))  # earlier cards do not say
    known = {name: digest for name, digest in expected.items() if digest}
    gone = [name for name in expected if not (folder / name).is_file() or not (folder / name).stat().st_size]
    damage = storage.damage(folder, known) or (f"{folder / gone[0]}: missing or empty" if gone else None)
    if damage:
        logger.warning("%s; it is made again", damage)
        return False
    if not (folder / PAGE).is_file() or (folder / PAGE).read_bytes() != markdown(card).encode():
        _write_page(folder, card)
    return True


def read_scorecard(folder: Path) -> dict | None:
    """The scorecard in a folder, or None where there is none, or, with a warning, a damaged one."""
    return CARD.find(folder / FILE, "materialize the scorecard again: what was measured is kept")
