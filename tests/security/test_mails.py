"""S58: nothing gets into a header that does not belong there. S59: texts are text."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest

from app.container import read_settings
from app.mailer import Letter, Mailer
from app.ports.errors import Refused, TryLater
from tests.mailbox import Mailbox, mail_server
from tests.unit.test_settings import GOOD, faults

NASTY = "Ann\r\nBcc: victim@example.com\r\n\r\n<b>hello</b>"
TEMPLATES = "{{7*7}} {% raw %} ${7*7} <script>alert(1)</script> <mj-image src='https://evil.example/x.png' />"


@pytest.fixture
def box() -> Iterator[Mailbox]:
    with mail_server() as running:
        yield running


def mailer(box: Mailbox, **more: str) -> Mailer:
    """The mailer with this server."""
    settings, _ = read_settings({**GOOD, "MAIL_SERVER": "127.0.0.1", "MAIL_PORT": str(box.port), **more})
    return Mailer(settings)


def letter(**changes: Any) -> Letter:
    """A harmless letter with changes."""
    group = {"title": "To do", "rows": [{"text": "Pay order 12", "act": "Pay it", "since": "since today"}]}
    values = {"about": "a shop", "title": "Something", "lead": "Read this.", "groups": [group], "foot": "Bye."}
    plain: dict[str, Any] = {
        "to": ("owner@shop.example",),
        "subject": "Something needs you",
        "template": "digest",
        "values": values | changes.pop("values", {}),
        "message_id": "<1@waybill.example>",
        "headers": {},
    }
    return Letter(**(plain | changes))


def test_a_letter_arrives_as_text_and_html(box: Mailbox) -> None:
    mailer(box).send(letter())
    (mail,) = box.mails
    assert (mail["Subject"], mail["To"], mail["Message-ID"]) == (
        "Something needs you",
        "owner@shop.example",
        "<1@waybill.example>",
    )
    assert mail["Auto-Submitted"] == "auto-generated"
    assert "Pay order 12" in box.text()
    assert "Pay order 12" in box.html()
    assert "<mj-" not in box.html()


@pytest.mark.security("S58")
@pytest.mark.parametrize(
    "changes",
    [
        {"subject": NASTY},
        {"subject": "two\nlines"},
        {"subject": "a\x00b"},
        {"subject": "a\u2028Bcc: x@y.example"},
        {"to": (NASTY,)},
        {"to": ("a@b.example, c@d.example",)},
        {"to": ("a@b.example\r\nBcc: c@d.example",)},
        {"to": ("Ann <a@b.example>",)},
        {"to": ("a@b.example", "c@d.example,e@f.example")},
        {"to": ()},
        {"message_id": "<1@x>\r\nBcc: victim@example.com"},
        {"headers": {"Reply-To": "a@b.example\r\nBcc: c@d.example"}},
        {"headers": {"Cc\r\nBcc": "c@d.example"}},
        {"headers": {"X-Order": NASTY}},
    ],
)
def test_s58_what_does_not_belong_into_a_header_is_refused_before_anything_is_sent(
    box: Mailbox, changes: dict[str, Any]
) -> None:
    with pytest.raises(Refused):
        mailer(box).send(letter(**changes))
    assert box.raw == []


@pytest.mark.security("S58")
@pytest.mark.parametrize("value", ["x", "a@b.example\r\nBcc: c@d.example", "a@b, c@d <e@f>, ", "Ann\n<a@b.example>"])
def test_s58_a_sender_or_staff_address_that_is_none_stops_the_start(value: str) -> None:
    assert "STAFF_EMAIL" in faults(STAFF_EMAIL=value)
    if value != "x":
        assert "MAIL_DEFAULT_SENDER" in faults(MAIL_DEFAULT_SENDER=value)


@pytest.mark.security("S58", "S59")
def test_s58_s59_line_breaks_and_template_marks_in_a_text_stay_text(box: Mailbox) -> None:
    row = {"text": f"{NASTY} {TEMPLATES}", "act": TEMPLATES, "since": ""}
    mailer(box).send(letter(values={"groups": [{"title": TEMPLATES, "rows": [row]}], "about": TEMPLATES}))
    (mail,) = box.mails
    assert box.to == [["owner@shop.example"]]
    assert (mail["Bcc"], mail["Cc"]) == (None, None)
    assert "{{7*7}}" in box.text()
    assert "{{7*7}}" in box.html()
    assert "49" not in re.sub(r"\d{3,}|#\w+", "", box.text())
    assert "<script" not in box.html()
    assert "<img" not in box.html()
    assert "<b>hello" not in box.html()


def test_a_refusal_for_ever_is_told_from_one_for_now(box: Mailbox) -> None:
    box.answer = "550 nobody here"
    with pytest.raises(Refused, match="recipient_refused"):
        mailer(box).send(letter())
    box.answer = "450 not now"
    with pytest.raises(TryLater):
        mailer(box).send(letter())
    box.answer, box.after = "250 OK", "451 greylisted"
    with pytest.raises(TryLater):
        mailer(box).send(letter())


def test_a_server_that_is_away_or_shows_no_certificate_is_tried_later(box: Mailbox) -> None:
    with pytest.raises(TryLater):
        mailer(box, MAIL_USE_TLS="1").send(letter())
    with pytest.raises(TryLater):
        mailer(box, MAIL_USE_SSL="1").send(letter())
    assert box.raw == []
