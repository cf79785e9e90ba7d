"""Reasons that lie in the shop, in our own gates or in the outcome of a send, as data.

Facts that the pipeline gives: `product quote cost paid limit total stock available wanted country service field problem
message code detail account purchase found of order supplier_order hold spent days`. They stand in `[…]` only.
Sources: purchase lifecycle (sections 4, 6, 7, 8, 10), codes of the AliExpress reference (7.1.1).
"""

from __future__ import annotations

Row = tuple[str, str, str, str, str]
"""Code, turn, text for the merchant, text for staff, remedy."""

_SHOP: tuple[Row, ...] = (
    (
        "unpaid",
        "buyer",
        "The buyer has not paid yet. The order goes on as soon as the shop reports the payment.",
        "Storefront says unpaid[: {detail}].",
        "none",
    ),
    (
        "fraud_risk",
        "merchant",
        "The shop rates this order as a high risk of fraud. Look at it there; release it or cancel it.",
        "High-risk recommendation[: {hold}].",
        "review_in_shop",
    ),
    (
        "shop_hold",
        "merchant",
        "The order is on hold in the shop[ ({hold})]. Release it there, and it goes on.",
        "Fulfilment hold[: {hold}].",
        "review_in_shop",
    ),
    (
        "status_unknown",
        "merchant",
        (
            "The order is paid, but in a status that Waybill does not know[ ({hold})]. If it is to be bought, set it "
            "to processing in the shop, or ask support to count this status as paid."
        ),
        "A status made by a plugin, with a time of payment[: {hold}]. WOOCOMMERCE_PAID_STATUSES can name it.",
        "review_in_shop",
    ),
    (
        "waiting_request",
        "merchant",
        ("The shop has not asked for fulfilment of these items yet. Choose “Request fulfillment” in the shop's admin."),
        "Fulfilment order at our location without an open or accepted request[: {detail}].",
        "request_fulfilment",
    ),
    (
        "fulfilment_not_requested",
        "merchant",
        "The tracking number cannot be shown yet: the shop's fulfilment request is missing. Request it again.",
        "fulfillmentCreate impossible at our location[: {code}].",
        "request_fulfilment",
    ),
    (
        "fulfilment_on_hold",
        "merchant",
        "The tracking number cannot be shown yet: the shop holds this fulfilment. Release the hold in the shop.",
        "Fulfilment order on hold[: {code}].",
        "review_in_shop",
    ),
    (
        "request_cancelled",
        "merchant",
        "The fulfilment request was cancelled in the shop. Request it again to go on.",
        "Cancellation request accepted before T3.",
        "request_fulfilment",
    ),
    (
        "changed",
        "us",
        "The order changed while it was being checked. We look at it afresh.",
        "T3's re-check failed[: {detail}].",
        "none",
    ),
    (
        "cancelled_by_shop",
        "merchant",
        "The order or these items were cancelled in the shop; nothing is bought.",
        "Cancelled before the point of no return, or nothing left to buy.",
        "none",
    ),
    (
        "unverified",
        "merchant",
        (
            "Two persons said that this was ordered; the supplier account cannot be read, so nobody has checked it. "
            "Connect the account again to have it checked; until then give tracking numbers by hand."
        ),
        "Statement about an account that was unreadable for 7 days (resolve --unverified).",
        "renew_account",
    ),
    (
        "account_changed",
        "us",
        "The shop buys with another supplier account now; a new purchase takes the place of this one.",
        "An unsent purchase with sends that were not executed, moved to another account.",
        "none",
    ),
    (
        "refunded",
        "merchant",
        "The items were refunded in the shop; nothing more is bought.",
        "Nothing left to ship after refunds.",
        "none",
    ),
    (
        "nothing_left",
        "merchant",
        "The shop expects nothing more of these items: they were removed, or somebody else ships them.",
        "Nothing left to ship, and not because of refunds.",
        "none",
    ),
    (
        "test_order",
        "merchant",
        "This is a test order. Test orders are never bought.",
        "test flag set.",
        "none",
    ),
    (
        "uninstalled",
        "merchant",
        (
            "Waybill was removed from the shop while this order waited. Install it again and continue the "
            "waiting orders."
        ),
        "Held since the uninstall; a reinstall does not release by itself.",
        "continue_orders",
    ),
    (
        "shop_paused",
        "merchant",
        "Ordering is paused for this shop. Resume it to go on.",
        "Shop paused by a person.",
        "resume_shop",
    ),
    (
        "shop_token_dead",
        "merchant",
        ("The shop no longer accepts our connection. Open Waybill in the shop's admin, or connect the shop again."),
        "Storefront token refused[: {code}].",
        "reconnect_shop",
    ),
    (
        "shop_permission",
        "merchant",
        (
            "Waybill lacks a permission that it needs in this shop[: {detail}]. Open Waybill in the shop's admin and "
            "grant it, or connect the shop again. Nothing is lost: what waits goes on then."
        ),
        "Missing scope or protected-data approval[: {detail}].",
        "grant_permission",
    ),
    (
        "order_too_old",
        "merchant",
        (
            "Waybill lacks the permission to read orders older than 60 days (read_all_orders), so nothing is bought "
            "for this one. Grant it if your shop offers it, or order these goods yourself; the order is not cancelled."
        ),
        "The shop shows no such order, and it is older than what we may read: not taken for gone.",
        "grant_permission",
    ),
    (
        "shop_frozen",
        "merchant",
        "The shop is frozen by its platform, often because of an open bill. Settle it there.",
        "402 or 423 from the storefront.",
        "settle_shop",
    ),
    (
        "shop_gone",
        "merchant",
        "The shop no longer answers at its address. Connect it at its new address, or close it here.",
        "404 or unresolvable for days.",
        "reconnect_shop",
    ),
    (
        "storefront_down",
        "us",
        "The shop does not answer at the moment. We try again by ourselves.",
        "TryLater from the storefront[: {code}].",
        "none",
    ),
)

