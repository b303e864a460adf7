"""Tags and Markdown as the plain text that a reader says for them.

Headings, items, rows and paragraphs end a sentence; links, code and tables are their words; `*word*` stays, since the
model card's emphasis is written so. Only tags of HTML and SSML are removed: "if a < b" and "<door>" are text.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from markdown_it import MarkdownIt
from markdown_it.token import Token

from parler_assets.tts.data.texts import ENDS

_BLOCKS = (
    "article|aside|blockquote|body|br|center|dd|div|dl|dt|figure|footer|h[1-6]|head|header|hr|html|li|main|nav|ol|p"
    "|paragraph|pre|s|section|sentence|table|tbody|td|tfoot|th|thead|title|tr|ul"
)
_INLINE = (
    "a|abbr|audio|b|code|del|em|font|i|img|ins|kbd|lang|link|mark|meta|phoneme|prosody|q|samp|say-as|small|span"
    "|speak|strike|strong|sub|sup|tt|u|video|voice|w|emphasis|break|script|style"
)
_VALUE = r"""(?:"[^"]*"|'[^']*'|[^\s"'<>]+)"""
# attributes have values: what a text compares ("a < b and c > d") is no tag
ATTRIBUTES = rf"(?:\s+[\w:.-]+\s*=\s*{_VALUE})*\s*"
_UNSAID = re.compile(rf"<!--.{{0,1000}}?-->|<(script|style){ATTRIBUTES}>.*?</\1\s*>", re.I | re.S)
_BLOCK_TAG = re.compile(rf"</?(?:{_BLOCKS}){ATTRIBUTES}/?>", re.I)
_INLINE_TAG = re.compile(rf"</?(?:{_INLINE}){ATTRIBUTES}/?>", re.I)
_ADDRESS = re.compile(r"(?:https?://|www\.)\S*[\w/]", re.I)
_NOTE = re.compile(r"\[(?:\^[\w-]{1,20}|[ xX])\](?![(\[]):?")  # a footnote's number, a box to tick
_CLOSING = "\"'”’»)]*"
EMPHASIZED = 3  # words: more between asterisks is a stage direction, not a stressed word

_PARSER = MarkdownIt("commonmark", {"html": False}).enable(["table", "strikethrough"])


def without_tags(text: str) -> str:
    """Tags taken out; those of paragraphs, items and cells leave a paragraph's end."""
    return _INLINE_TAG.sub("", _BLOCK_TAG.sub("\n\n", _UNSAID.sub("", text)))


def without_markdown(text: str) -> str:
    """The words of a Markdown document, an address as `link`."""
    lines: list[tuple[str, bool]] = []  # and whether it is a sentence whatever follows
    holder, number = [""], ""
    for token in _PARSER.parse(_flush_left(_NOTE.sub("", text))):
        if token.type.endswith("_open"):
            holder.append(token.tag)
            number = token.info if token.type == "list_item_open" else number
        elif token.type.endswith("_close"):
            holder.pop()
            if token.tag == "tr":
                lines[-1] = (lines[-1][0].removesuffix(","), True)
        elif words := _words(token):
            _add(lines, f"{number}, {words}" if number and "li" in holder else words, holder)
            number = ""
    said = [_ended(line) if ends or place < len(lines) - 1 else line for place, (line, ends) in enumerate(lines)]
    return _ADDRESS.sub("link", "\n\n".join(said))


def _flush_left(text: str) -> str:
    """Indented prose is no code: only fences make a text code, and code is words either way."""
    return re.sub(r"^[ \t]{4,}(?=\S)", "   ", text, flags=re.M)


def _add(lines: list[tuple[str, bool]], words: str, holder: Sequence[str]) -> None:
    """A line, or a cell behind those of its row."""
    if holder[-1] in ("td", "th") and lines and lines[-1][0].endswith(","):
        lines[-1] = (f"{lines[-1][0]} {words},", False)
    elif holder[-1] in ("td", "th"):
        lines.append((f"{words},", False))
    else:
        lines.append((words, "li" in holder or holder[-1].startswith("h")))


def _words(token: Token) -> str:
    if token.type in ("fence", "code_block"):
        return " ".join(token.content.split())
    return _inline(token.children or []) if token.type == "inline" else ""


def _inline(tokens: Sequence[Token]) -> str:
    said: list[str] = []
    opened: list[int] = []  # where emphasis began
    for place, token in enumerate(tokens):
        if token.type in ("text", "text_special", "code_inline", "image"):
            said.append(token.content)
        elif token.type in ("softbreak", "hardbreak"):
            said.append(" ")
        elif token.type == "em_open":
            opened.append(len(said))
        elif token.type == "em_close":
            start = opened.pop()
            said[start:] = [_stressed("".join(said[start:]))]
        elif token.type in ("strong_open", "strong_close") and _inside_a_word(tokens, place):
            said.append(token.markup)  # 2**8 is no bold type
    return "".join(said).strip()


def _stressed(words: str) -> str:
    few = len(words.split()) <= EMPHASIZED and not words.rstrip().endswith(ENDS)
    return f"*{words}*" if few else words


def _inside_a_word(tokens: Sequence[Token], place: int) -> bool:
    before = "".join(token.content for token in tokens[:place])[-1:]
    after = "".join(token.content for token in tokens[place:])[:1]
    return before.isdigit() and after.isdigit()


def _ended(line: str) -> str:
    """A line that ends a sentence."""
    bare = line.rstrip(f" \t{_CLOSING}")
    return line if not bare or bare.endswith((*ENDS, ",", "…", "-", "–", "—")) else f"{line}."
