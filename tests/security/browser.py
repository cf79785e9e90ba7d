"""A merchant's browser, as far as connecting needs one: it keeps cookies and follows nothing by itself."""

from __future__ import annotations

import http.client
from dataclasses import dataclass, field
from http.cookies import SimpleCookie
from urllib.parse import parse_qsl, urlencode, urlsplit


@dataclass(frozen=True)
class Page:
    """An answer."""

    status: int
    body: str
    headers: dict[str, str]

    @property
    def location(self) -> str:
        """Where it sends the browser."""
        return self.headers["location"]


@dataclass
class Browser:
    """`cookies`: by name, of all hosts."""

    cookies: dict[str, str] = field(default_factory=dict)

    def get(self, url: str) -> Page:
        """Open an address."""
        return self._ask("GET", url)

    def post(self, url: str, **form: str) -> Page:
        """Send a form."""
        return self._ask("POST", url, urlencode(form))

    def agree(self, url: str, user_id: str) -> Page:
        """Press the button of the supplier's consent page as this account."""
        asked = urlsplit(url)
        form = urlencode([*parse_qsl(asked.query), ("user_id", user_id)])
        return self._ask("POST", f"{asked.scheme}://{asked.netloc}{asked.path}", form)

    def _ask(self, method: str, url: str, form: str | None = None) -> Page:
        parts = urlsplit(url)
        connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=20)
        headers = {"Cookie": "; ".join(f"{name}={value}" for name, value in self.cookies.items())}
        if form is not None:
            headers["Content-Type"] = "application/x-www-form-urlencoded"
        try:
            connection.request(method, f"{parts.path}?{parts.query}", form, headers)
            answer = connection.getresponse()
            body = answer.read().decode()
        finally:
            connection.close()
        told = {name.lower(): value for name, value in answer.getheaders()}
        for morsel in SimpleCookie(told.get("set-cookie", "")).values():
            self.cookies[morsel.key] = morsel.value
        return Page(answer.status, body, told)
