"""Answers that are not as Shopify's schema says: told as an outcome, never as a fault of the program that repeats."""

from __future__ import annotations

import functools
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import ParamSpec, TypeVar

from app.ports.errors import OutcomeUnknown, OutsideError, Refused
from connectors.shopify.client import VENDOR

Given = ParamSpec("Given")
Result = TypeVar("Result")

_ODD = (KeyError, IndexError, TypeError, ValueError, AttributeError, ArithmeticError)
CODE = "unreadable_answer"


def reading(act: Callable[Given, Result]) -> Callable[Given, Result]:
    """A read whose answer cannot be understood is `Refused`: a person has to look, asking again helps nobody."""
    return _told(act, Refused)


def writing(act: Callable[Given, Result]) -> Callable[Given, Result]:
    """A write whose answer cannot be understood is `OutcomeUnknown`: it may have been executed."""
    return _told(act, OutcomeUnknown)


def _told(act: Callable[Given, Result], outcome: type[OutsideError]) -> Callable[Given, Result]:
    @functools.wraps(act)
    def run(*given: Given.args, **named: Given.kwargs) -> Result:
        try:
            return act(*given, **named)
        except _ODD as error:
            at = traceback.extract_tb(error.__traceback__)[-1]
            where = f"{type(error).__name__} at {Path(at.filename).name}:{at.lineno}"  # no value: it may be anybody's
            raise outcome(CODE, where, vendor=VENDOR, operation=act.__name__) from error

    return run
