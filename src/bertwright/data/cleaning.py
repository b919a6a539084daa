"""What is taken out of raw text before anything else sees it, and how much of it there was.

Follows what BERT's own cleaning does in its tokenizer (google-research/bert, `_clean_text`), so that every kind of tokenizer gets the
same text: control characters go; vertical tab, form feed and next line count as a space; invisible format characters go (zero-width space, word joiner,
byte order mark, soft hyphen, direction marks), except the zero-width joiner and non-joiner, which spell words in Persian and in
Indic scripts (BERT's own tokenizer drops these two as well).
"""

import re
from dataclasses import dataclass

from bertwright.errors import InputError

SPACES = "\x0b\x0c\x85"
CONTROLS = "\x00-\x08\x0e-\x1f\x7f-\x84\x86-\x9f"
INVISIBLE = "\u00ad\u061c\u200b\u200e\u200f\u202a-\u202e\u2060-\u2064\u2066-\u2069\ufeff"
SURROGATES = "\ud800-\udfff"
REFUSING = {"strict": ", or pass --encoding_errors replace or skip", "refuse": ""}  # what the message ends with

_unwanted = re.compile(f"[{SPACES}{CONTROLS}{INVISIBLE}]")
_spaces = re.compile(f"[{SPACES}]")
_controls = re.compile(f"[{CONTROLS}]")
_invisible = re.compile(f"[{INVISIBLE}]")
_surrogates = re.compile(f"[{SURROGATES}]")


@dataclass
class Tally:
    """What reading met and mended; `bytes_read` counts bytes as they lie on the disk."""

    bytes_read: int = 0
    invalid_bytes: int = 0
    lone_surrogates: int = 0
    control_characters: int = 0
    invisible_characters: int = 0
    blank_rows: int = 0
    long_texts_cut: int = 0


def clean(text: str, tally: Tally) -> str:
    """The text without control and invisible characters, which are counted."""
    if not _unwanted.search(text):
        return text
    text = _spaces.sub(" ", text)
    text, controls = _controls.subn("", text)
    text, invisible = _invisible.subn("", text)
    tally.control_characters += controls
    tally.invisible_characters += invisible
    return text


def without_surrogates(text: str, tally: Tally, *, errors: str, where: object) -> str:
    """The text without halves of surrogate pairs, which JSON can spell and UTF-8 cannot: refused, replaced by U+FFFD or skipped, as invalid bytes are.

    errors: as the option of `prepare`; "refuse" is "strict" where there is no such option.
    """
    found = _surrogates.search(text)
    if not found:
        return text
    if errors in REFUSING:
        raise InputError(f"{where}: \\u{ord(found[0]):04x} is half a character (a lone surrogate): mend it{REFUSING[errors]}")
    text, count = _surrogates.subn("\ufffd" if errors == "replace" else "", text)
    tally.lone_surrogates += count
    return text


def decode(data: bytes, tally: Tally, *, errors: str, where: object, offset: int = 0) -> str:
    """Complete UTF-8 bytes as text. An error names `where` and the byte, counted from `offset`. Raises InputError under "strict" and "refuse"."""
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        if errors in REFUSING:
            byte = f"byte {offset + error.start} (0x{data[error.start]:02x})"
            raise InputError(f"{where}: {byte} is not UTF-8: save it as UTF-8{REFUSING[errors]}") from None
    replaced = data.decode("utf-8", "replace")
    tally.invalid_bytes += replaced.count("\ufffd") - data.count(b"\xef\xbf\xbd")
    return replaced if errors == "replace" else data.decode("utf-8", "ignore")
