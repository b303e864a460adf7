"""A text made ready to be spoken: markup taken out, and cut into chunks that the model can say at once."""

from __future__ import annotations

import html
import re
import unicodedata
from collections.abc import Iterator

from parler_assets.tts.data.texts import ENDS, has_word, sentences_of
from parler_assets.tts.serving.signs import spoken

MOST_CHARACTERS = 20_000
MOST_OF_A_DESCRIPTION = 1_000  # characters; the corpora's own have one sentence
CHUNK = 220  # characters spoken at once, at most
TAGS = (
    "a|abbr|article|aside|audio|b|blockquote|body|br|break|center|code|dd|del|div|dl|dt|em|emphasis|figure|font|footer"
    "|h[1-6]|head|header|hr|html|i|img|ins|kbd|lang|li|link|main|mark|meta|nav|ol|p|paragraph|phoneme|pre|prosody|q|s"
    "|samp|say-as|script|section|sentence|small|span|speak|strike|strong|style|sub|sup|table|tbody|td|tfoot|th|thead"
    "|title|tr|tt|u|ul|video|voice|w"
)
_VALUE = r"""(?:"[^"]*"|'[^']*'|[^\s"'<>]+)"""
# Of HTML and SSML, attributes with values: what a text compares ("a < b and c > d") is no tag.
_TAG = re.compile(rf"<!--.{{0,1000}}?-->|</?(?:{TAGS})(?:\s+[\w:.-]+\s*=\s*{_VALUE})*\s*/?>", re.I | re.S)
_LINK = re.compile(r"!?\[([^\[\]\n]*)\]\([^()\s]*(?:\s+\"[^\"]*\")?\)")
_LINE = re.compile(r"^[ \t]*(?:#{1,6}|[-*+•])[ \t]+(\S.*)$", re.M)  # a heading, or an item of a list
_PARAGRAPH = re.compile(r"(\w)[ \t]*\n[ \t]*\n")
_ADDRESS = re.compile(r"(?:https?://|www\.)\S*[\w/]", re.I)


class SayError(ValueError):
    """A request that cannot be spoken; the message says what to change."""


def decodable(text: str) -> str:
    """Any text of a request without what no tokenizer reads: lone surrogates, control and unassigned characters."""
    unread = ("Cc", "Cs", "Co", "Cn")
    return "".join(c if c in "\n\t" or unicodedata.category(c) not in unread else " " for c in text)


def clean_description(text: str) -> str:
    """A caller's own description, white space joined.

    Raises:
        SayError: no word in it, or more than 1,000 characters.
    """
    if len(text) > MOST_OF_A_DESCRIPTION:
        raise SayError(f"a description of {len(text)} characters, at most {MOST_OF_A_DESCRIPTION}: shorten it")
    if not any(character.isalpha() for character in text):
        raise SayError("the description has no word: describe the voice in a sentence, or leave it out")
    return " ".join(text.split())


def clean(text: str) -> str:
    """The text as the model can read it: markup and emoji taken out, white space joined.

    Raises:
        SayError: nothing is left, more than 20,000 characters, one endless word, or mostly another script.
    """
    if len(text) > MOST_CHARACTERS:
        raise SayError(f"text of {len(text)} characters, at most {MOST_CHARACTERS}: split it into several requests")
    plain = unicodedata.normalize("NFKC", html.unescape(_TAG.sub(" ", _without_markdown(text))))
    kept = " ".join("".join(map(_readable, spoken(plain))).split())
    kept = re.sub(r" (?=[)\]]|[.,;:!?]+(?:\s|$))", "", kept)  # where a sign was
    longest = max(map(len, kept.split()), default=0)
    if longest > CHUNK:
        raise SayError(f"a word of {longest} characters, at most {CHUNK}: put spaces between words")
    letters = [c for c in kept if c.isalpha()]
    if not has_word(kept):
        raise SayError("nothing to say: the text has no letter or digit")
    foreign = sum("LATIN" not in unicodedata.name(c, "") for c in letters)
    if letters and foreign > len(letters) / 2:
        raise SayError("this checkpoint reads English in Latin letters; the text is mostly in another script")
    return kept


def _without_markdown(text: str) -> str:
    """Headings, items and paragraphs end a sentence, links and bold type are their words, an address is `link`."""
    text = _LINE.sub(lambda found: _ended(found[1].rstrip(" \t#")), text)
    text = _PARAGRAPH.sub(r"\1.\n\n", text)
    text = _ADDRESS.sub("link", _LINK.sub(r"\1", text))
    return re.sub(r"(\*\*|__)(\S.*?)\1", r"\2", text)


def _ended(line: str) -> str:
    return line if line.endswith(ENDS) else f"{line}."


def _readable(character: str) -> str:
    """The character, a space in place of a symbol, nothing in place of what is invisible or joins letters."""
    category = unicodedata.category(character)
    if category[0] in "LNPZ":
        return character
    return "" if category[0] in "CM" and not character.isspace() else " "


def chunks(text: str, most: int = CHUNK, sentences: int | None = None) -> list[str]:
    """Sentences joined up to `most` characters, and `sentences` of them; nothing is lost.

    A longer sentence is cut at a comma or a space. What has no word stands with its neighbour where it fits.
    """
    pieces: list[str] = []
    counts: list[int] = []
    for sentence in sentences_of(text):
        for part in _cut(sentence, most):
            fits = pieces and len(pieces[-1]) + 1 + len(part) <= most
            count = int(has_word(part))
            if fits and (sentences is None or counts[-1] + count <= sentences):
                pieces[-1] += f" {part}"
                counts[-1] += count
            else:
                pieces.append(part)
                counts.append(count)
    return pieces


def opened(text: str, most: int) -> list[str]:
    """The first sentences, up to half of `most` characters, then chunks that have room beside them.

    Nothing where already the first sentence is longer: cutting it would be heard more than a change of voice.
    """
    first = chunks(text, most // 2)[0]
    if not first.endswith(ENDS):
        return []
    return [first, *chunks(text[len(first) :].strip(), min(CHUNK, most - len(first) - 1))]


def _cut(sentence: str, most: int) -> Iterator[str]:
    while len(sentence) > most:
        commas, spaces = (sentence.rfind(mark, most // 2, most) for mark in (", ", " "))
        at = commas if commas >= 0 else spaces
        at = at + 1 if at >= 0 else most
        yield sentence[:at].strip()
        sentence = sentence[at:].strip()
    if sentence:
        yield sentence
