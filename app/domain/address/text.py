"""Cleaning, spelling and splitting of what people type into address forms."""

from __future__ import annotations

import re
import unicodedata

from anyascii import anyascii

_TAG = re.compile(r"</?[A-Za-z!][^<>]{0,200}>")
_DROPPED = frozenset(("Cs", "Co", "Cn", "So", "Sk", "Cf", "Cc"))
# The degree sign and the accents that people type for apostrophes.
_KEPT = frozenset("\u00b0^`\u00b4")
_SPELLABLE = ("LATIN", "GREEK", "CYRILLIC")
_MAX_INPUT = 2_000


def clean(text: str) -> str:
    """One line without tags, control and direction characters, emoji and repeated spaces, in NFC.

    Entities stay as typed: neither storefront escapes addresses, so decoding them would change what the buyer wrote.
    """
    text = _TAG.sub(" ", text[:_MAX_INPUT]).replace("<", " ").replace(">", " ")
    text = unicodedata.normalize("NFC", "".join(map(_allowed, text)))
    # Once more: composing may not bring forbidden characters back, but it may leave double spaces.
    return " ".join(text.split())


def _allowed(char: str) -> str:
    if char in "\u200c\u200d":
        return ""
    category = unicodedata.category(char)
    if char in "\t\r\n" or category.startswith("Z"):
        return " "
    if category in _DROPPED and char not in _KEPT:
        return ""
    # Variation selectors and keycap marks are what remains of an emoji once its picture is gone.
    return "" if "\ufe00" <= char <= "\ufe0f" or char == "\u20e3" else char


def to_ascii(text: str) -> str:
    """The text in printable ASCII; `Jürgen Müßig` gives `Jurgen Mussig`."""
    spelled = anyascii(clean(text))
    return " ".join("".join(char for char in spelled if " " <= char <= "~").split())


def spellable(text: str) -> bool:
    """True if transliteration gives how the owner would spell it: Latin, Greek and Cyrillic letters only.

    A name in Han characters reads differently in Chinese and Japanese, one in Arabic or Hebrew lacks its vowels: there
    a machine would guess.
    """
    return all(
        unicodedata.name(char, "").startswith(_SPELLABLE) for char in text if char.isalpha() and not char.isascii()
    )


def letters_only(text: str) -> str:
    """A to Z and single spaces: apostrophes and dots vanish, hyphens part words."""
    spelled = re.sub(r"[-_/,]", " ", to_ascii(text))
    return " ".join(re.sub(r"[^A-Za-z ]", "", spelled).split())


def is_arabic_or_ascii(text: str) -> bool:
    """True if every letter is Arabic or ASCII (Saudi Arabia)."""
    return all(char.isascii() or unicodedata.name(char, "").startswith("ARABIC") for char in text)


def split_line(first: str, second: str, limit: int, second_limit: int) -> tuple[str, str] | None:
    """Both address lines within their limits, the overflow of the first moved to the front of the second.

    Splits at a space or after a comma, never inside a word; None if it does not fit.
    """
    if len(first) <= limit:
        return (first, second) if len(second) <= second_limit else None
    cut = first.rfind(" ", 0, limit + 1)
    if cut <= 0:
        return None
    head, tail = first[:cut].rstrip(" ,"), first[cut:].strip(" ,")
    rest = f"{tail}, {second}" if tail and second else tail or second
    return (head, rest) if head and len(rest) <= second_limit else None


def shorten_name(name: str, limit: int) -> str | None:
    """First and last word of a name that is too long, None if even they do not fit."""
    words = name.split()
    if not words[1:]:
        return None
    short = f"{words[0]} {words[-1]}"
    return short if len(short) <= limit else None
