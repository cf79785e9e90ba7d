"""What stories of a script have in common."""

from __future__ import annotations

from collections.abc import Iterator

Story = Iterator[None]
"""Goes on at every look, and waits by yielding."""


def beside(*stories: Story) -> Story:
    """All of them, side by side."""
    left = list(stories)
    while left:
        for story in tuple(left):
            if next(story, story) is story:
                left.remove(story)
        yield
