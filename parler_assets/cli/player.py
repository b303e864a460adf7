"""Playing a sound on this machine, by whatever program there is for it."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

PLAYERS = {  # program to its options before the file
    "pw-play": [],
    "paplay": [],
    "ffplay": ["-nodisp", "-autoexit", "-loglevel", "error"],
    "mpv": ["--no-video", "--really-quiet"],
    "afplay": [],
    "play": ["-q"],
    "aplay": ["-q"],
}
WAV_ALONE = ("aplay",)


class PlayerError(RuntimeError):
    """The sound could not be played; the message says what to do."""


def player_for(file: Path) -> list[str]:
    """A command that plays `file`.

    Raises:
        PlayerError: this machine has none.
    """
    for name, options in PLAYERS.items():
        program = shutil.which(name)
        if program and not (name in WAV_ALONE and file.suffix.lower() != ".wav"):
            return [program, *options, str(file.absolute())]
    raise PlayerError(f"no program plays {file.suffix} here: install one of {', '.join(PLAYERS)}, or leave out --play")


def play(command: list[str]) -> None:
    """Play to the end.

    Raises:
        PlayerError: the program failed, for example for want of a sound card.
    """
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace")
    if done.returncode:
        said = (done.stderr.strip() or f"it ended with code {done.returncode}").splitlines()[-1]
        raise PlayerError(f"{command[-1]} is written, but {command[0]} could not play it: {said}")
