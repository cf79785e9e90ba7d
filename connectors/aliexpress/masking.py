"""The supplier's words about an order without the person: some messages quote the address that they refuse (S56)."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import replace

from app.ports.supplier import PlaceOrder, PlaceResult

_WORD = re.compile(r"\w+")
_SHORTEST = 3
"""Characters: shorter words name nobody, and taking them out would leave nothing to read."""
_CODE = re.compile(r"[\w.-]{1,100}")
"""A code names nobody, even if it is a word of the address; a sentence in its place may."""
_SHORTEST_SECRET = 8
MASK = "***"


def without_secrets(text: str, secrets: Iterable[str]) -> str:
    """The text without our own tokens and keys: a refusal may quote what it was called with."""
    for secret in secrets:
        if len(secret) >= _SHORTEST_SECRET:
            text = text.replace(secret, MASK)
    return text


def without_person(result: PlaceResult, order: PlaceOrder, secrets: Iterable[str] = ()) -> PlaceResult:
    """The result with every word of the address, and our `secrets`, taken out of its texts. Class and ids stay."""
    secrets = tuple(secrets)
    result = replace(
        result,
        code=without_secrets(result.code, secrets),
        message=without_secrets(result.message, secrets),
        answer=without_secrets(result.answer, secrets),
    )
    words = _words(order)
    if not words or not (result.message or result.answer or result.code):
        return result
    longest_first = sorted(words, key=len, reverse=True)
    known = re.compile(rf"(?<!\w)(?:{'|'.join(map(re.escape, longest_first))})(?!\w)", re.IGNORECASE)
    code = result.code if _CODE.fullmatch(result.code) else known.sub(MASK, result.code)
    return replace(result, code=code, message=known.sub(MASK, result.message), answer=known.sub(MASK, result.answer))


def _words(order: PlaceOrder) -> set[str]:
    to = order.address
    texts = [to.name, to.line1, to.line2, to.city, to.province, to.postal_code, to.phone, to.company, to.email]
    texts += [re.sub(r"\D", "", to.phone), *(value for _, value in (*to.identifiers, *order.address_fields))]
    found = {word for text in texts for word in (text.strip(), *_WORD.findall(text))}
    return {word for word in found if len(word) >= _SHORTEST}
