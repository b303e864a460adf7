"""What is written for machines: addresses, hashtags, emoji, as a reader says it or leaves it out."""

from __future__ import annotations

import re

_LABEL = r"[A-Za-z0-9][A-Za-z0-9-]{0,62}"
_DOMAIN = rf"{_LABEL}(?:\.{_LABEL}){{0,8}}\.[A-Za-z]{{2,24}}"
_MAIL = re.compile(rf"(?<![\w.+-])([A-Za-z0-9][A-Za-z0-9._+-]{{0,63}})@({_DOMAIN})(?![\w@])")
_WEB = re.compile(
    rf"(?<![\w@])(?:https?://(?:www\.)?|www\.)({_DOMAIN}|localhost)"
    r"((?:[/?#]\S{0,300}?)?)(?=[.,;:!?)\]\"']*(?:\s|$))"
)
_HASHTAG = re.compile(r"(?<![\w&#])#([^\W\d_]\w{1,99})")
_HUMP = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Za-z])(?=\d)|_+")
# Pictures, the marks that colour and join them, and flags. Signs with words of their own (©, °, →) are not among them.
_PICTURES = re.compile(
    "[\u2300-\u23ff\u2600-\u27bf\u2b00-\u2bff\ufe0e\ufe0f\U0001f000-\U0001faff\U000e0020-\U000e007f]"
    "|(?<=[\ufe0f\U0001f000-\U0001faff])\u200d"
)
_WORDS = {
    "en": {".": "dot", "/": "slash", "-": "dash", "_": "underscore", "@": "at", "+": "plus", "#": "hashtag"},
    "de": {".": "Punkt", "/": "Schrägstrich", "-": "Strich", "_": "Unterstrich", "@": "at", "+": "plus",
           "#": "Hashtag"},
    "fr": {".": "point", "/": "slash", "-": "tiret", "_": "tiret bas", "@": "arobase", "+": "plus", "#": "hashtag"},
    "es": {".": "punto", "/": "barra", "-": "guion", "_": "guion bajo", "@": "arroba", "+": "más", "#": "hashtag"},
    "it": {".": "punto", "/": "barra", "-": "trattino", "_": "trattino basso", "@": "chiocciola", "+": "più",
           "#": "hashtag"},
    "pt": {".": "ponto", "/": "barra", "-": "hífen", "_": "sublinhado", "@": "arroba", "+": "mais", "#": "hashtag"},
    "nl": {".": "punt", "/": "slash", "-": "streepje", "_": "underscore", "@": "apenstaartje", "+": "plus",
           "#": "hashtag"},
}  # fmt: skip


def addressed(text: str, language: str) -> str:
    """The text with addresses and hashtags in words, and without pictures; its digits stay for other rules."""
    text = _PICTURES.sub("", text) if not text.isascii() else text
    words = _WORDS.get(language.partition("_")[0])
    if words is None or not any(mark in text for mark in "@#:w"):
        return text
    text = _MAIL.sub(lambda found: f"{_spelled(found[1], words)} {words['@']} {_spelled(found[2], words)}", text)
    text = _WEB.sub(lambda found: _spelled(found[1] + found[2].rstrip("/"), words), text)
    return _HASHTAG.sub(lambda found: f"{words['#']} {' '.join(_HUMP.sub(' ', found[1]).split())}", text)


def _spelled(address: str, words: dict[str, str]) -> str:
    marks = "".join(map(re.escape, words))
    said = re.sub(rf"([{marks}])", lambda found: f" {words[found[1]]} ", address)
    return " ".join(re.sub(r"[^\w\s]", " ", said).split())
