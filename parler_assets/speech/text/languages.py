"""Whether texts are of the language that is said of them: by their script, and by the small words of each language.

Function words make up a third to a half of any running text, so that a few dozen sentences are enough to tell. It is
no identification of every language: what it cannot tell it does not judge.
"""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Iterable

LOOKED_AT = 2_000  # texts
LEAST_WORDS = 40  # fewer say nothing about a language
CLEARLY = 2.0  # how many times more words another language must explain
EXPLAINED = 0.12  # share of all words that are function words, below which a language is not recognised
SMALL_WORDS = {
    "en": "the of and to in is was it that he for on with as you at this but his from they she which or we an were "
          "are be have had not by what there their i do your will my has",
    "de": "der die und das nicht ist ich ein zu den mit sie es dem eine auf für im wie aber auch sich von wir er war "
          "des hat noch nach bei einen oder wird dass haben",
    "fr": "le la les de des et un une est que qui dans pour pas sur il elle je vous nous ce au du en avec plus par son "
          "mais se ne sont à cette ont leur",
    "es": "el la los las de y en que un una es por con no para se su al lo como más pero sus del muy este está son ha "
          "cuando también fue yo",
    "it": "il la di che e un una per non sono è con del della le gli lo in si da come ma anche più nel alla dei al ho "
          "questo ha mi",
    "pt": "o a os as de que e um uma é do da em para não com no na por se mais como mas foi ao ele dos das seu sua ou "
          "quando muito está eu",
    "nl": "de het een en van ik te dat die in is niet je op zijn met voor was maar er aan om ook hij zij naar dan nog "
          "wat heeft bij deze wij",
    "pl": "w i na z się nie do to że jest o jak po ale od za przez co dla był tak jego jej był tylko są czy już",
    "sv": "och att det i en jag som är på för med han inte av den till ett om hon så men har de var vi kan sig från",
    "da": "og i at det en er jeg til af på som for med den ikke han de har der et om men var hun vi sig kan fra",
    "cs": "a se na v je že to s z do o ve jsem ale jak za by pro po co tak už jako si byl nebo které",
    "ro": "și în de la cu nu o pe un este ce mai din că să se care pentru sunt dar am au fost",
    "tr": "ve bir bu da de için çok ne daha ile var gibi ben o kadar ama değil olarak sonra her",
    "fi": "ja on ei se että oli hän mutta niin kun ovat myös joka tämä minä mitä kuin sen ole",
    "hu": "a az és hogy nem is egy ez meg de van volt csak mint már el még ki ha azt",
}  # fmt: skip
_WORDS = {code: frozenset(words.split()) for code, words in SMALL_WORDS.items()}
_SCRIPTS = {
    "ru": "CYRILLIC", "uk": "CYRILLIC", "bg": "CYRILLIC", "sr": "CYRILLIC", "el": "GREEK", "ar": "ARABIC",
    "fa": "ARABIC", "ur": "ARABIC", "he": "HEBREW", "hi": "DEVANAGARI", "mr": "DEVANAGARI", "bn": "BENGALI",
    "ta": "TAMIL", "te": "TELUGU", "th": "THAI", "ko": "HANGUL", "zh": "CJK", "ja": "HIRAGANA", "ka": "GEORGIAN",
    "hy": "ARMENIAN",
}  # fmt: skip
_ALSO = {"sr": ("LATIN",), "ja": ("KATAKANA", "CJK"), "ko": ("CJK",)}


def language_doubt(texts: Iterable[str], language: str) -> str | None:
    """Why texts do not look like their language; None where they do, or where it cannot be told."""
    code = language.replace("_", "-").partition("-")[0].lower()
    code = {"nb": "da", "no": "da", "nn": "da"}.get(code, code)
    sample = [text for _, text in zip(range(LOOKED_AT), texts, strict=False)]
    return _other_script(sample, code, language) or _other_words(sample, code, language)


def _other_script(texts: list[str], code: str, language: str) -> str | None:
    scripts = Counter(_script(letter) for letter in "".join(texts)[:50_000] if letter.isalpha())
    wanted = (_SCRIPTS.get(code, "LATIN"), *_ALSO.get(code, ()))
    total, fitting = scripts.total(), sum(scripts[name] for name in wanted)
    if total < LEAST_WORDS or fitting * 2 >= total or (code not in _SCRIPTS and code not in _WORDS):
        return None
    most = scripts.most_common(1)[0][0]
    return f"{1 - fitting / total:.0%} of the letters are not those of {language}, most are {most.title()}"


def _script(letter: str) -> str:
    name = unicodedata.name(letter, "?").split()[0]
    return "CJK" if name.startswith("CJK") else name


def _other_words(texts: list[str], code: str, language: str) -> str | None:
    words = [word.strip(".,;:!?\"'()«»„“”…") for text in texts for word in text.lower().split()]
    words = [word for word in words if word]
    if code not in _WORDS or len(words) < LEAST_WORDS:
        return None
    counts = Counter(words)
    shares = {name: sum(counts[word] for word in known) / len(words) for name, known in _WORDS.items()}
    best = max(shares, key=lambda name: shares[name])
    if best == code or shares[best] < EXPLAINED or shares[best] < CLEARLY * shares[code]:
        return None
    return (
        f"{shares[best]:.0%} of the words are small words of {best}, {shares[code]:.0%} of {language}: the transcripts "
        f"look like {best}"
    )
