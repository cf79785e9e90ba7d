"""Every target, by name."""

from __future__ import annotations

from tests.fuzz import placing

TARGETS = {target.name: target for target in (placing.READ, placing.STEP)}
