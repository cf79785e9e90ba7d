"""The four ways in which an outside call can fail. The class decides; nobody above a connector reads status codes.

Source: docs/adr/0006; shared design `purchase-lifecycle.md` section 7.
"""

from __future__ import annotations


class OutsideError(Exception):
    """A call to a storefront or supplier that did not give what was asked.

    `code` is the other side's own code (or a constant of ours such as `connect_refused`), `detail` a text without
    secrets or personal data, `vendor` the connector's name, `operation` what was called.
    """

    def __init__(self, code: str, detail: str = "", *, vendor: str = "", operation: str = "") -> None:
        super().__init__(f"{vendor}.{operation}: {code} {detail}".strip())
        self.code = code
        self.detail = detail
        self.vendor = vendor
        self.operation = operation


class TryLater(OutsideError):
    """Nothing was done; the same call may be made again. `retry_after` is in seconds, None when not told."""

    def __init__(
        self, code: str, detail: str = "", *, vendor: str = "", operation: str = "", retry_after: float | None = None
    ) -> None:
        super().__init__(code, detail, vendor=vendor, operation=operation)
        self.retry_after = retry_after


class MerchantMustAct(OutsideError):
    """Only the merchant can go on. `reason` is a reason code of `app.domain.reasons`, for instance `token_dead`."""

    def __init__(self, reason: str, code: str, detail: str = "", *, vendor: str = "", operation: str = "") -> None:
        super().__init__(code, detail, vendor=vendor, operation=operation)
        self.reason = reason


class Refused(OutsideError):
    """A definite no: repeating the same call gives the same answer."""


class Withdrawn(Refused):
    """The other side does not offer this (any more): no repetition will change that."""


class OutcomeUnknown(OutsideError):
    """The call may or may not have been executed. Never repeated blindly."""


class BadDelivery(Exception):
    """An inbound request that must not be stored. `status`: what to answer, `code`: a constant for the counters."""

    def __init__(self, status: int, code: str) -> None:
        super().__init__(code)
        self.status = status
        self.code = code
