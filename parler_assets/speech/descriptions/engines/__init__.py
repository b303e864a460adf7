"""Engines that answer prompts with text, behind one interface: the recipe's `describing.engine` chooses one."""

from parler_assets.speech.descriptions.engines.choice import commits, model_identity, open_engine, pinned
from parler_assets.speech.descriptions.engines.engine import Engine, Request

__all__ = ["Engine", "Request", "commits", "model_identity", "open_engine", "pinned"]
