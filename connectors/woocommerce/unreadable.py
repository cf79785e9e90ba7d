"""Answers that hold what WooCommerce itself never writes: told as an outcome, never as a fault of the program."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import ParamSpec, TypeVar

from app.ports.errors import OutcomeUnknown, OutsideError, Refused
from connectors.woocommerce.client import VENDOR
from connectors.woocommerce.payload import Unreadable

Given = ParamSpec("Given")
Result = TypeVar("Result")
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
        except Unreadable as error:  # it names the field, never its value
            raise outcome(CODE, str(error), vendor=VENDOR, operation=act.__name__) from error

    return run
