from flask import Flask


def install(app: Flask) -> None:
    """The commands."""
