"""YAML with limits: on depth, on what aliases make of it, on the digits of a number; no tags, and no key twice."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from yaml import AliasEvent, CollectionEndEvent, CollectionStartEvent, MappingStartEvent, NodeEvent, ScalarEvent
from yaml.nodes import Node, ScalarNode

from parler_assets.intake.names import shown, text_problem
from parler_assets.intake.refusal import Refusal

DEPTH = 32
NODES = 100_000  # values and keys, those counted again that an alias repeats
DIGITS = 40
_FAST = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def yaml_value(text: str, origin: Path | str) -> Any:
    """What a YAML document means: texts, numbers, booleans, dates, lists and mappings, nothing else.

    Raises:
        Refusal: no YAML, or beyond a limit.
    """
    try:
        _examine(text, origin)
        return yaml.load(text, _Loader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        said = ", ".join(part for part in (error.context, error.problem) if part)
        raise Refusal(f"not valid YAML: {said}", origin, mark.line + 1 if mark else None) from None
    except (yaml.YAMLError, UnicodeEncodeError) as error:
        place = getattr(error, "position", None)
        line = text.count("\n", 0, place) + 1 if isinstance(place, int) else None
        raise Refusal(f"not valid YAML: {getattr(error, 'reason', error)}", origin, line) from None


@dataclass
class _Open:
    """A list or mapping that is not closed yet."""

    anchor: str | None
    before: int
    keys: set[str] | None
    at_key: bool = True


def _examine(text: str, origin: Path | str) -> None:
    """Count while the text is parsed, before anything is made of it."""
    counted = _Count()
    for event in yaml.parse(text, Loader=_FAST):
        try:
            counted.add(event)
        except Refusal as error:
            mark = event.start_mark
            raise Refusal(error.problem, origin, mark.line + 1 if mark else None) from None


class _Count:
    """Values so far, those under each anchor, and the collections that are open."""

    def __init__(self) -> None:
        self.nodes, self.sizes, self.open = 0, dict[str, int](), list[_Open]()

    def add(self, event: yaml.Event) -> None:
        if isinstance(event, CollectionEndEvent):
            closed = self.open.pop()
            if closed.anchor:
                self.sizes[closed.anchor] = self.nodes - closed.before
        elif isinstance(event, NodeEvent):
            self._place(event.value if isinstance(event, ScalarEvent) else None)
            self.nodes += self._repeated(event.anchor) if isinstance(event, AliasEvent) else 1
            if self.nodes > NODES:
                raise Refusal(f"more than {NODES:,} values, those repeated by aliases counted again")
            if isinstance(event, ScalarEvent) and event.anchor:
                self.sizes[event.anchor] = 1
            elif isinstance(event, CollectionStartEvent):
                self._enter(event)

    def _place(self, name: str | None) -> None:
        """Note the next value of the collection that is open: in a mapping, every other one is a key."""
        here = self.open[-1] if self.open else None
        if here is None or here.keys is None:
            return
        if here.at_key and name is not None and name != "<<":
            if name in here.keys:
                raise Refusal(f"key {shown(name)[:40]!r} a second time: remove one of the two")
            here.keys.add(name)
        here.at_key = not here.at_key

    def _repeated(self, anchor: str | None) -> int:
        if anchor is None or anchor not in self.sizes:
            raise Refusal(f"alias *{anchor} to nothing before it, or to itself")
        return self.sizes[anchor]

    def _enter(self, event: CollectionStartEvent) -> None:
        self.sizes.pop(event.anchor or "", None)
        keys = set[str]() if isinstance(event, MappingStartEvent) else None
        self.open.append(_Open(event.anchor, self.nodes - 1, keys))
        if len(self.open) > DEPTH:
            raise Refusal(f"nested more than {DEPTH} deep")


class _Loader(_FAST):  # type: ignore[misc, valid-type]
    def construct_object(self, node: Node, deep: bool = False) -> Any:
        """Any other failure than YAML's own is a value that its tag does not fit, such as `!!bool perhaps`."""
        try:
            return super().construct_object(node, deep)
        except (ValueError, KeyError, IndexError, AttributeError, TypeError, OverflowError) as error:
            raise _problem(node, f"a value that cannot be read as {node.tag.rpartition(':')[2]} ({error})") from None


def _problem(node: Node, text: str) -> yaml.constructor.ConstructorError:
    return yaml.constructor.ConstructorError(None, None, text, node.start_mark)


def _text(loader: Any, node: ScalarNode) -> str:
    value = str(loader.construct_scalar(node))
    if problem := text_problem(value):
        raise _problem(node, f"a text that {problem}")
    return value


def _number(loader: Any, node: ScalarNode) -> int | float:
    if len(node.value) > DIGITS:
        raise _problem(node, f"a number of more than {DIGITS} digits: put it in quotation marks if it is a name")
    integer = node.tag.endswith(":int")
    return loader.construct_yaml_int(node) if integer else loader.construct_yaml_float(node)


_TAG = "tag:yaml.org,2002:"
_Loader.yaml_constructors = {}  # tags make nothing else than this: neither objects nor sets nor binary data
for _kind, _maker in {
    "str": _text,
    "int": _number,
    "float": _number,
    "map": _FAST.construct_yaml_map,
    "seq": _FAST.construct_yaml_seq,
    "null": _FAST.construct_yaml_null,
    "bool": _FAST.construct_yaml_bool,
    "timestamp": _FAST.construct_yaml_timestamp,
}.items():
    _Loader.add_constructor(_TAG + _kind, _maker)
_Loader.add_constructor(None, _FAST.construct_undefined)
