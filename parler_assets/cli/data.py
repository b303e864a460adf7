"""Commands for a folder of recordings: draft a recipe for it, or only measure it, without Dagster or training."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from parler_assets.cli.options import DeviceOption, fail, held, typed

if TYPE_CHECKING:
    from parler_assets.recipe import Annotation, Binning
    from parler_assets.speech.sources.draft import Found

app = typer.Typer(add_completion=False)


@app.command()
def init(
    folder: Annotated[
        str, typer.Argument(help="recordings with texts, or hf://owner/name[@revision][:config][/split]")
    ],
    name: Annotated[str | None, typer.Option(help="of the recipe and its corpus; default: the folder's")] = None,
    speaker: Annotated[str | None, typer.Option(help="who speaks, where no column and no folder says it")] = None,
    gender: Annotated[str | None, typer.Option(help="male or female: pitch is described relative to it")] = None,
    language: Annotated[
        str | None, typer.Option(help="of the texts: en, de, pt-BR; default: en, or the card's")
    ] = None,
    base: Annotated[
        str | None, typer.Option(help="checkpoint to start from: folder or Hub repository; default: the small one here")
    ] = None,
    table: Annotated[Path | None, typer.Option(help="of the texts; default: metadata.csv, .tsv or .jsonl")] = None,
    column: Annotated[
        list[str] | None, typer.Option(help="text=NAME or text=3, where the table's columns are not told rightly")
    ] = None,
    pattern: Annotated[
        str | None, typer.Option(help="what names and folders say: {speaker}/{style}/{id}, ravdess, vctk, esd, ...")
    ] = None,
) -> None:
    """Draft a recipe for your own recordings, or for a data set on the Hub."""
    from parler_assets.hub.errors import SourceError
    from parler_assets.recipe import RecipeError, load_recipe
    from parler_assets.recipe.spellings import gender_of
    from parler_assets.speech.sources.draft import OwnDataError, draft_recipe

    chosen = _recipe_name(name or _last_part(folder))
    if gender and not gender_of(gender):
        fail(f"--gender {gender!r}: say male or female")
    file = Path(f"{chosen}.yaml")
    if file.exists():
        fail(f"{file} exists already: remove it, or choose another --name")
    try:
        found = _found(folder, table, _columns_of(column or []), pattern, bool(speaker))
        draft = draft_recipe(found, folder, chosen, speaker, gender_of(gender), language, base)
    except (OwnDataError, SourceError) as error:
        fail(str(error))
    _refuse_unknown_letters(draft.texts, base)
    file.write_text(draft.text, encoding="utf-8")
    try:
        load_recipe(file)
    except RecipeError as error:
        file.unlink()
        fail(f"no recipe can be drafted from this folder; another --name may help. {error}")
    minutes = "" if draft.minutes is None else f", {draft.minutes} minutes"
    typer.echo(f"{file}: {draft.clips} clips{minutes}, speakers {', '.join(draft.speakers)}")
    for remark in draft.remarks:
        typer.echo(f"  {remark}")
    typer.echo(f"Look it over, then: {typed(f'run --recipe {file}')}")


def _last_part(given: str) -> str:
    """What a folder or a data set on the Hub is called."""
    if not given.startswith("hf://"):
        return Path(given).resolve().name
    from parler_assets.hub.errors import SourceError
    from parler_assets.speech.sources.hub_draft import address_of

    try:
        return address_of(given).repo.partition("/")[2]
    except SourceError as error:
        fail(str(error))


def _found(given: str, table: Path | None, columns: dict[str, str], pattern: str | None, speaker: bool) -> Found:
    from pydantic import ValidationError

    from parler_assets.recipe import Columns, FolderSource
    from parler_assets.speech.sources.draft import in_folder
    from parler_assets.speech.sources.hub_draft import on_hub

    if given.startswith("hf://"):
        if table or pattern:
            fail("--table and --pattern are for folders; a data set on the Hub has columns: --column text=NAME")
        return on_hub(given, columns)
    folder = Path(given)
    named = {"columns": Columns(**columns)} if columns else {}
    try:
        source = FolderSource(kind="folder", path=folder, metadata=table, pattern=pattern, **named)
    except ValidationError as error:
        fail("; ".join(f"--{e['msg'].removeprefix('Value error, ')}" for e in error.errors()))
    return in_folder(folder, Path.cwd(), source, speaker)


def _refuse_unknown_letters(texts: Sequence[str], base: str | None) -> None:
    """A base whose tokenizer does not know the script learns one unknown letter; one on the Hub is looked at later."""
    from parler_assets.sample import base_path
    from parler_assets.tts.base import BaseError
    from parler_assets.tts.data.coverage import MULTILINGUAL, letters_of
    from parler_assets.tts.model.tokenizers import TokenizerError

    folder = Path(base) if base else base_path()
    try:
        unfit = letters_of(folder).unfit(texts) if folder.is_dir() else None
    except (BaseError, TokenizerError, OSError, ValueError) as error:
        fail(f"--base: {error}")
    if unfit:
        what = base or "the small checkpoint that is shipped"
        fail(f"{what} has no token for {unfit!r}: name a base that knows these texts, such as --base {MULTILINGUAL}")


def _recipe_name(given: str) -> str:
    """A name that a recipe, a group of assets and a file can have, whatever the folder is called."""
    from parler_assets.recipe.layout import TAKEN
    from parler_assets.recipe.loading import SHIPPED

    plain = unicodedata.normalize("NFKD", given).encode("ascii", "ignore").decode().lower()
    found = re.sub(r"[^a-z0-9]+", "_", plain).strip("_") or "own"
    usable = found[0].isalpha() and found not in (*TAKEN, *SHIPPED, "own") and found.isidentifier()
    return found if usable or found == "own" else f"corpus_{found}"


def _columns_of(given: list[str]) -> dict[str, str]:
    """`text=2` as our name of a column and the table's."""
    from parler_assets.recipe import Columns

    found = {}
    for pair in given:
        ours, _, theirs = pair.partition("=")
        if ours not in Columns.model_fields or not theirs:
            fail(f"--column {pair!r}: say {', '.join(Columns.model_fields)}, = and the table's name or number of it")
        found[ours] = theirs
    return found


