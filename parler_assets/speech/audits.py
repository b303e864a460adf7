"""What makes a lane's stage unfit to build on. Each audit reads written shards and returns problems to act on.

An empty list means fit. The same audits run as checks in the graph, and can be run again from its Checks tab.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from scipy.stats import spearmanr

from parler_assets import storage

LEAST_COMPARED, VARIED, LEAST_CORRELATION = 30, 0.15, 0.25  # clips; standard deviation of logarithms
# Outside these a measurement is an error of the estimator or of the data, not an unusual voice.
PLAUSIBLE = {
    "speaking_rate_a": (0.0, 60.0),
    "utterance_pitch_mean": (30.0, 1200.0),
    "utterance_pitch_std": (0.0, 600.0),
    "snr_a": (-20.0, 120.0),
    "c50_a": (-15.0, 120.0),
    "duration": (0.02, 3600.0),
}


def has_clips(folder: Path) -> list[str]:
    """A corpus without clips: a filter or a split name left nothing."""
    if storage.read_manifest(folder).rows:
        return []
    return ["no clip is left: check split, styles and columns of this corpus in the recipe, and the rows set aside"]


def unique_ids(folder: Path) -> list[str]:
    """Ids join everything; one that occurs twice would pair the wrong rows."""
    counts = Counter(_ids(folder))
    doubled = [name for name, count in counts.items() if count > 1]
    return [f"{len(doubled)} ids occur more than once, the first is {doubled[0]!r}"] if doubled else []


def in_language(folder: Path, language: str, spoken: bool = True) -> list[str]:
    """Transcripts that are not in their corpus's language, and numbers without words where texts are `spoken`."""
    from parler_assets.speech.text.languages import language_doubt

    texts = [text or "" for part in storage.iterate(folder, ["text"]) for text in part["text"].to_pylist()]
    doubt = language_doubt(texts, language)
    problems = [f"{doubt}; correct `language` of the corpus, or its table"] if doubt else []
    digits = [text for text in texts if spoken and any(map(str.isdecimal, text))]
    if digits:
        problems.append(
            f"{len(digits)} texts have numbers that have no words in {language} here and are trained on as they stand, "
            f"such as {digits[0][:80]!r}: write them in words in the table"
        )
    return problems


def texts_fit_durations(folder: Path) -> list[str]:
    """Long texts take longer to say, in any language; where they do not, a table was moved or sorted.

    Nothing is said of few clips, nor where texts or clips are all of about one length. Spearman's rank correlation is
    0.88 in a corpus of sentences read by one speaker, and 0.02 once its table was moved by a row.
    """
    table = storage.read(folder, ["text", "duration"])
    pairs = zip(table["text"].to_pylist(), table["duration"].to_pylist(), strict=True)
    lengths = [(sum(map(str.isalnum, text or "")), seconds or 0) for text, seconds in pairs]
    spoken = np.log([pair for pair in lengths if min(pair) > 0]).T
    if len(lengths) < LEAST_COMPARED or not len(spoken) or min(spoken.std(axis=1)) < VARIED:
        return []
    found = float(spearmanr(*spoken).statistic)
    if found >= LEAST_CORRELATION:
        return []
    return [
        f"long texts belong to clips as short as those of short ones (rank correlation {found:.2f}): the "
        "rows of the table were moved or sorted; repair it"
    ]


def few_set_aside(folder: Path, limit: float, *earlier: Path) -> list[str]:
    """More clips set aside than `shards.max_set_aside` of the recipe allows; one alone never is, but where it is 0.

    Args:
        earlier: the stages before this one, the raw clips first: what they set aside counts too, for the limit is one
            of the whole corpus.
    """
    stages = [storage.read_manifest(path) for path in (*earlier, folder)]
    reasons = {row.id: row.reason for stage in stages for row in stage.set_aside}
    aside, total = len(reasons), len(stages[0].set_aside) + stages[0].rows
    mine = len(stages[-1].set_aside)
    if not total or not mine or aside / total <= limit or (limit and aside == 1 < total):
        return []
    reason, count = Counter(reason.split(":")[0] for reason in reasons.values()).most_common(1)[0]
    example = next(text for text in reasons.values() if text.startswith(reason))
    here = f", {mine} of them here" if earlier else ""
    return [
        f"{aside} of {total} clips are set aside{here} ({aside / total:.1%}, limit {limit:.1%}); most often: {reason} "
        f"({count}), such as {example!r}. Repair the source or raise shards.max_set_aside"
    ]


