"""While the supplier's times are known to be read in a wrong zone, nobody's order is told by them."""

from __future__ import annotations

from app.pipeline import adopt, evidence, supplier_read
from app.pipeline.record import alert, end_alerts
from tests.pipeline.stage import ONE, Stage


def test_an_order_is_given_to_nobody_by_its_time_until_the_zone_is_right(stage: Stage) -> None:
    mine = stage.purchase("UNKNOWN", outcome="UNKNOWN")
    attempt = adopt.open_attempt(stage.session, mine)
    assert attempt is not None
    order = stage.supplier_order("81", None, ONE)

    def attach() -> str:
        read = stage.read("81")
        return evidence.attach(stage.container, stage.session, order, read, [(mine, attempt)], source="push")

    alert(stage.session, supplier_read.CLOCK, "supplier_clock", "?")
    assert attach() == f"may be of {mine.id}, but times are read in a wrong zone"
    assert (order.role, order.purchase_id, mine.state) == ("orphan", None, "UNKNOWN")
    assert stage.tasks() == [f"orphan:{order.id}:clock"]
    assert order.track_run_at is not None, "it is looked at again"
    end_alerts(stage.session, supplier_read.CLOCK)
    assert attach() == f"attached to purchase {mine.id}"
    assert stage.tasks() == []


def test_what_fits_nobody_is_undecided_until_the_zone_is_right(stage: Stage) -> None:
    bought = stage.purchase("PLACED_PAID", outcome="PLACED")
    stage.supplier_order("80", bought, ONE)
    order = stage.supplier_order("81", None, ONE)

    def attach() -> None:
        read = stage.read("81", created_at=stage.now)
        assert evidence.attach(stage.container, stage.session, order, read, [], source="push").startswith("belongs to")
        stage.session.flush()

    alert(stage.session, supplier_read.CLOCK, "supplier_clock", "?")
    attach()
    assert stage.tasks() == []
    assert stage.soon(stage.again(order).track_run_at) < 60
    end_alerts(stage.session, supplier_read.CLOCK)
    attach()
    assert stage.tasks() == [f"stray:{order.id}:twice"]


def test_what_is_closed_is_looked_at_again_only_for_whoever_may_own_it(stage: Stage) -> None:
    """Not by its own clock: the unclear purchase has it read once more (`reconcile`)."""
    mine = stage.purchase("UNKNOWN", outcome="UNKNOWN")
    attempt = adopt.open_attempt(stage.session, mine)
    assert attempt is not None
    order = stage.supplier_order("81", None, ONE, closed=True)
    alert(stage.session, supplier_read.CLOCK, "supplier_clock", "?")
    said = evidence.attach(stage.container, stage.session, order, stage.read("81"), [(mine, attempt)], source="push")
    assert "wrong zone" in said
    assert order.track_run_at is None
    assert "81" in evidence.unattached(stage.session, order.account_id, attempt.sent_at)
