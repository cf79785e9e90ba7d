"""The address of a shop as merchants type it, in the one form that we store. S28: checked here and when dialled."""

from __future__ import annotations

import ipaddress
import re
from urllib.parse import quote, unquote, urlsplit

import idna

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*):(?!\d)")
_HOST = re.compile(r"(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)+(?:xn--[a-z0-9-]{1,58}|[a-z]{2,63})")
_LOOSE_HOST = re.compile(r"[a-z0-9](?:[a-z0-9.-]{0,251}[a-z0-9])?|\[[0-9a-f:.]{2,45}\]")
_ODD = re.compile(r"[\x00-\x20\x7f\\@\"<>^`{|}]|[^\S ]")
_PRIVATE = frozenset(
    [
        "localhost",
        "local",
        "localdomain",
        "internal",
        "intranet",
        "private",
        "lan",
        "home",
        "corp",
        "mail",
        "arpa",
        "onion",
        "invalid",
        "test",
    ]
)
#: What merchants copy along from their browser's address bar.
_PAGES = re.compile(r"/(?:wp-admin|wp-json|wp-login\.php|index\.php|wp-content|wc-auth)(?:/.*)?$")

_LONGEST = 500
_LONGEST_HOST = 253
_EXAMPLE = "It should look like https://shop.example or https://shop.example/store."


def canonical(typed: str, *, development: bool = False, allow_http: bool = False) -> str:
    """`https://host[/path]`: lower-case ASCII host, path kept without its trailing slash.

    `development`: loopback, bare names and any port are accepted. `allow_http`: so is plain http.
    Raises ValueError with a text for the merchant.
    """
    address = typed.strip(" \t\r\n")
    if not address:
        raise ValueError(f"Please enter the address of your shop. {_EXAMPLE}")
    if len(address) > _LONGEST or _ODD.search(address):
        raise ValueError(f"The shop's address contains characters that do not belong there. {_EXAMPLE}")
    if "://" not in address:
        if _SCHEME.match(address):
            raise ValueError(f"The shop's address has to begin with https://. {_EXAMPLE}")
        address = f"https://{address}"
    try:
        parts = urlsplit(address)
        port = parts.port
    except ValueError:
        raise ValueError(f"This is not a web address. {_EXAMPLE}") from None
    scheme = parts.scheme.lower()
    _check_scheme(scheme, allow_http=allow_http)
    host = _host(parts.netloc, parts.hostname or "", development=development)
    return f"{scheme}://{host}{_port(scheme, port, development=development)}{_path(parts.path)}"


def _check_scheme(scheme: str, *, allow_http: bool) -> None:
    if scheme == "http" and not allow_http:
        raise ValueError("The shop has to use https: your customers' addresses travel on this line.")
    if scheme not in {"https", "http"}:
        raise ValueError(f"The shop's address has to begin with https://. {_EXAMPLE}")


def _host(netloc: str, raw: str, *, development: bool) -> str:
    if not raw or "%" in netloc:
        raise ValueError(f"The shop's address has no proper host name. {_EXAMPLE}")
    name = raw.lower().rstrip(".")
    if netloc.startswith("["):
        name = f"[{name}]"
    elif not name.isascii():
        try:
            name = idna.encode(name, uts46=True).decode("ascii").lower().rstrip(".")
        except idna.IDNAError:
            raise ValueError(f"The shop's host name cannot be written as a web address. {_EXAMPLE}") from None
    if development:
        if not _LOOSE_HOST.fullmatch(name):
            raise ValueError(f"The shop's address has no proper host name. {_EXAMPLE}")
        return name
    _check_public(name)
    return name


def _check_public(name: str) -> None:
    try:
        ipaddress.ip_address(name.strip("[]"))
    except ValueError:
        pass
    else:
        raise ValueError(f"Please enter the shop's name instead of a number. {_EXAMPLE}")
    # Decimal, octal, hexadecimal and short forms of an IPv4 address all end in a label that no top-level
    # domain is.
    if len(name) > _LONGEST_HOST or not _HOST.fullmatch(name):
        raise ValueError(f"The shop's address has no proper host name. {_EXAMPLE}")
    if name.rsplit(".", 1)[-1] in _PRIVATE:
        raise ValueError(f"This name exists only inside a private network; we could not reach the shop. {_EXAMPLE}")


def _port(scheme: str, port: int | None, *, development: bool) -> str:
    usual = 443 if scheme == "https" else 80
    if port is None or port == usual:
        return ""
    if not development:
        raise ValueError(f"The shop's address must not name a port. {_EXAMPLE}")
    return f":{port}"


def _path(path: str) -> str:
    plain = unquote(path)
    if any(part in {".", ".."} for part in plain.split("/")) or _ODD.search(plain):
        raise ValueError(f"The path of the shop's address is not usable. {_EXAMPLE}")
    shortened = _PAGES.sub("", re.sub(r"/{2,}", "/", path))
    return quote(shortened.rstrip("/"), safe="/%-._~!$&'()*+,;=:")


def same_host(one: str, other: str) -> bool:
    """Whether two URLs name the same scheme, host and port. Never raises."""
    origins = {_origin(one), _origin(other)}
    return len(origins) == 1 and None not in origins


def _origin(url: str) -> tuple[str, str, int] | None:
    try:
        parts = urlsplit(url)
        port = parts.port or (443 if parts.scheme == "https" else 80)
    except ValueError:
        return None
    return (parts.scheme, parts.hostname, port) if parts.hostname else None