def describable(raw: Path, prompt: str, limit: float) -> list[str]:
    """Speakers and styles that descriptions would have to state and cannot: found before any clip is measured."""
    from parler_assets.speech.descriptions.attributes import columns_of, unusable

    counts: Counter[str] = Counter()
    for part in storage.iterate(raw, ["speaker", "style"]):
        for row in part.to_pylist():
            counts.update({why: 1} if (why := unusable(row, prompt, columns_of(prompt))) else {})
    lost, total = counts.total(), storage.read_manifest(raw).rows
    if not lost or lost / total <= limit:
        return []
    why, count = counts.most_common(1)[0]
    return [
        f"{lost} of {total} clips cannot be described ({lost / total:.1%}, limit {limit:.1%}), {count} of them: {why}"
    ]


def complete(folder: Path, source: Path) -> list[str]:
    """Every row of `source` is in `folder`, or was set aside there with a reason; and nothing else is."""
    manifest = storage.read_manifest(folder)
    expected, found = set(_ids(source)), set(_ids(folder))
    missing = expected - found - {row.id for row in manifest.set_aside}
    foreign = found - expected
    problems = []
    if missing:
        problems.append(
            f"{len(missing)} clips are missing without a reason, such as {min(missing)!r}; rebuild this stage"
        )
    if foreign:
        problems.append(f"{len(foreign)} rows belong to no clip, such as {min(foreign)!r}; rebuild this stage")
    return problems


def plausible(folder: Path) -> list[str]:
    """Measurements within what speech can be."""
    problems = []
    table = storage.read(folder, ["id", *PLAUSIBLE])
    ids = table["id"].to_pylist()
    for column, (low, high) in PLAUSIBLE.items():
        values = [(v, i) for v, i in zip(table[column].to_pylist(), ids, strict=True) if v is not None]
        outside = [(v, i) for v, i in values if not low <= v <= high]
        if outside:
            worst, name = max(outside, key=lambda pair: abs(pair[0]))
            problems.append(f"{column}: {len(outside)} values outside {low:g}..{high:g}, such as {worst:.4g} of {name}")
    return problems


def varied(folder: Path, columns: Iterable[str]) -> list[str]:
    """Columns with one value only: descriptions then say nothing about them."""
    table = storage.read(folder, list(columns))
    flat = [name for name in table.column_names if len(table) > 9 and len(set(table[name].to_pylist())) < 2]
    return [f"{name}: the same for every clip ({table[name][0].as_py()})" for name in flat]


def known_labels(folder: Path) -> list[str]:
    """Every bin is one of the labels its edges were given, or empty where nothing was measured."""
    facts = storage.read_manifest(folder).facts
    problems = []
    for column, labels in facts["labels"].items():
        table = storage.read(folder, [column])
        strange = set(table[column].to_pylist()) - set(labels) - {None}
        if strange:
            problems.append(f"{column}: {sorted(strange)[:3]} are not among its labels")
    return problems


UNLIKE = "the edges do not suit this corpus: set binning.edges to estimated, or to edges made with the same estimators"
STRETCHED = "a few outliers stretch the edges: lower binning.tolerances, or leave the corpus out of binning.leading"


def drift(folder: Path, estimated: bool = False, limit: float = 0.5) -> list[str]:
    """Too many clips in the outermost bins: the corpus is unlike the one the edges were made from.

    Args:
        folder: a lane's text_bins.
        estimated: the edges were made from this recipe's own clips, so that only those can be to blame.
        limit: the share of clips that is too many.
    """
    remedy, problems = STRETCHED if estimated else UNLIKE, []
    for column, labels in storage.read_manifest(folder).facts["labels"].items():
        values = [label for label in storage.read(folder, [column])[column].to_pylist() if label is not None]
        for outer in (labels[0], labels[-1]):
            share = values.count(outer) / len(values) if values else 0.0
            if share > limit:
                problems.append(f"{column}: {share:.0%} of the clips are {outer!r}, the outermost bin; {remedy}")
    return problems


