"""Load by `wrk`, a process of its own: each request a genuine Shopify delivery with an id of its own."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import os
import shutil
import subprocess
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Any

CONNECTIONS = 16
_SCRIPT = """
local body = [==[{body}]==]
local headers = {{
  ["Content-Type"] = "application/json",
  ["X-Shopify-Topic"] = "orders/create",
  ["X-Shopify-Hmac-Sha256"] = "{signature}",
  ["X-Shopify-Shop-Domain"] = "{shop}",
  ["X-Shopify-API-Version"] = "2026-10",
  ["X-Shopify-Triggered-At"] = "2026-10-01T12:00:00.000000Z",
}}
local n = 0
request = function()
  n = n + 1
  headers["X-Shopify-Webhook-Id"] = "{run}-" .. n
  return wrk.format("POST", nil, headers, body)
end
done = function(summary, latency, requests)
  local e = summary.errors
  io.write(string.format('\\nRESULT {{"requests": %d, "microseconds": %d, "p50": %d, "p99": %d, "max": %d, '
    .. '"refused": %d, "broken": %d}}\\n', summary.requests, summary.duration, latency:percentile(50),
    latency:percentile(99), latency.max, e.status, e.connect + e.read + e.write + e.timeout))
end
"""


def find() -> str | None:
    """The program, installed from Debian if we may; None if there is no way."""
    if shutil.which("wrk") is None and os.geteuid() == 0 and shutil.which("apt-get"):
        for words in (["update", "-qq"], ["install", "-y", "-qq", "wrk"]):
            subprocess.run(["apt-get", *words], check=False, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return shutil.which("wrk")


@dataclass(frozen=True)
class Burst:
    """What one burst of load saw. Latencies in milliseconds; `rate` a second."""

    requests: int
    rate: float
    p50: float
    p99: float
    slowest: float
    failed: int


def sign(secret: str, body: bytes) -> str:
    return base64.b64encode(hmac.digest(secret.encode(), body, "sha256")).decode()


def burst(url: str, seconds: float, folder: Path, *, shop: str, secret: str) -> Burst:
    """`seconds` of load over 16 connections."""
    body = order_body(4_611_686_018_427_387_904, size=11_000)
    script = folder / "load.lua"
    run = uuid.uuid4().hex[:16]
    text = _SCRIPT.format(body=body.decode(), signature=sign(secret, body), shop=shop, run=run)
    script.write_text(text, encoding="utf-8")
    words = ["wrk", "-t1", f"-c{CONNECTIONS}", f"-d{max(round(seconds), 1)}s", "--timeout", "10s"]
    done = subprocess.run([*words, "-s", str(script), url], check=True, capture_output=True, text=True)
    found = next(line for line in done.stdout.splitlines() if line.startswith("RESULT "))
    told: dict[str, Any] = json.loads(found.removeprefix("RESULT "))
    return Burst(
        told["requests"],
        told["requests"] / (told["microseconds"] / 1e6),
        told["p50"] / 1000,
        told["p99"] / 1000,
        told["max"] / 1000,
        told["refused"] + told["broken"],
    )


def order_body(number: int, size: int = 11_000) -> bytes:
    """A body of Shopify's order shape and the given size."""
    lines: list[dict[str, Any]] = []
    order = {
        "id": number,
        "admin_graphql_api_id": f"gid://shopify/Order/{number}",
        "currency": "USD",
        "financial_status": "paid",
        "shipping_address": {
            "first_name": "Ada",
            "last_name": "Example",
            "address1": "1 Sample Street",
            "zip": "62701",
        },
        "line_items": lines,
    }
    while len(json.dumps(order)) < size - 400:
        seed = hashlib.sha256(f"{number}:{len(lines)}".encode()).hexdigest()
        lines.append(
            {
                "id": int(seed[:12], 16),
                "admin_graphql_api_id": f"gid://shopify/LineItem/{int(seed[:12], 16)}",
                "name": f"Sample item {seed[:6]}",
                "price": f"{int(seed[6:9], 16) / 100:.2f}",
                "price_set": {"shop_money": {"amount": "19.90", "currency_code": "USD"}},
                "sku": seed[9:19].upper(),
                "quantity": 1,
                "fulfillable_quantity": 1,
                "requires_shipping": True,
                "tax_lines": [],
                "properties": [{"name": "_token", "value": seed}],
            }
        )
    return json.dumps(order, separators=(",", ":")).encode()
