"""Signs between words, as words."""

from __future__ import annotations

import re

SIGNS = {
    "en": {"&": "and", "+": "plus", "=": "equals", "@": "at", "×": "times", "÷": "divided by", "±": "plus or minus",
           "≈": "about", "≤": "at most", "≥": "at least", "≠": "is not", "→": "to", "°": "degrees", "%": "percent",
           "‰": "per mille", "§": "section", "€": "euros", "£": "pounds", "¥": "yen", "©": "copyright"},
    "de": {"&": "und", "+": "plus", "=": "gleich", "@": "at", "×": "mal", "±": "plus minus", "≈": "etwa",
           "°": "Grad", "%": "Prozent", "§": "Paragraph", "€": "Euro", "£": "Pfund"},
    "fr": {"&": "et", "+": "plus", "=": "égale", "@": "arobase", "×": "fois", "±": "plus ou moins",
           "°": "degrés", "%": "pour cent", "€": "euros", "£": "livres"},
    "es": {"&": "y", "+": "más", "=": "igual a", "@": "arroba", "×": "por", "±": "más menos",
           "°": "grados", "%": "por ciento", "€": "euros", "£": "libras"},
    "it": {"&": "e", "+": "più", "=": "uguale a", "@": "chiocciola", "×": "per", "°": "gradi", "%": "per cento",
           "€": "euro", "£": "sterline"},
    "pt": {"&": "e", "+": "mais", "=": "igual a", "@": "arroba", "×": "vezes", "°": "graus", "%": "por cento",
           "€": "euros", "£": "libras"},
    "nl": {"&": "en", "+": "plus", "=": "is gelijk aan", "@": "at", "×": "maal", "°": "graden", "%": "procent",
           "€": "euro", "£": "pond"},
    "pl": {"&": "i", "+": "plus", "=": "równa się", "@": "małpa", "%": "procent", "€": "euro"},
    "ru": {"&": "и", "+": "плюс", "=": "равно", "%": "процентов", "€": "евро"},
}  # fmt: skip


def signed(text: str, language: str) -> str:
    """The text with its signs as words; a language without a table keeps them."""
    words = SIGNS.get(language.partition("_")[0], {})
    if not any(sign in text for sign in words):
        return text
    pattern = "|".join(map(re.escape, words))
    text = re.sub(rf"\s*({pattern})\s*", lambda found: f" {words[found[1]]} ", text)
    return re.sub(r" +(?=[.,;:!?)]|$)", "", text).strip()
