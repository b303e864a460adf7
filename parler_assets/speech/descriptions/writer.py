"""k faithful wordings for every attribute tuple: kept answers first, then the engine, then, marked, the template.

An answer is kept as the model gave it and judged whenever it is read: a stricter check never asks a model again for
what it already said well. A rejected answer is asked for again with another seed.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from parler_assets.progress import follow
from parler_assets.recipe import Describing
from parler_assets.speech.descriptions.answer_cache import Store, opened
from parler_assets.speech.descriptions.checking.faults import faults, stripped
from parler_assets.speech.descriptions.engines import Engine, Request, model_identity, open_engine
from parler_assets.speech.descriptions.errors import DescriptionError
from parler_assets.speech.descriptions.situations import Attributes, Kind
from parler_assets.speech.descriptions.template import sentences

EXAMPLES = 12  # rejected answers that are shown
PART = 2048  # questions that are worded, asked and judged at a time
SAMPLING = ("engine", "temperature", "max_new_tokens", "load_in_4bit", "structured")
Pair = tuple[Kind, Attributes]
Key = tuple[Kind, tuple[tuple[str, str], ...]]


@dataclass(frozen=True)
class Wording:
    """One description of an attribute tuple.

    Attributes:
        engine: what wrote it; `template` also where a model's answers were all rejected.
        attempts: how often the engine was asked.
        rejected: why the last answer was rejected; None for one that was accepted.
    """

    text: str
    engine: str
    attempts: int
    rejected: str | None = None


@dataclass
class Slot:
    """Wording number `place` of a tuple that is still to be written."""

    kind: Kind
    attributes: Attributes
    place: int
    attempts: int = 0
    rejected: str | None = None
    text: str | None = None


@dataclass
class Written:
    """All wordings, and what it took to get them."""

    wordings: dict[Key, list[Wording]]
    facts: dict = field(default_factory=dict)

    def of(self, kind: Kind, attributes: Attributes) -> list[Wording]:
        return self.wordings[key_of(kind, attributes)]


def key_of(kind: Kind, attributes: Mapping[str, str]) -> Key:
    return kind, tuple(sorted(attributes.items()))


def write(
    pairs: Iterable[Pair],
    settings: Describing,
    cache: Path,
    names: Sequence[str] = (),
    rebuild: bool = False,
    device: str = "cpu",
) -> Written:
    """`settings.paraphrases` wordings for every pair of caption kind and attributes.

    Args:
        cache: every answer of a model is kept in `cache/descriptions/answers.sqlite`.
        names: of all speakers; a wording that names another than its own is rejected.
        rebuild: forget what is kept of these very questions first.
        device: where an engine on this machine computes.

    Raises:
        DescriptionError: the engine cannot be used, or failed midway; what it wrote so far is kept.
    """
    distinct = {key_of(kind, attributes): (kind, attributes) for kind, attributes in pairs}
    if settings.engine == "template":
        wordings = {key: _from_template(attributes, settings) for key, (_, attributes) in distinct.items()}
        return Written(wordings, {"wordings": sum(map(len, wordings.values()))})
    with opened(cache / "descriptions" / "answers.sqlite") as store:
        return _Writer(settings, store, cache, names, rebuild, device).write(distinct)


def _from_template(attributes: Attributes, settings: Describing) -> list[Wording]:
    return [Wording(text, "template", 1) for text in sentences(attributes, settings.paraphrases, settings.seed)]


class _Writer:
    def __init__(
        self, settings: Describing, store: Store, cache: Path, names: Sequence[str], rebuild: bool, device: str
    ) -> None:
        from parler_assets.speech.descriptions.prompts import Prompt

        self.settings, self.store, self.cache, self.names, self.rebuild = settings, store, cache, names, rebuild
        self.device = device
        self.prompt = Prompt(settings.prompt, settings.structured)
        self.identity = model_identity(settings, cache)
        self.counts: Counter[str] = Counter()
        self.reasons: Counter[str] = Counter()
        self.examples: list[dict] = []
        self._engine: Engine | None = None

    def write(self, distinct: Mapping[Key, Pair]) -> Written:
        # Without chance in the sampling every answer to a question is the same: one wording, no second attempt.
        certain = self.settings.temperature == 0
        places = 1 if certain else self.settings.paraphrases
        slots = [Slot(kind, attributes, place) for kind, attributes in distinct.values() for place in range(places)]
        try:
            for _ in range(1 if certain else self.settings.attempts):
                self._attempt([slot for slot in slots if slot.text is None])
        finally:
            if self._engine is not None:
                self._engine.close()
        return self._finished(slots)

    def _attempt(self, slots: Sequence[Slot]) -> None:
        """Ask once for every slot and judge the answers, in parts so that memory stays flat."""
        starts = range(0, len(slots), PART)
        for start in follow(starts, "descriptions", len(starts), "part"):
            part = slots[start : start + PART]
            requests = [self._request(slot) for slot in part]
            keys = [request.key for request in requests]
            if self.rebuild:
                self.store.forget(keys)
            answers = self.store.get(keys)
            self.counts["kept"] += len(answers)
            missing = [request for request in requests if request.key not in answers]
            if missing:
                answers |= self._ask(missing)
            for slot, request in zip(part, requests, strict=True):
                self._judge(slot, answers[request.key])

    def _request(self, slot: Slot) -> Request:
        """The question of a slot's next attempt; its key is a digest of all that the answer depends on."""
        messages = self.prompt.messages(slot.kind, slot.attributes)
        asked = [messages, self.identity, *(getattr(self.settings, name) for name in SAMPLING)]
        drawn = [self.settings.seed, slot.place, slot.attempts]
        text = json.dumps([asked, drawn], sort_keys=True)
        key = hashlib.sha256(text.encode()).hexdigest()
        return Request(key, messages, int(key[:8], 16) >> 1)

    def _ask(self, requests: Sequence[Request]) -> dict[str, str]:
        """The engine's answers, each kept as soon as it is there."""
        self._engine = self._engine or open_engine(self.settings, self.cache, self.device)
        answers: dict[str, str] = {}
        try:
            for finished in self._engine.answers(requests):
                self.store.put(finished)
                answers |= finished
                self.counts["generations"] += len(finished)
        except DescriptionError as error:
            done = f"{len(answers)} of {len(requests)} answers of this round are kept; materialize again to go on"
            raise DescriptionError(f"{error}; {done}") from None
        return answers

    def _judge(self, slot: Slot, answer: str) -> None:
        text = stripped(answer_of(answer) if self.settings.structured else answer)
        found = faults(text, slot.attributes, self.names)
        slot.attempts += 1
        self.counts["judged"] += 1
        if not found:
            slot.text, slot.rejected = text, None
            return
        slot.rejected = "; ".join(found)
        self.counts["rejected"] += 1
        self.reasons.update({reason.split(":")[0] for reason in found})
        if len(self.examples) < EXAMPLES:
            self.examples.append({"text": text[:300], "asked": dict(slot.attributes), "reasons": found})

    def _finished(self, slots: Sequence[Slot]) -> Written:
        wordings: dict[Key, list[Wording]] = {}
        for slot in slots:
            own = wordings.setdefault(key_of(slot.kind, slot.attributes), [])
            if slot.text is not None:
                own.append(Wording(slot.text, self.settings.engine, slot.attempts))
            else:
                self.counts["replaced"] += 1
                options = sentences(slot.attributes, slot.place + 1, self.settings.seed)
                own.append(Wording(options[-1], "template", slot.attempts, slot.rejected))
        return Written(wordings, self._facts(wordings))

    def _facts(self, wordings: Mapping[Key, Sequence[Wording]]) -> dict:
        judged, rejected = self.counts["judged"], self.counts["rejected"]
        return {
            "wordings": sum(len(own) for own in wordings.values()),
            "different": sum(len({wording.text for wording in own}) for own in wordings.values()),
            "generations": self.counts["generations"],
            "answers_kept_from_before": self.counts["kept"],
            "rejected": rejected,
            "rejection_rate": round(rejected / judged, 4) if judged else 0.0,
            "replaced_by_template": self.counts["replaced"],
            "reasons": dict(self.reasons.most_common()),
            "examples": self.examples,
            "model": self.identity,
        }


def answer_of(answer: str) -> str:
    """The sentence in an answer of structured output, or the answer itself where it is no such JSON (a cut one)."""
    try:
        content = json.loads(answer)
    except json.JSONDecodeError:
        return answer
    return str(content.get("description", "")) if isinstance(content, dict) else answer
