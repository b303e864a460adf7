"""Phonemes of languages other than English, by the voices of espeak-ng.

In letters alone, as the lexicon of English has them: stress, length, tone and ties are left out, so that a rate in
phonemes a second means the same in every language. espeak-ng is the GPL-3 part of the extra `sample`.
"""

from __future__ import annotations

import ctypes
import unicodedata
from functools import lru_cache
from threading import Lock

from parler_assets.hub.errors import AnnotatorError

_SYNCHRONOUS, _UTF8, _IPA = 2, 1, 2  # espeak_AUDIO_OUTPUT, text mode and phoneme mode of espeak-ng
_VOICES = {"zh": "cmn", "no": "nb", "jp": "ja", "iw": "he", "tl": "fil", "en": "en-us"}
_ENGINE = Lock()  # it has one state for the whole process


def check_language(language: str) -> None:
    """Raise an AnnotatorError that names the remedy where no phonemes can be had in a language."""
    with _ENGINE:
        _select(language)


@lru_cache(maxsize=1 << 15)
def phonemes(text: str, language: str) -> str:
    """The text in IPA letters, its clauses and words apart by one space.

    Raises:
        AnnotatorError: espeak-ng is not installed or has no voice for the language.
    """
    rest = ctypes.c_char_p(text.replace("\0", " ").encode("utf-8", "replace"))
    clauses = []
    with _ENGINE:
        engine = _select(language)
        while rest.value:
            clauses.append((engine.espeak_TextToPhonemes(ctypes.byref(rest), _UTF8, _IPA) or b"").decode())
    spaced = " ".join(clauses)
    letters = (character for character in unicodedata.normalize("NFD", spaced))
    kept = "".join(c for c in letters if c.isspace() or unicodedata.category(c) in ("Ll", "Lo"))
    return " ".join(kept.split())


def _select(language: str) -> ctypes.CDLL:
    engine = _engine()
    code = language.replace("_", "-").lower()
    first = code.partition("-")[0]
    for voice in (code, _VOICES.get(code, ""), _VOICES.get(first, first)):
        if voice and engine.espeak_SetVoiceByName(voice.encode()) == 0:
            return engine
    raise AnnotatorError(
        f"language {language}: espeak-ng has no voice for it, so that no speaking rate can be measured: "
        "correct `language` of the corpus"
    )


@lru_cache(maxsize=1)
def _engine() -> ctypes.CDLL:
    try:
        import espeakng_loader
    except ImportError:
        raise AnnotatorError(
            "speaking rate in other languages than English: espeakng-loader is missing; install the extra `sample`"
        ) from None
    engine = ctypes.CDLL(espeakng_loader.get_library_path())
    if engine.espeak_Initialize(_SYNCHRONOUS, 0, str(espeakng_loader.get_data_path()).encode(), 0) <= 0:
        raise AnnotatorError("espeak-ng: its voices cannot be read; install the extra `sample` again")
    engine.espeak_TextToPhonemes.restype = ctypes.c_char_p
    engine.espeak_TextToPhonemes.argtypes = [ctypes.POINTER(ctypes.c_char_p), ctypes.c_int, ctypes.c_int]
    return engine
