"""The supplier's words about an order without the person: some messages quote the address that they refuse (S56)."""

from __future__ import annotations

import re
from dataclasses import replace

from app.ports.supplier import PlaceOrder, PlaceResult

_WORD = re.compile(r"\w+")
_SHORTEST = 3
"""Characters: shorter words name nobody, and taking them out would leave nothing to read."""
MASK = "***"


def without_person(result: PlaceResult, order: PlaceOrder) -> PlaceResult:
    """The result with every word of the address taken out of its texts. Its class, codes and ids stay."""
    words = _words(order)
    if not words or not (result.message or result.answer):
        return result
    longest_first = sorted(words, key=len, reverse=True)
    known = re.compile(rf"(?<!\w)(?:{'|'.join(map(re.escape, longest_first))})(?!\w)", re.IGNORECASE)
    return replace(result, message=known.sub(MASK, result.message), answer=known.sub(MASK, result.answer))


def _words(order: PlaceOrder) -> set[str]:
    to = order.address
    texts = [to.name, to.line1, to.line2, to.city, to.province, to.postal_code, to.phone, to.company, to.email]
    texts += [re.sub(r"\D", "", to.phone), *(value for _, value in (*to.identifiers, *order.address_fields))]
    found = {word for text in texts for word in (text.strip(), *_WORD.findall(text))}
    return {word for word in found if len(word) >= _SHORTEST}
