"""Commands that speak with a finished checkpoint: say, serve."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from parler_assets.cli.options import (
    CheckpointOption,
    DeviceOption,
    PrecisionOption,
    RecipeOption,
    checkpoint_folder,
    choose,
    fail,
    finetuned,
    free_port,
    held,
    project_in,
)
from parler_assets.cli.player import PlayerError, player_for
from parler_assets.cli.player import play as play_file

if TYPE_CHECKING:
    from parler_assets.resources.workspace import Workspace
    from parler_assets.tts.serving.kept_voices import KeptVoice
    from parler_assets.tts.serving.plan import SpeechResult
    from parler_assets.tts.serving.synthesizer import Synthesizer
    from parler_assets.tts.serving.voices import Voices

app = typer.Typer(add_completion=False)
LexiconOption = Annotated[
    Path | None, typer.Option(help="a YAML file of `word: spelling`, beside the recipe's serving.lexicon")
]
SUFFIXES = {".wav": "WAV", ".flac": "FLAC", ".mp3": "MP3", ".ogg": "OGG"}


@app.command()
def say(
    text: Annotated[str, typer.Argument(help="what to say; - reads standard input")],
    voice: Annotated[
        str | None, typer.Option("--voice", "-v", help="a speaker or a kept voice; default: the recipe's first")
    ] = None,
    style: Annotated[str | None, typer.Option("--style", "-s", help="default: `default`")] = None,
    rate: Annotated[str, typer.Option(help="such as 'quite fast'")] = "moderate speed",
    tone: Annotated[str | None, typer.Option(help="a sentence added to the description of voice and style")] = None,
    description: Annotated[str | None, typer.Option(help="a whole description, instead of voice and style")] = None,
    output: Annotated[Path, typer.Option("--output", "-o", help="wav, flac, mp3 or ogg")] = Path("speech.wav"),
    seed: Annotated[int | None, typer.Option(min=0, help="another seed, another take")] = None,
    lexicon: LexiconOption = None,
    like: Annotated[Path | None, typer.Option(help="a recording to continue from, with --like-text")] = None,
    like_text: Annotated[str | None, typer.Option(help="all that is said in the recording")] = None,
    keep: Annotated[str | None, typer.Option(help="keep this voice under a name, for --voice and serve")] = None,
    play: Annotated[bool, typer.Option("--play", help="play it, too, by a program of this machine")] = False,
    recipe: RecipeOption = None,
    checkpoint: CheckpointOption = None,
    device: DeviceOption = "auto",
    precision: PrecisionOption = None,
) -> None:
    """Say a text with the fine-tuned checkpoint."""
    kind, player = format_of(output), found_player(output) if play else None
    reference = _reference(like, like_text)
    from parler_assets.tts.serving.kept_voices import KeptVoiceError
    from parler_assets.tts.serving.plan import Request
    from parler_assets.tts.serving.text import SayError

    said = sys.stdin.read() if text == "-" else text
    with loaded(recipe, checkpoint, device, precision, lexicon) as speaking:
        try:
            found = speaking.voices.find(voice)
            kept = speaking.from_recording(*reference) if reference else found.like
            plain = style or speaking.synthesizer.plain
            asked = Request(said, found.speaker, plain, rate, description, tone, seed, kept)
            if keep:
                speaking.check_name(keep)
            spoken = speaking.synthesizer.speak(asked)
            where = speaking.keep(keep, spoken, kept, found.speaker) if keep else None
        except (SayError, KeptVoiceError) as error:
            fail(str(error))
    from parler_assets.speech.audio import encode

    output.write_bytes(encode(spoken.samples, spoken.rate, kind))
    typer.echo(f"{output}: {spoken.duration:.1f} s in {spoken.seconds:.1f} s, {spoken.description!r}")
    if where:
        typer.echo(f"{where}: kept as the voice {keep}")
    for remark in [*([found.remark] if found.remark else []), *spoken.remarks]:
        typer.echo(f"  {remark}", err=True)
    if player:
        _play(player)


def kept_in(workspace: Workspace) -> Path:
    """The folder of kept voices. Those kept when it was called `voices`, as a corpus may be now, move there."""
    folder = workspace.shared("kept_voices")
    for file in (workspace.root / "voices").glob("*.safetensors"):
        folder.mkdir(parents=True, exist_ok=True)
        if not (folder / file.name).exists():
            file.replace(folder / file.name)
    return folder


def _play(player: list[str]) -> None:
    try:
        play_file(player)
    except PlayerError as error:
        fail(str(error))


def _reference(like: Path | None, text: str | None) -> tuple[bytes, str] | None:
    """A recording to continue from and its words, read before anything is loaded."""
    if like is None and text is None:
        return None
    if like is None or text is None:
        fail("--like and --like-text belong together: a recording, and all that is said in it")
    from parler_assets.intake import Refusal
    from parler_assets.intake.files import SOUND, read_bytes
    from parler_assets.tts.serving.kept_voices import WARNING

    typer.echo(WARNING, err=True)
    try:
        return read_bytes(like, SOUND), text
    except FileNotFoundError:
        fail(f"{like}: there is no such file")
    except Refusal as error:
        fail(str(error))


@app.command()
def serve(
    recipe: RecipeOption = None,
    checkpoint: CheckpointOption = None,
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 takes a free one")] = 8000,
    host: Annotated[
        str, typer.Option(help="whom to answer; other than 127.0.0.1 opens it to the network, with PARLER_API_KEY")
    ] = "127.0.0.1",
    allow_host: Annotated[list[str] | None, typer.Option(help="another name the server is reached by")] = None,
    allow_origin: Annotated[
        list[str] | None, typer.Option(help="a site whose pages may ask, such as https://studio.example")
    ] = None,
    allow_like: Annotated[bool, typer.Option(help="let requests bring a recording to continue from")] = False,
    strict: Annotated[bool, typer.Option(help="refuse fields that are not known, instead of naming them")] = False,
    most_characters: Annotated[int, typer.Option(min=1, max=200_000, help="of one request's text")] = 20_000,
    most_requests: Annotated[int, typer.Option(min=1, help="answered at once; more get 429 and Retry-After")] = 64,
    most_waiting: Annotated[int, typer.Option(min=1, help="parts of texts that may wait")] = 512,
    lexicon: LexiconOption = None,
    device: DeviceOption = "auto",
    precision: PrecisionOption = None,
) -> None:
    """Answer OpenAI's speech requests: /v1/audio/speech, /v1/audio/voices, /v1/models, /health, /ready, /metrics."""
    from parler_assets.web.access import KEY_VARIABLE, KeyRefused, checked_key
    from parler_assets.web.guard import LOOPBACK, PolicyError, policy_for

    try:
        policy = policy_for(allow_host or [], allow_origin or [], bound=host, body_bytes=2 << 20)
        key = checked_key(os.environ.get(KEY_VARIABLE), host not in LOOPBACK | {"::1"})
    except (PolicyError, KeyRefused) as error:
        fail(str(error))
    free_port(port, "serve")
    with loaded(recipe, checkpoint, device, precision, lexicon, most_characters) as speaking:
        from parler_assets.tts.serving.app import Serving
        from parler_assets.tts.serving.app import serve as answer

        serving = Serving(
            policy=policy, key=key, strict=strict, requests=most_requests, chunks=most_waiting,
            table=speaking.table, kept=speaking.folder, like=allow_like,
        )  # fmt: skip
        typer.echo(_example(host, port, bool(key)))
        answer(speaking.synthesizer, host, port, serving)


