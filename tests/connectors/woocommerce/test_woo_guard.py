"""Our webhooks in the shop: made, found, mended, never doubled."""

from __future__ import annotations

import pytest

from app.ports.errors import MerchantMustAct, OutcomeUnknown, Refused
from connectors.woocommerce.guard import TOPICS
from connectors.woocommerce.webhooks import verify
from tests.connectors.woocommerce.harness import SECRET, Receiver, Shop, until


def hooks(shop: Shop) -> list[dict[str, object]]:
    return list(shop.simulated.control("state")["shops"][shop.slug]["webhooks"].values())


def test_made_once_and_then_found(shop: Shop, receiver: Receiver) -> None:
    first = shop.session().check_webhooks(receiver.url)
    assert set(first.created) == set(TOPICS)
    assert first.gap_possible
    assert [verify(one, [SECRET]).effect for one in receiver.requests] == [False] * len(TOPICS)
    second = shop.session().check_webhooks(receiver.url)
    assert set(second.present) == set(TOPICS)
    assert not second.gap_possible
    assert len(hooks(shop)) == len(TOPICS)


def test_deliveries_carry_our_secret(shop: Shop, receiver: Receiver) -> None:
    shop.session().check_webhooks(receiver.url)
    shop.order()
    until(lambda: {"order.created", "order.updated", "product.updated"} <= set(receiver.topics()))
    assert all(verify(one, [SECRET]) for one in receiver.requests)


def test_disabled_is_seen_and_switched_on_again(shop: Shop, receiver: Receiver) -> None:
    shop.session().check_webhooks(receiver.url)
    receiver.status = 500
    for _ in range(7):
        shop.simulated.control("queue", {"shop": shop.slug, "act": "pause"})
        shop.order()
        shop.simulated.control("queue", {"shop": shop.slug, "act": "run"})
    assert {"order.created", "order.updated"} <= {hook["topic"] for hook in hooks(shop) if hook["status"] == "disabled"}
    receiver.status = 200
    report = shop.session().check_webhooks(receiver.url)
    assert {"order.created", "order.updated"} <= set(report.reenabled)
    assert report.gap_possible
    assert {hook["status"] for hook in hooks(shop)} == {"active"}
    assert not shop.session().check_webhooks(receiver.url).gap_possible


def test_doubles_are_deleted_and_others_left_alone(shop: Shop, receiver: Receiver) -> None:
    session = shop.session()
    session.check_webhooks("https://elsewhere.example/hook")
    foreign = len(hooks(shop))
    shop.simulated.fault("webhooks.create", "drop_after")
    with pytest.raises(OutcomeUnknown):
        session.check_webhooks(receiver.url)
    session.check_webhooks(receiver.url)
    assert len(hooks(shop)) == foreign + len(TOPICS)


def test_a_moved_public_url_takes_its_webhooks_along(shop: Shop, receiver: Receiver) -> None:
    token = receiver.url.rsplit("/", 1)[-1]
    shop.session().check_webhooks(f"https://old.example/webhooks/woocommerce/{token}")
    report = shop.session().check_webhooks(receiver.url)
    assert set(report.reenabled) == set(TOPICS)
    assert {hook["delivery_url"] for hook in hooks(shop)} == {receiver.url}


@pytest.mark.security("S07")
@pytest.mark.parametrize("secret", ["", "short", "a" * 31])
def test_s07_no_webhook_is_made_without_a_proper_secret(shop: Shop, receiver: Receiver, secret: str) -> None:
    shop.secrets["webhook_secret"] = secret
    with pytest.raises(Refused):
        shop.session().check_webhooks(receiver.url)
    assert hooks(shop) == []


def test_keys_without_rights_are_told_apart(shop: Shop, receiver: Receiver) -> None:
    shop.simulated.control("keys", {"shop": shop.slug, "act": "no_rights"})
    with pytest.raises(MerchantMustAct) as caught:
        shop.session().check_webhooks(receiver.url)
    assert caught.value.reason == "shop_permission"


def test_what_is_off_may_be_left_off(shop: Shop, receiver: Receiver) -> None:
    shop.session().check_webhooks(receiver.url)
    shop.simulated.fault("delivery:order.updated", "disable", times=-1)
    shop.order()
    until(lambda: {"order.updated"} == {hook["topic"] for hook in hooks(shop) if hook["status"] == "disabled"})
    report = shop.session().check_webhooks(receiver.url, leave=("order.updated", "order.created"))
    assert (report.left, report.created, report.reenabled) == (("order.updated",), (), ())
    assert (len(report.present), report.gap_possible) == (len(TOPICS) - 1, False)
    assert shop.session().check_webhooks(receiver.url).reenabled == ("order.updated",)


def test_what_is_missing_may_be_left_out(shop: Shop, receiver: Receiver) -> None:
    report = shop.session().check_webhooks(receiver.url, leave=("product.deleted",))
    assert report.left == ("product.deleted",)
    assert set(report.created) == set(TOPICS) - {"product.deleted"}