@app.command()
def annotate(
    folder: Annotated[Path, typer.Argument(help="recordings, with or without a table of texts")],
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="where results go; default: annotation/FOLDER here")
    ] = None,
    edges: Annotated[
        str, typer.Option(help="of the bins: estimated (from these clips), v01, v01_2024_04, v02, or a JSON of edges")
    ] = "estimated",
    labels: Annotated[str | None, typer.Option(help="v01, v02 or a JSON; default: those of the edges")] = None,
    era: Annotated[str | None, typer.Option(help="a or b; default: b for edges v02, else a")] = None,
    pitch: Annotated[str, typer.Option(help="praat, penn, penn_viterbi or penn_fast")] = "praat",
    room: Annotated[str, typer.Option(help="of SNR and C50: classical, brouhaha or brouhaha_fast")] = "classical",
    quality: Annotated[str, typer.Option(help="STOI, PESQ, SI-SDR: none or squim")] = "none",
    phonemes: Annotated[str, typer.Option(help="behaviour of g2p: before_2_2 or since_2_2")] = "before_2_2",
    language: Annotated[str, typer.Option(help="of the texts: en, de, pt-BR")] = "en",
    device: DeviceOption = "auto",
    rebuild: Annotated[bool, typer.Option(help="measure again what is already there")] = False,
) -> None:
    """Measure and label every recording in a folder: tags, bins, plots and a report. A second call resumes."""
    from pydantic import ValidationError

    from parler_assets.recipe import Annotation, Binning

    chosen = {"era": era or ("b" if edges == "v02" else "a"), "pitch": pitch, "room": room, "quality": quality}
    try:
        annotation = Annotation.model_validate(chosen | {"phonemes": phonemes, "language": language})
        binning = Binning(edges=edges, labels=labels)
    except ValidationError as error:
        problems = "; ".join(f"--{'.'.join(map(str, e['loc'])) or 'edges'}: {e['msg']}" for e in error.errors())
        fail(problems.replace("Value error, ", ""))
    measure(folder, output or Path("annotation") / folder.resolve().name, annotation, binning, device, rebuild)


def measure(folder: Path, output: Path, annotation: Annotation, binning: Binning, device: str, rebuild: bool) -> None:
    """Annotate the folder and say where results are."""
    from parler_assets.hub.errors import AnnotatorError, SourceError
    from parler_assets.speech.annotate_folder import annotate_folder
    from parler_assets.speech.binning.edges import BinError
    from parler_assets.storage import ShardError

    if output.resolve() == folder.resolve():
        fail(f"{output}: is the folder of recordings itself; choose another --output")
    try:
        with held(device) as where:
            done = annotate_folder(folder, output, annotation, binning, where, rebuild)
    except (AnnotatorError, SourceError, BinError, ShardError) as error:
        fail(str(error))
    typer.echo(f"{done.clips} clips measured, {len(done.set_aside)} set aside")
    for name, path in (("Report", done.report), ("Tags", done.tags), ("Bins", done.bins), ("Edges", done.edges)):
        typer.echo(f"{name + ':':<8} {path}")
