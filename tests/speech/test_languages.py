"""Corpora in other languages: phonemes, rates, letters of the base, and texts that are not of their language."""

from __future__ import annotations

import pytest
import soundfile
from typer.testing import CliRunner

from parler_assets import storage
from parler_assets.cli import doctor
from parler_assets.cli.app import app
from parler_assets.hub.errors import AnnotatorError
from parler_assets.recipe import Annotation, Base, Corpus, FolderSource, Recipe, load_recipe
from parler_assets.sample import base_path
from parler_assets.speech import audits
from parler_assets.speech.annotation import espeak
from parler_assets.speech.annotation.stage import annotate
from parler_assets.speech.audio import Clip
from parler_assets.speech.text.languages import language_doubt
from parler_assets.tts.data.coverage import letters_of
from parler_assets.tts.scoring.words import errors_of, words_of
from tests.support.evaluation_samples import buzz

SENTENCES = {
    "en": "It was the best of times, and they said that there was nothing to do but to wait for him on the old road.",
    "de": "Das ist nicht der Weg, den wir gehen, aber es ist auch eine schöne Straße, und ich habe Zeit für dich.",
    "fr": "Il est dans la maison avec les enfants, et elle ne sait pas que nous sommes au jardin pour une heure.",
    "es": "La casa de los niños es muy grande, pero no está en el centro de la ciudad y se ve desde lejos.",
    "it": "Non è la prima volta che il treno arriva in ritardo, ma questo ha un motivo che non si dice alla gente.",
    "pt": "O menino não foi para a escola porque a chuva era muito forte, mas ele ficou em casa com os seus livros.",
    "nl": "Het is niet ver van hier, maar je moet met de trein gaan en dan nog een kwartier naar het oude huis lopen.",
    "pl": "Nie było go w domu, ale jest już na dworcu i to się nie zmieni, bo tak było też za jego ojca.",
    "sv": "Det är inte så långt till staden, men vi har en bil och kan åka med dig om du vill ha sällskap i dag.",
    "da": "Det er ikke langt til byen, og vi har en bil, som du kan få, men jeg skal have den igen i aften.",
    "ru": "Это не первая встреча, но мы уже давно знаем друг друга и хорошо понимаем.",
    "el": "Δεν είναι η πρώτη φορά που έρχεται εδώ και όλοι τον γνωρίζουν καλά.",
    "ja": "これはペンです。きょうはいい天気ですね。あしたもきっと晴れるでしょう。またこんど会いましょうね。",
    "hi": "यह मेरी किताब है और वह उसका घर है जहाँ हम सब मिलते थे और बातें करते थे।",
}


@pytest.mark.parametrize("language", SENTENCES)
def test_texts_of_their_language_raise_no_doubt(language):
    assert language_doubt([SENTENCES[language]] * 4, language) is None


@pytest.mark.parametrize(
    ("language", "texts", "seems"),
    [
        (said, text, text)
        for said in ("en", "de", "fr", "ru")
        for text in ("en", "de", "fr", "es", "ru", "ja")
        if said != text
    ],
)
def test_texts_of_another_language_are_doubted(language, texts, seems):
    doubt = language_doubt([SENTENCES[texts]] * 4, language)
    assert doubt is not None
    if {language, texts} <= {"en", "de", "fr", "es"}:
        assert f"look like {seems}" in doubt


@pytest.mark.parametrize("texts", [["Hello."], ["One two three four five."] * 3, ["xyzzy plugh"] * 60, []])
def test_what_cannot_be_told_is_not_judged(texts):
    assert language_doubt(texts, "en") is None
    assert language_doubt(texts, "sw") is None


@pytest.mark.parametrize(
    ("language", "text", "spoken"),
    [
        ("de", "Guten Morgen!", "ɡutən mɔɾɡən"),
        ("fr", "Bonjour", "bɔʒuʁ"),
        ("pt-BR", "Olá mundo", "ola muŋdʊ"),
        ("ru", "Привет, мир", "privet mir"),
        ("no", "hei", "haɪ"),
        ("zh", "你好", "niχɑu"),
    ],
)
def test_phonemes_come_from_the_voices_of_the_language(language, text, spoken):
    found = espeak.phonemes(text, language)
    assert found.isprintable()
    assert [len(word) for word in found.split()] == pytest.approx([len(word) for word in spoken.split()], abs=2)
    assert not set("ˈˌː0123456789") & set(found)


def test_a_language_without_a_voice_is_refused():
    with pytest.raises(AnnotatorError, match="espeak-ng has no voice"):
        espeak.check_language("xx")


