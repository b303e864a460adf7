"""How far long work is: `follow` and `Task` say it; a display shows it, here or in the process that started this."""

from parler_assets.progress.tasks import Task, follow

__all__ = ["Task", "follow"]
