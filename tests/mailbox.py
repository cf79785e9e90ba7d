"""A mail server for tests: takes what comes, or answers as it is told to."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from email.message import EmailMessage
from typing import Any

from aiosmtpd.controller import Controller

from app.local.ports import LOOPBACK, free_port


@dataclass
class Mailbox:
    """`answer`: what the server says to a recipient; `after`: what it says to the text."""

    port: int
    raw: list[bytes] = field(default_factory=list)
    to: list[list[str]] = field(default_factory=list)
    answer: str = "250 OK"
    after: str = "250 taken"

    async def handle_RCPT(self, _server: Any, _session: Any, envelope: Any, address: str, _options: Any) -> str:  # noqa: N802 - aiosmtpd's name
        if self.answer.startswith("250"):
            envelope.rcpt_tos.append(address)
        return self.answer

    async def handle_DATA(self, _server: Any, _session: Any, envelope: Any) -> str:  # noqa: N802 - as above
        if self.after.startswith("250"):
            self.raw.append(envelope.content)
            self.to.append(list(envelope.rcpt_tos))
        return self.after

    @property
    def mails(self) -> list[EmailMessage]:
        """What arrived, parsed."""
        return [message_from_bytes(raw, policy=policy.default) for raw in self.raw]  # type: ignore[misc]

    def text(self, index: int = 0) -> str:
        """The text part of a mail."""
        return self.mails[index].get_body(("plain",)).get_content()  # type: ignore[union-attr, no-any-return]

    def html(self, index: int = 0) -> str:
        """The HTML part of a mail."""
        return self.mails[index].get_body(("html",)).get_content()  # type: ignore[union-attr, no-any-return]


@contextmanager
def mail_server() -> Iterator[Mailbox]:
    """A running one."""
    box = Mailbox(free_port())
    controller = Controller(box, hostname=LOOPBACK, port=box.port)
    controller.start()
    try:
        yield box
    finally:
        controller.stop()