def _example(host: str, port: int, key: bool) -> str:
    """Where the server is, and one request to it."""
    where = f"http://{f'[{host}]' if ':' in host else host}:{port}"
    bearer = ' -H "authorization: Bearer $PARLER_API_KEY"' if key else ""
    body = '\'{"input": "Hello there."}\''
    return f"{where}\ncurl {where}/v1/audio/speech -H 'content-type: application/json'{bearer} -d {body} -o hello.mp3"


def found_player(output: Path) -> list[str]:
    """The command that will play the file: looked for before anything is computed."""
    try:
        return player_for(output)
    except PlayerError as error:
        fail(str(error))


def format_of(output: Path) -> str:
    """The audio format that a file's suffix names, and whether it can be written: asked before anything is computed."""
    kind = SUFFIXES.get(output.suffix.lower())
    if kind is None:
        fail(f"{output}: ends in none of {', '.join(SUFFIXES)}: choose the format by its suffix")
    folder = output.parent
    if not folder.is_dir():
        fail(f"{output}: there is no folder {folder}: make it, or choose another")
    if output.is_dir() or not os.access(output if output.exists() else folder, os.W_OK):
        fail(f"{output}: cannot be written: choose another file")
    return kind


@dataclass(frozen=True)
class Speaking:
    """A loaded checkpoint with its voices: speakers, those that were kept, and the names in the recipe's table."""

    synthesizer: Synthesizer
    folder: Path
    table: dict[str, str]

    @property
    def voices(self) -> Voices:
        from parler_assets.tts.serving.kept_voices import KeptVoices
        from parler_assets.tts.serving.voices import Voices

        return Voices(self.synthesizer.voices, self.table, KeptVoices(self.folder, self.synthesizer.voice))

    def from_recording(self, data: bytes, text: str) -> KeptVoice:
        from parler_assets.tts.serving.kept_voices import from_recording
        from parler_assets.tts.serving.synthesizer import LONGEST_REFERENCE

        most = LONGEST_REFERENCE * self.synthesizer.settings.max_seconds
        return from_recording(data, text, self.synthesizer.voice, most)

    def check_name(self, name: str) -> None:
        from parler_assets.tts.serving.kept_voices import check_name

        check_name(name, [*self.synthesizer.voices, *self.table])

    def keep(self, name: str, spoken: SpeechResult, kept: KeptVoice | None, speaker: str) -> Path:
        """What was continued from, else the first part of what was spoken, under a name."""
        from parler_assets.tts.serving.kept_voices import KeptVoice, KeptVoiceError, keep_voice

        own = kept or (KeptVoice(spoken.first, speaker) if spoken.first else None)
        if own is None:
            raise KeptVoiceError("this speech cannot be continued from (cut, silent or too long): try another seed")
        return keep_voice(self.folder, name, own, self.synthesizer.voice, [*self.synthesizer.voices, *self.table])