def described(folder: Path) -> list[str]:
    """A sentence for every row."""
    table = storage.read(folder, ["id", "description"])
    empty = [i for i, text in zip(*(table[c].to_pylist() for c in ("id", "description")), strict=True) if not text]
    return [f"{len(empty)} descriptions are empty, the first is that of {empty[0]!r}"] if empty else []


def names_speaker(folder: Path, raw: Path, names: Iterable[str]) -> list[str]:
    """A description names the speaker it belongs to, and no other: the name is what fine-tuning ties to the voice."""
    patterns = {name: re.compile(rf"(?<!\w){re.escape(name)}(?!\w)") for name in names}
    speakers = dict(zip(*(storage.read(raw, ["id", "speaker"])[c].to_pylist() for c in ("id", "speaker")), strict=True))
    wrong = []
    for part in storage.iterate(folder, ["id", "description"]):
        for row in part.to_pylist():
            speaker, text = speakers.get(row["id"]), row["description"] or ""
            if speaker in patterns and [name for name, found in patterns.items() if found.search(text)] != [speaker]:
                wrong.append(row["id"])
    return [f"{len(wrong)} descriptions do not name their speaker alone, the first is {wrong[0]!r}"] if wrong else []


def few_rejected(folder: Path, limit: float) -> list[str]:
    """A language model whose answers were rejected too often, or replaced by the template's sentences."""
    facts = storage.read_manifest(folder).facts
    rate, replaced = facts.get("rejection_rate", 0.0), facts.get("replaced_by_template", 0)
    problems = []
    if rate > limit:
        reasons = ", ".join(f"{reason} ({count})" for reason, count in list(facts["reasons"].items())[:4])
        problems.append(
            f"{rate:.0%} of the model's answers were rejected (limit {limit:.0%}), most often for: {reasons}; see "
            "rejected_examples, then try another describing.model, prompt or temperature, or raise max_rejected"
        )
    if replaced:
        problems.append(f"{replaced} of {facts['wordings']} wordings were replaced by the template's")
    return problems


def like_published(folder: Path) -> list[str]:
    """How clips and the descriptions they were published with differ."""
    found = storage.read_manifest(folder).facts.get("differences", {})
    return [
        f"{difference['count']} {name.replace('_', ' ')}, such as {difference['examples'][0]!r}"
        for name, difference in found.items()
        if difference["count"]
    ]


def codes_fit(folder: Path) -> list[str]:
    """Codes are codebooks x frames of numbers below the codebook size."""
    import numpy as np

    size = storage.read_manifest(folder).facts["codebook_size"]
    for part in storage.iterate(folder, ["id", "codes", "frames", "codebooks"]):
        lengths = part["codes"].combine_chunks().value_lengths().to_numpy()
        expected = part["frames"].to_numpy().astype(np.int64) * part["codebooks"].to_numpy()
        wrong = np.flatnonzero(lengths != expected)
        if len(wrong):
            return [f"clip {part['id'][int(wrong[0])]}: codes are not codebooks x frames; rebuild this stage"]
        highest = max((chunk.values.to_numpy().max(initial=0) for chunk in part["codes"].chunks), default=0)
        if highest >= size:
            return [f"a code is {highest}, codebooks have {size} entries; rebuild this stage"]
    return []


def codes_match_audio(folder: Path, raw: Path) -> list[str]:
    """Frames cover the clip's duration, to within two frames."""
    facts = storage.read_manifest(folder).facts
    seconds = facts["hop"] / facts["sampling_rate"]
    durations = dict(
        zip(*(storage.read(raw, ["id", "duration"])[c].to_pylist() for c in ("id", "duration")), strict=True)
    )
    table = storage.read(folder, ["id", "frames"])
    wrong = [
        name
        for name, frames in zip(table["id"].to_pylist(), table["frames"].to_pylist(), strict=True)
        if name in durations and abs(frames * seconds - durations[name]) > 2 * seconds
    ]
    return [f"{len(wrong)} clips have codes of another length than their audio, such as {wrong[0]!r}"] if wrong else []


def _ids(folder: Path) -> list[str]:
    return [name for part in storage.iterate(folder, ["id"]) for name in part["id"].to_pylist()]