def test_the_same_pace_has_the_same_rate_in_every_language():
    """German sentences had rates from very slowly to very fast by an English lexicon."""
    texts = ["Guten Morgen, wie geht es dir?", "Das Wetter ist heute schön.", "Ich gehe nach Hause.", "Übermorgen"]
    clips = [Clip(buzz(120, len(text) / 15), 16000) for text in texts]
    rates = [row["speaking_rate_a"] for row in annotate(clips, texts, Annotation(language="de")).to_pylist()]
    assert all(rates)
    assert max(rates) < 1.5 * min(rates)
    english = [row["speaking_rate_a"] for row in annotate(clips, texts, Annotation()).to_pylist()]
    assert english[-1] is None, "no English word: that is why it is measured in its own language"


def recipe(language: str | None, **corpus) -> Recipe:
    content = load_recipe("sample").model_dump(mode="json", exclude_defaults=True)
    source = {"kind": "folder", "path": "recordings"}
    spoken = {"language": language} if language else {}
    content["corpora"] = {"own": {"source": source, **spoken, **corpus}}
    return Recipe.model_validate(content)


def test_what_is_measured_and_evaluated_is_in_the_language_of_the_corpora():
    german, english = recipe("de"), recipe(None)
    assert (german.annotation.language, german.evaluation.language) == ("de", "de")
    assert (english.annotation.language, english.evaluation.language) == ("en", "en")
    assert "language" not in english.annotation.model_dump(), "English digests are what they were"
    assert Recipe.model_validate(german.model_dump(mode="json")) == german
    content = german.model_dump(mode="json")
    content["corpora"]["other"] = content["corpora"]["own"] | {"language": "fr"}
    with pytest.raises(ValueError, match="speak one language"):
        Recipe.model_validate(content)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("It's Ann's, isn't it?", ["it's", "ann's", "isn't", "it"]),
        ("Über die Straße", ["über", "die", "straße"]),
        ("Привет, мир!", ["привет", "мир"]),
        ("你好 世界", ["你", "好", "世", "界"]),
        ("यह मेरी", ["यह", "मेरी"]),
        ("l’été 2024", ["l'été"]),
    ],
)
def test_words_of_any_script_are_compared(text, words):
    assert words_of(text) == words
    assert errors_of(text, text)["word_errors"] == 0
    assert errors_of(text, "")["deleted"] == len(words)


@pytest.mark.parametrize(
    ("text", "unknown"),
    [
        ("Hello, Ann!", ""),
        ("Grüße", "üß"),
        ("Привет", "Привет"),
        ("“Hi” — ok…", ""),
        ("你好你", "你好"),
        ("naïve", "ï"),
    ],
)
def test_letters_that_the_base_does_not_know_are_named(text, unknown):
    assert letters_of(base_path()).unknown(text) == unknown


def folder_of(place, text: str):
    folder = place / "own"
    folder.mkdir()
    rows = [f"{number}.wav,{text}" for number in range(4)]
    (folder / "metadata.csv").write_text("\n".join(["file_name,text", *rows]), encoding="utf-8")
    for number in range(4):
        soundfile.write(folder / f"{number}.wav", buzz(120, 1.0), 16000)
    return folder


@pytest.mark.parametrize(("language", "text"), [("de", "Schöne Grüße"), ("ru", "Привет мир"), ("zh", "你好世界")])
def test_init_names_a_base_that_knows_the_script(tmp_path, monkeypatch, language, text):
    folder = folder_of(tmp_path, text)
    monkeypatch.chdir(tmp_path)
    told = ["init", str(folder), "--speaker", "Ann", "--language", language]
    refused = CliRunner().invoke(app, told)
    assert refused.exit_code == 1
    assert "parler-tts-mini-multilingual" in refused.output
    assert not (tmp_path / "own.yaml").exists(), "nothing is written that does not work"
    drafted = CliRunner().invoke(app, [*told, "--base", "parler-tts/parler-tts-mini-multilingual-v1.1"])
    assert drafted.exit_code == 0, drafted.output
    loaded = load_recipe(tmp_path / "own.yaml")
    assert loaded.corpora["own"].language == language
    assert doctor.languages(loaded).remedy == "", "a base on the Hub is looked at when it is there"
    assert "multilingual" in doctor.languages(loaded.model_copy(update={"base": Base()})).remedy


def test_doctor_names_a_language_without_a_voice(tmp_path):
    assert "no voice" in doctor.languages(recipe("xx")).remedy


def test_the_check_warns_of_another_language_and_of_numbers_without_words(tmp_path):
    from tests.speech.test_clips import clip, store

    clips = [clip(str(number), text=SENTENCES["de"] + " 12") for number in range(3)]
    found = audits.in_language(store(tmp_path, clips).folder, "en")
    assert len(found) == 1
    assert "look like de" in found[0]
    (tmp_path / "sw").mkdir()
    other = store(tmp_path / "sw", [clip("a", text="watu 12")], language="sw")
    (problem,) = audits.in_language(other.folder, "sw")
    assert "no words in sw" in problem
    assert storage.read(other.folder)["text"].to_pylist() == ["watu 12"]
    assert Corpus(source=FolderSource(kind="folder", path=tmp_path)).language == "en"
