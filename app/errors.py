"""Our own errors: a constant code, an HTTP status, a text for the merchant and one for staff."""

from __future__ import annotations


class WaybillError(Exception):
    """Something a person can put right. `status` is what the web answers; texts hold no secrets."""

    status = 400

    def __init__(self, code: str, text: str, staff_text: str = "") -> None:
        super().__init__(f"{code}: {text}")
        self.code = code
        self.text = text
        self.staff_text = staff_text or text


class NotFound(WaybillError):
    """No such thing for this caller (another tenant's thing looks the same)."""

    status = 404


class Conflict(WaybillError):
    """The thing is in a state that does not allow the act; the text says what would."""

    status = 409


class SettingsInvalid(Exception):
    """Settings are missing or malformed. `problems` names every one of them."""

    def __init__(self, problems: list[str]) -> None:
        self.problems = problems
        super().__init__(
            "Waybill cannot start, these settings are missing or malformed:\n"
            + "\n".join(f"  - {problem}" for problem in problems)
            + "\nSee .env.example for what each one means."
        )
