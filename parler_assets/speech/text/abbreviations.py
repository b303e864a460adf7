"""Abbreviations that have one reading, in full. What could mean several things stays: a reader of English knows it."""

from __future__ import annotations

import re
from functools import lru_cache

ABBREVIATIONS = {
    "en": {
        "Mr": "Mister", "Mrs": "Missus", "Ms": "Ms", "Dr": "Doctor", "Prof": "Professor", "Gen": "General",
        "Col": "Colonel", "Capt": "Captain", "Lt": "Lieutenant", "Sgt": "Sergeant", "Maj": "Major", "Rev": "Reverend",
        "Hon": "Honorable", "Gov": "Governor", "Sen": "Senator", "Rep": "Representative", "Pres": "President",
        "Jr": "Junior", "Sr": "Senior", "Messrs": "Messrs", "Mt": "Mount", "Ft": "Fort", "Ave": "Avenue",
        "Blvd": "Boulevard", "Rd": "Road", "Hwy": "Highway", "Esq": "Esquire", "Ltd": "Limited", "Co": "Company",
        "Inc": "Incorporated", "Corp": "Corporation", "Dept": "Department", "vs": "versus", "etc": "et cetera",
        "approx": "approximately", "dept": "department", "a.k.a": "also known as",
        "e.g": "for example", "i.e": "that is", "Apr": "April", "Jan": "January", "Feb": "February", "Aug": "August",
        "Sept": "September", "Oct": "October", "Nov": "November", "Dec": "December",
    },
    "de": {
        "z. B": "zum Beispiel", "z.B": "zum Beispiel", "d. h": "das heißt", "d.h": "das heißt", "u. a": "unter anderem",
        "u.a": "unter anderem", "Dr": "Doktor", "Prof": "Professor", "Hr": "Herr", "Fr": "Frau", "Nr": "Nummer",
        "usw": "und so weiter", "bzw": "beziehungsweise", "ca": "circa", "vgl": "vergleiche", "evtl": "eventuell",
        "ggf": "gegebenenfalls", "inkl": "inklusive", "Mio": "Millionen", "Mrd": "Milliarden", "St": "Sankt",
    },
    "fr": {"M": "Monsieur", "Mme": "Madame", "Mlle": "Mademoiselle", "Dr": "Docteur", "etc": "et cetera",
           "p. ex": "par exemple", "c.-à-d": "c'est-à-dire"},
    "es": {"Sr": "Señor", "Sra": "Señora", "Srta": "Señorita", "Dr": "Doctor", "Dra": "Doctora", "etc": "etcétera",
           "Ud": "Usted", "Uds": "Ustedes", "p. ej": "por ejemplo"},
    "it": {"Sig": "Signor", "Sig.ra": "Signora", "Dott": "Dottor", "ecc": "eccetera", "Prof": "Professor"},
    "pt": {"Sr": "Senhor", "Sra": "Senhora", "Dr": "Doutor", "Dra": "Doutora", "etc": "et cetera"},
    "nl": {"dhr": "de heer", "mevr": "mevrouw", "enz": "enzovoort", "bijv": "bijvoorbeeld", "dr": "dokter"},
}  # fmt: skip
_SENTENCE_ENDERS = {"etc", "Jr", "Sr", "Ltd", "Co", "Inc", "Corp", "Esq", "usw", "ecc", "enz", "Ave", "Rd", "Blvd",
                    "Hwy", "Mio", "Mrd"}  # fmt: skip
# Without its point only a title before a name is an abbreviation: "no", "co" and "gen" are words as well.
_BARE = {"en": ("Mr", "Mrs", "Dr", "vs")}
_SAINT = re.compile(r"\bSt\.\s+(?=[A-Z])")
_STREET = re.compile(r"(?<=[A-Za-z]) St\.(?=$|[\s,;!?](?![A-Z]))")
_NUMBER = re.compile(r"\b(No|Nos|no|Vol|vol|Fig|fig|pp|p|ch|Ch)\.\s?(?=\d)")
_HASH = re.compile(r"(?<!\w)#\s?(?=\d)")
_NUMBERED = {"no": "number", "nos": "numbers", "vol": "volume", "fig": "figure", "pp": "pages", "p": "page",
             "ch": "chapter"}  # fmt: skip
_ROMAN = re.compile(
    r"\b(Chapter|Part|Act|Scene|Book|Volume|War|Section|Phase|Type|Level|Article|Appendix) ([IVX]{1,5})\b"
)
_REGNAL = re.compile(r"\b((?:King|Queen|Pope|Emperor|Tsar|Prince|Sultan) [A-Z][a-zé]+(?: [A-Z][a-z]+)?) ([IVX]{1,5})\b")
_ROMANS = {  # the first is not among them: "Part I" may go on with "I think"
    "II": 2, "III": 3, "IV": 4, "V": 5, "VI": 6, "VII": 7, "VIII": 8, "IX": 9, "X": 10, "XI": 11, "XII": 12,
    "XIII": 13, "XIV": 14, "XV": 15, "XVI": 16, "XVII": 17, "XVIII": 18, "XIX": 19, "XX": 20,
}  # fmt: skip


def expanded(text: str, language: str) -> str:
    """The text with its abbreviations in full."""
    code = language.partition("_")[0]
    if "." in text or code == "en":
        text = _english(text) if code == "en" else text
        pattern = _pattern(code)
        text = pattern.sub(lambda found: _full(found, code), text) if pattern else text
    return text


def _english(text: str) -> str:
    text = _HASH.sub("number ", _NUMBER.sub(lambda found: f"{_cased(found[1])} ", text))
    text = _STREET.sub(" Street", _SAINT.sub("Saint ", text))
    text = _REGNAL.sub(_regnal, text)
    return _ROMAN.sub(lambda found: f"{found[1]} {_ROMANS.get(found[2], found[2])}", text)


def _regnal(found: re.Match) -> str:
    number = 1 if found[2] == "I" else _ROMANS.get(found[2])
    follows = found.string[found.end() : found.end() + 2]
    if number is None or (number == 1 and follows[:1] == " " and follows[1:].islower()):  # "King Lear I am"
        return found[0]
    return f"{found[1]} the {number}{({1: 'st', 2: 'nd', 3: 'rd'}).get(number, 'th')}"


def _cased(short: str) -> str:
    word = _NUMBERED[short.lower()]
    return word.capitalize() if short[0].isupper() else word


@lru_cache(maxsize=32)
def _pattern(code: str) -> re.Pattern | None:
    known = ABBREVIATIONS.get(code)
    if not known:
        return None
    pointed = "|".join(map(re.escape, sorted(known, key=len, reverse=True)))
    bare = "|".join(_BARE.get(code, ())) or r"(?!)"
    return re.compile(rf"(?<![\w.])(?:({pointed})\.(?!\w)|({bare})(?=\s))")


def _full(found: re.Match, code: str) -> str:
    """The words; the point stays where it also ends the sentence."""
    short = found[1] or found[2]
    words = ABBREVIATIONS[code][short]
    rest = found.string[found.end() :]
    ends = found[1] and short in _SENTENCE_ENDERS and (not rest.strip() or (rest.lstrip() != rest and _opens(rest)))
    return f"{words}." if ends else words


def _opens(rest: str) -> bool:
    return rest.lstrip()[:1].isupper()
