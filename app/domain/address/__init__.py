"""From an address as a shop gave it to the fields that the supplier accepts, or to what a person has to mend."""

from __future__ import annotations

from app.domain.address.evaluate import prepare
from app.domain.address.outcome import AddressProblems, Policy, Prepared, Problem

__all__ = ["AddressProblems", "Policy", "Prepared", "Problem", "prepare"]
