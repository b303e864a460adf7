"""A user's own prompt: a Jinja file that says everything a model is asked, with places for the attributes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import cast

import jinja2
from jinja2 import meta, nodes
from jinja2.sandbox import SandboxedEnvironment

from parler_assets.intake import Refusal
from parler_assets.intake.files import read_text
from parler_assets.speech.descriptions.errors import DescriptionError
from parler_assets.speech.descriptions.situations import OWN, SITUATIONS, Kind, Situation

LONGEST = 1 << 16  # bytes of a template
# What a template consists of. Loops, macros, calls, variables and products can make any work of a short file.
_NODES = (
    nodes.Template, nodes.Output, nodes.TemplateData, nodes.Name, nodes.Const, nodes.If, nodes.CondExpr, nodes.Compare,
    nodes.Operand, nodes.And, nodes.Or, nodes.Not, nodes.Filter, nodes.Test, nodes.Concat, nodes.Add, nodes.Getattr,
    nodes.Getitem, nodes.List, nodes.Tuple, nodes.Keyword,
)  # fmt: skip
_FILTERS = {"capitalize", "d", "default", "first", "last", "length", "lower", "title", "trim", "upper"}


def environment() -> SandboxedEnvironment:
    """Templates can neither reach Python's insides nor pass over a name that is not given."""
    return SandboxedEnvironment(trim_blocks=True, lstrip_blocks=True, undefined=jinja2.StrictUndefined)


@dataclass(frozen=True)
class OwnTemplate:
    """A user's template file. `states` are the attributes it uses, `needed` those it does not test with `if`."""

    text: str
    states: tuple[str, ...]
    needed: tuple[str, ...]

    @property
    def situation(self) -> Situation:
        return Situation(self.states, self.needed)

    def fill(self, attributes: Mapping[str, str], kind: Kind) -> str:
        values = {name: attributes.get(name) for name in OWN.states}
        return environment().from_string(self.text).render(**values, kind=kind).strip()


def own_template(path: str) -> OwnTemplate:
    """A Jinja template of the whole prompt, such as `... {{ name }} ... {% if accent %}{{ accent }}{% endif %}`.

    Raises:
        DescriptionError: no such file, not a template, or it uses something that is no attribute.
    """
    file = Path(path).expanduser()
    try:
        text = read_text(file, LONGEST)
    except (OSError, Refusal) as error:
        raise DescriptionError(
            f"describing.prompt {path!r} is neither one of {', '.join(SITUATIONS)} nor a readable template: {error}"
        ) from None
    return _parsed(text, path)


def first_situation(prompt: str) -> Situation:
    """The situation that a recipe's prompt begins with; a prompt that is no known name is a user's template file."""
    return SITUATIONS[prompt] if prompt in SITUATIONS else own_template(prompt).situation


@lru_cache(maxsize=16)
def _parsed(text: str, path: str) -> OwnTemplate:
    try:
        tree = environment().parse(text)
    except jinja2.TemplateSyntaxError as error:
        raise DescriptionError(f"{path}, line {error.lineno}: not a template: {error.message}") from None
    except RecursionError:
        raise DescriptionError(f"{path}: not a template: nested too deep") from None
    if strange := _beyond(tree):
        raise DescriptionError(
            f"{path}, line {strange[1]}: a prompt does without {strange[0]}: it consists of text, places, `if` and the "
            f"filters {', '.join(sorted(_FILTERS))}"
        )
    used = meta.find_undeclared_variables(tree) - {"kind"}
    unknown = sorted(used - set(OWN.states))
    if unknown or not used:
        problem = f"uses {unknown[0]!r}" if unknown else "uses no attribute, so that all clips would be described alike"
        raise DescriptionError(
            f"{path}: {problem}; a template may use {', '.join(OWN.states)}, such as {{{{ style }}}}"
        )
    states = tuple(name for name in OWN.states if name in used)
    return OwnTemplate(text, states, tuple(name for name in states if name not in _tested(tree)))


def _beyond(tree: nodes.Template) -> tuple[str, int] | None:
    """What a template does that a prompt does not need, and on which line."""
    waiting: list[nodes.Node] = [tree]
    while waiting:
        node = waiting.pop()
        if not isinstance(node, _NODES):
            return f"`{type(node).__name__.lower()}`", node.lineno
        if isinstance(node, nodes.Filter) and node.name not in _FILTERS:
            return f"the filter `{node.name[:40]}`", node.lineno
        waiting += node.iter_child_nodes()
    return None


def _tested(tree: nodes.Template) -> set[str]:
    """Names that an `if` asks for: the template can do without them."""
    tests: list[nodes.Expr] = [branch.test for branch in tree.find_all(nodes.CondExpr)]
    tests += [cast(nodes.Expr, branch.test) for branch in tree.find_all(nodes.If)]
    names = [name for test in tests for name in ([test] if isinstance(test, nodes.Name) else test.find_all(nodes.Name))]
    return {name.name for name in names}
