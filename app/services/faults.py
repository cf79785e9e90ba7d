"""Faults of the outside world, told to a person: one sentence, what went wrong and what to do."""

from __future__ import annotations

from app.domain.reasons import REASONS, explain
from app.errors import WaybillError
from app.ports.errors import MerchantMustAct, OutcomeUnknown, OutsideError, Refused, TryLater


def said(error: OutsideError) -> WaybillError:
    """The same fault as one of our own errors. Details of the other side go into the text for staff."""
    who = error.vendor or "the other side"
    staff = f"{who} {error.operation}: {error.code} {error.detail}".strip()
    if isinstance(error, MerchantMustAct):
        known = error.reason in REASONS
        text = explain(error.reason, code=error.code, detail=error.detail).text if known else ""
        # A reason of the connector's own comes with its sentence for the merchant.
        text = text or error.detail or f"{who} wants you to act first ({error.code})."
        return WaybillError(error.reason, text, staff)
    if isinstance(error, TryLater):
        return WaybillError(
            "try_later", f"{who} does not answer at the moment ({error.code}). Try again in a minute.", staff
        )
    if isinstance(error, Refused):
        return WaybillError("refused", f"{who} refused this ({error.code}). {error.detail}".strip(), staff)
    if isinstance(error, OutcomeUnknown):
        return WaybillError(
            "outcome_unknown", f"{who} gave no clear answer ({error.code}). Look there before you try again.", staff
        )
    return WaybillError("outside", f"{who} could not be asked ({error.code}).", staff)
