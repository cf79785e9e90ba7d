"""What a run comes to: sentences about what is wrong, and the one place that decides whether it failed."""

from __future__ import annotations

from dataclasses import dataclass, field

MOST_MINUTES = 15.0
"""Of the product's time, from recovery until each line is in a state that says what happens next (never lost)."""
NEVER = float("inf")


@dataclass
class Verdict:
    """`waiting`: not bought, but Waybill says why and whose turn it is. `hidden`: bought, and not shown in the shop.

    `trouble`: of the run itself, an act of the nemesis or of a person that broke. `minutes`: of the product's time, from
    recovery until each line was accounted for; `open`: lines that were late, or never were.
    """

    lines: int = 0
    orders: int = 0
    twice: list[str] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    waiting: list[str] = field(default_factory=list)
    hidden: list[str] = field(default_factory=list)
    trouble: list[str] = field(default_factory=list)
    open: list[str] = field(default_factory=list)
    minutes: float = 0.0

    def failures(self, *, timed: bool = True) -> list[str]:
        """Everything for which the run fails. `timed`: being late counts, as it does unless the machine is shared."""
        kinds = {
            "bought twice": self.twice,
            "lost": self.lost,
            "wrong customer": self.wrong,
            "held": self.waiting,
            "not shown": self.hidden,
            "trouble": self.trouble,
        }
        told = [f"{kind}: {sentence}" for kind, sentences in kinds.items() for sentence in sentences]
        if not timed or self.minutes <= MOST_MINUTES:
            return told
        late = "never" if self.minutes == NEVER else f"after {self.minutes:.1f} minutes of the product's time"
        return [*told, f"late: all was accounted for {late}", *(f"late: {sentence}" for sentence in self.open)]

    @property
    def good(self) -> bool:
        """Nothing failed, being in time among it."""
        return not self.failures()
