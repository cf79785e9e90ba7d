"""What a broken story is cut down to."""

from __future__ import annotations

from tests.machine.shorten import shorten


def test_what_a_break_does_not_need_is_left_out() -> None:
    assert shorten(range(40), lambda kept: {3, 17, 31} <= set(kept), 60.0) == (3, 17, 31)


def test_acts_that_need_each_other_stay_together() -> None:
    assert shorten("abcdefgh", lambda kept: "c" in kept and "f" in kept, 60.0) == ("c", "f")


def test_a_story_that_breaks_by_itself_becomes_empty() -> None:
    assert shorten("abc", lambda _kept: True, 60.0) == ()


def test_without_time_a_story_stays_as_it_is() -> None:
    assert shorten("abc", lambda _kept: True, 0.0) == ("a", "b", "c")