@contextmanager
def loaded(
    recipe: str | None,
    checkpoint: Path | None,
    device: str,
    precision: str | None = None,
    lexicon: Path | None = None,
    most_characters: int = 20_000,
) -> Iterator[Speaking]:
    """A loaded checkpoint that speaks as the recipe says; the device is held while it is in use."""
    from parler_assets.cli.instance import home_folder

    choose(recipe)
    project = project_in(home_folder())  # nothing is recorded: Dagster's databases are not needed
    settings = project.recipe.evaluation
    if precision:
        settings = settings.model_copy(update={"precision": precision})
    folder = checkpoint_folder(checkpoint) if checkpoint else finetuned(project.workspace)
    from parler_assets.speech.codec.codec import CodecError
    from parler_assets.tts.base import BaseError, validate_base
    from parler_assets.tts.model.loading import CheckpointError
    from parler_assets.tts.model.tokenizers import TokenizerError
    from parler_assets.tts.serving.lexicon import Lexicon, LexiconError, read_lexicon
    from parler_assets.tts.serving.synthesizer import load_synthesizer
    from parler_assets.tts.synthesis.voice import BrokenCheckpoint

    serving = project.recipe.serving
    try:
        words = Lexicon({**serving.lexicon, **(read_lexicon(lexicon) if lexicon else {})})
    except LexiconError as error:
        fail(str(error))
    with held(device) as where:
        try:
            validate_base(folder)
            synthesizer = load_synthesizer(folder, settings, project.recipe.describing, where, words, most_characters)
            yield Speaking(synthesizer, kept_in(project.workspace), dict(serving.voices))
        except (
            BaseError,
            BrokenCheckpoint,
            CheckpointError,
            CodecError,
            TokenizerError,
        ) as error:
            fail(str(error))
