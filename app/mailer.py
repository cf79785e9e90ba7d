"""Mails: MJML and text through Flask-Mail, with every header checked before Flask-Mail sees it (S58).

Flask-Mail refuses line breaks in subject, sender and recipients, but neither in `cc`, `bcc` nor in extra headers, and
it takes several addresses for one; it opens its connection without a time limit and does not check certificates.
"""

from __future__ import annotations

import smtplib
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from email.charset import QP, Charset
from email.mime.text import MIMEText
from email.utils import formataddr, parseaddr
from typing import Any

from flask import Flask, render_template
from flask_mail import Connection, Mail, Message

from app.ports.errors import Refused, TryLater
from app.settings import Settings, mail_address

TIMEOUT = 20.0
"""Seconds for each step of a conversation with the mail server."""
LONGEST_SUBJECT = 200
VENDOR = "mail"


@dataclass(frozen=True, slots=True)
class Letter:
    """One mail. `template`: `mail/<template>.mjml.html` and `.txt`. The same `message_id` marks the same letter."""

    to: tuple[str, ...]
    subject: str
    template: str
    values: Mapping[str, Any]
    message_id: str
    headers: Mapping[str, str]


_QUOTED = Charset("utf-8")
_QUOTED.body_encoding = QP


class _Message(Message):
    """Its parts are quoted-printable: Flask-Mail sends them as they are, and mail servers refuse long lines."""

    def _mimetext(self, text: str | None, subtype: str = "plain") -> MIMEText:
        return MIMEText(text or "", subtype, _QUOTED)  # type: ignore[arg-type]


class _Connection(Connection):
    """With a time limit, and certificates that must be good."""

    def configure_host(self) -> smtplib.SMTP | smtplib.SMTP_SSL:
        """As Flask-Mail does it."""
        context = ssl.create_default_context()
        server, port = self.mail.server, self.mail.port
        if self.mail.use_ssl:
            host: smtplib.SMTP = smtplib.SMTP_SSL(server, port, timeout=TIMEOUT, context=context)
        else:
            host = smtplib.SMTP(server, port, timeout=TIMEOUT)
        try:
            if self.mail.use_tls:
                host.starttls(context=context)
            if self.mail.username and self.mail.password:
                host.login(self.mail.username, self.mail.password)
        except (OSError, smtplib.SMTPException):
            host.close()
            raise
        return host


class Mailer:
    """Renders and sends letters. Safe for threads: each letter has a connection of its own."""

    def __init__(self, settings: Settings) -> None:
        self.configured = bool(settings.mail_server)
        self.staff = settings.staff
        self._app = Flask(__name__)
        self._app.config.update(
            MAIL_SERVER=settings.mail_server,
            MAIL_PORT=settings.mail_port,
            MAIL_USE_TLS=settings.mail_use_tls,
            MAIL_USE_SSL=settings.mail_use_ssl,
            MAIL_USERNAME=settings.mail_username or None,
            MAIL_PASSWORD=settings.mail_password.get_secret_value() or None,
            MAIL_DEFAULT_SENDER=settings.mail_default_sender,
        )
        self._sender = settings.mail_default_sender
        self._suppressed = settings.mail_suppress_send
        Mail(self._app)

    def render(self, letter: Letter) -> tuple[str, str]:
        """(HTML, text). Values are escaped in the HTML, never interpreted (S59)."""
        with self._app.app_context():
            source = render_template(f"mail/{letter.template}.mjml.html", **letter.values)
            text = render_template(f"mail/{letter.template}.txt", **letter.values)
        import mjml  # noqa: PLC0415 - megabytes that web processes never need

        return mjml.mjml2html(source), text

    def send(self, letter: Letter) -> None:
        """Hand it to the mail server.

        Raises `Refused` if it will never be taken (bad header, recipient turned down), `TryLater` for everything else.
        """
        message = self._message(letter)
        if self._suppressed:
            return  # as Flask-Mail does with this name: everything but the sending
        try:
            with self._app.app_context(), _Connection(self._app.extensions["mail"]) as connection:
                connection.send(message)
        except smtplib.SMTPRecipientsRefused as error:
            codes = {code for code, _ in error.recipients.values()}
            if all(code >= 500 for code in codes):
                raise Refused("recipient_refused", vendor=VENDOR) from error
            raise TryLater("recipient_later", vendor=VENDOR) from error
        except smtplib.SMTPDataError as error:
            if error.smtp_code >= 500:
                raise Refused("letter_refused", vendor=VENDOR) from error
            raise TryLater("letter_later", vendor=VENDOR) from error
        except (OSError, smtplib.SMTPException) as error:
            raise TryLater(type(error).__name__, vendor=VENDOR) from error

    def _message(self, letter: Letter) -> Message:
        html, text = self.render(letter)
        headers = {"Auto-Submitted": "auto-generated", **letter.headers}
        for value in (letter.subject, letter.message_id, *headers, *headers.values()):
            _one_line(value)
        try:
            recipients: list[str | tuple[str, str]] = [mail_address(address) for address in letter.to]
        except ValueError as error:
            raise Refused("bad_recipient", str(error), vendor=VENDOR) from error
        if not recipients or len(letter.subject) > LONGEST_SUBJECT:
            raise Refused("bad_header", "no recipient, or too long a subject", vendor=VENDOR)
        name, address = parseaddr(self._sender)
        message = _Message(
            subject=letter.subject,
            recipients=recipients,
            body=text,
            html=html,
            sender=formataddr((name, address)),
            extra_headers=headers,
        )
        message.msgId = letter.message_id
        return message


def _one_line(value: str) -> None:
    if any(ord(character) < 32 or ord(character) == 127 or character in "\u2028\u2029\x85" for character in value):
        raise Refused("bad_header", "a header may not hold control characters", vendor=VENDOR)
