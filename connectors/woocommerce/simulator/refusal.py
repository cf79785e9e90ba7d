"""How the real one says no: `{"code", "message", "data": {"status"}}` with its traps."""

from __future__ import annotations

from typing import Any


class Refusal(Exception):  # what the real one says
    """An error answer. `data` overrides the usual `{"status": …}` (refund errors carry a bare 500)."""

    def __init__(self, status: int, code: str | int, message: str, data: Any = None) -> None:
        super().__init__(str(code))
        self.status = status
        self.body = {"code": code, "message": message, "data": {"status": status} if data is None else data}


def invalid_param(**params: str) -> Refusal:
    """A parameter that is missing or out of bounds."""
    details = {
        name: {
            "code": "rest_out_of_bounds" if "between" in text else "rest_invalid_type",
            "message": text,
            "data": None,
        }
        for name, text in params.items()
    }
    message = f"Invalid parameter(s): {', '.join(params)}"
    return Refusal(400, "rest_invalid_param", message, {"status": 400, "params": params, "details": details})


def no_order() -> Refusal:
    """An order that does not exist."""
    return Refusal(404, "woocommerce_rest_shop_order_invalid_id", "Invalid ID.")


def no_route() -> Refusal:
    """An address that nothing listens to."""
    return Refusal(404, "rest_no_route", "No route was found matching the URL and request method.")
