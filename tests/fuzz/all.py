"""Every target, by name."""

from __future__ import annotations

from tests.fuzz import deliveries, placing, reading, words

TARGETS = {
    target.name: target
    for target in (
        placing.READ,
        placing.STEP,
        reading.READ,
        reading.TRACK,
        reading.SHOP,
        deliveries.DELIVERY,
        deliveries.PUSH,
        words.ADDRESS,
        words.QUERY,
        words.SETTINGS,
    )
}
