"""The REST base in the front page itself, for shops whose server drops the Link header."""

from __future__ import annotations

import json
from typing import Any

import pytest

from app.ports.http import DialPolicy, HTTPClient
from connectors.woocommerce.discovery import discover
from tests.flow.world import Served

INDEX = {"name": "Socks &amp; More", "namespaces": ["wc/v3"], "timezone_string": "Europe/Berlin"}


@pytest.mark.parametrize(
    "tag",
    [
        "<link rel='https://api.w.org/' href='/blog/wp-json/' />",
        '<LINK href="/blog/wp-json/" rel="https://api.w.org/">',
        "<link rel='https://api.w.org/'><link rel='https://api.w.org/' href='/blog/wp-json/'>",
    ],
)
def test_the_link_is_found_in_the_page(tag: str) -> None:
    page = f"<html><head><link rel='icon' href='/icon.png'>{tag}</head></html>".encode()

    def answer(environ: Any, start: Any) -> Any:
        body = json.dumps(INDEX).encode() if environ["PATH_INFO"] == "/blog/wp-json/" else page
        start("200 OK", [("Content-Type", "application/json"), ("Content-Length", str(len(body)))])
        return [body if environ["REQUEST_METHOD"] == "GET" else b""]

    shop = Served(answer)
    try:
        site = discover(HTTPClient(DialPolicy(allow_private=True)), shop.url)
    finally:
        shop.stop()
    assert (site.base, site.home, site.name) == (f"{shop.url}/blog/wp-json", f"{shop.url}/blog", "Socks & More")
