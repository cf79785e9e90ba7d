"""The yardstick: a bare Flask POST, to be served exactly as the application is."""

from __future__ import annotations

from flask import Flask

app = Flask(__name__)


@app.post("/")
def hello() -> str:
    return "hello"