_GATES: tuple[Row, ...] = (
    (
        "breaker_open",
        "us",
        "AliExpress is having trouble, so we wait before ordering. Nothing is lost: it goes on by itself.",
        "Placement breaker open[: {detail}].",
        "none",
    ),
    (
        "placement_frozen",
        "us",
        ("Ordering is stopped while we make sure that nothing is bought twice. We are on it, and nothing is lost."),
        "Placement frozen[: {detail}]; see `flask placement status`.",
        "release_placement",
    ),
    (
        "interlocked",
        "us",
        (
            "The same item is being ordered for another customer[ (purchase {purchase})]. This one follows "
            "as soon as that is clear."
        ),
        "Interlock on account, product and SKU[, held by purchase {purchase}].",
        "none",
    ),
    (
        "call_limit",
        "us",
        "AliExpress limits how fast we may order. This order is in the queue and goes on by itself.",
        "ApiCallLimit[: {code}].",
        "none",
    ),
    (
        "supplier_down",
        "us",
        "AliExpress does not answer at the moment. We try again by ourselves.",
        "TryLater from the supplier[: {code}].",
        "none",
    ),
    (
        "held_up",
        "us",
        "We were too slow to send this order in time, so it was not sent. We try again by ourselves.",
        "Not sent: more than two seconds after T3. If it stays, the workers' machine is overloaded.",
        "none",
    ),
    (
        "config",
        "us",
        "A setting on our side is wrong. We have been alerted, and nothing is lost.",
        "Signature, key, permission or parameter refused[: {code}].",
        "fix_configuration",
    ),
)

_OUTCOMES: tuple[Row, ...] = (
    (
        "outcome_unknown",
        "us",
        (
            "We asked AliExpress to create this order and got no clear answer. We look for it for an hour; if "
            "nothing turns up, you are asked to look. Do not order it by hand.[ Found so far: {found} of {of} items.]"
        ),
        "UNKNOWN[: {code}]; never sent again to find out.",
        "none",
    ),
    (
        "recalled",
        "us",
        (
            "This was sent before the database was restored from a backup, and is put back. We make sure what became "
            "of it; please do not order anything by hand."
        ),
        "Put back as sent: the database had forgotten it[ (attempt {attempt})].",
        "none",
    ),
    (
        "sent_before",
        "us",
        (
            "Our own record says that this was sent already, though the database does not know of it. It is not sent "
            "again: we put it back and make sure what became of it. Please do not order it by hand."
        ),
        "The journal holds an answer under this number: the database forgot the send, as after a restore.",
        "none",
    ),
    (
        "confirming",
        "us",
        (
            "AliExpress answered with order numbers[ ({orders})]. We read them to make sure that they hold every item; "
            "please do not order anything by hand."
        ),
        "Ids of an order of several items, coverage not confirmed yet[: {orders}].",
        "none",
    ),
    (
        "partly_found",
        "merchant",
        (
            "Only a part of this order was found at AliExpress[: {found} of {of} pieces]. Look there for the rest: "
            "give its number, or say that it is not there."
        ),
        "HUMAN[ ({found} of {of} found)]; the interlock stays.",
        "resolve_purchase",
    ),
    (
        "needs_person",
        "merchant",
        (
            "This order needs a person[: {message}]. Look at it and at your AliExpress order list, then say"
            " how to go on."
        ),
        "HUMAN, or a refusal that only a person can read[: {code}].",
        "resolve_purchase",
    ),
    (
        "late_evidence",
        "us",
        (
            "An order that seemed not to exist has turned up at AliExpress[ ({supplier_order})]. What was to be "
            "ordered after it is stopped.[ If it is just that: `flask purchase resolve {purchase} --found "
            "{supplier_order}`.] If you keep both, say so: `flask orphan dismiss[ {supplier_order}]`."
        ),
        "Late evidence for a generation that was given up[: {supplier_order}].",
        "none",
    ),
    (
        "duplicate_risk",
        "merchant",
        (
            "Two AliExpress orders exist for the same items. Do not pay the second one[ ({order})]; if it "
            "is paid, ask the seller to cancel it."
        ),
        "Incident DUPLICATE[: {order}].",
        "cancel_at_supplier",
    ),
    (
        "expired_unpaid",
        "merchant",
        "AliExpress closed this order because it was not paid in time. Order it again, or cancel it.",
        "EXPIRED, read twice.",
        "order_again",
    ),
    (
        "supplier_cancelled",
        "merchant",
        (
            "AliExpress or the seller closed this order after payment[ ({detail})]. Order it again, or "
            "refund your buyer."
        ),
        "SUPPLIER_CANCELLED[: {detail}].",
        "order_again",
    ),
)

ROWS = (*_SHOP, *_GATES, *_OUTCOMES)
