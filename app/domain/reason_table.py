"""The catalogue of reasons as data: code, turn, text for the merchant, text for staff, remedy.

Facts that the pipeline gives: `product quote paid limit total stock wanted country service field problem message code
detail account purchase found of order supplier_order hold spent days`. They stand in `[…]` only.
Sources: purchase lifecycle (sections 4, 6, 7, 8, 10), codes of the AliExpress reference (7.1.1).
"""

from __future__ import annotations

Row = tuple[str, str, str, str, str]

_ACCOUNT: tuple[Row, ...] = (
    (
        "account_missing",
        "merchant",
        "No AliExpress account is connected. Connect one, and this order goes on by itself.",
        "No supplier account for this shop's merchant.",
        "connect_account",
    ),
    (
        "token_dead",
        "merchant",
        "AliExpress no longer accepts the connection to your account[ {account}]. Renew it with one click: no order is lost.",
        "Access token refused and not renewable[: {code}].",
        "renew_account",
    ),
    (
        "account_blocked",
        "merchant",
        "AliExpress has barred your account[ {account}] from ordering[ ({message})]. Ask AliExpress to lift that, or "
        "connect another account.",
        "USER_ACCOUNT_DISABLED or BLACKLIST_BUYER_IN_LIST[: {code}].",
        "contact_supplier",
    ),
    (
        "ds_center",
        "merchant",
        "Your AliExpress account[ {account}] has not joined the DS Center. Join it on AliExpress (free), then try again.",
        "Supplier says that the buyer is no DS member; its code for this is unconfirmed[: {code}].",
        "join_ds_center",
    ),
)

_PRODUCT: tuple[Row, ...] = (
    (
        "mapping_missing",
        "merchant",
        "An item of this order[ ({product})] is not linked to an AliExpress product. Link it, and the order goes on.",
        "No link for a variant of this order.",
        "link_product",
    ),
    (
        "mapping_changed",
        "merchant",
        "A linked AliExpress product[ ({product})] has changed[: {detail}]. Look at it, then confirm the link or choose "
        "another product.",
        "Frozen SKU id and attributes no longer agree with product.get[: {detail}].",
        "review_link",
    ),
    (
        "product_gone",
        "merchant",
        "A linked AliExpress product[ ({product})] is no longer on sale. Link another one, or cancel the item.",
        "Product missing or off sale.",
        "link_product",
    ),
    (
        "out_of_stock",
        "merchant",
        "The supplier does not have enough stock[ of {product}][ ({stock} left, {wanted} needed)]. Link another product, "
        "or try again later.",
        "available_stock below the quantity[: {stock}].",
        "link_product",
    ),
    (
        "partial_stock",
        "merchant",
        "The supplier has only a part of the quantity[: {stock} of {wanted}]. Approve a smaller first part, or wait.",
        "available_stock below the quantity[: {stock} < {wanted}].",
        "split_or_wait",
    ),
    (
        "not_shippable",
        "merchant",
        "AliExpress does not ship an item[ ({product})] of this order to its destination[ ({country})][ within {days} days]. "
        "Link a product that ships there, or cancel the item.",
        "freight.query gave no usable option.",
        "link_product",
    ),
    (
        "shipping_service",
        "merchant",
        "The chosen shipping service[ ({service})] is not offered for this order. Choose another one in the link.",
        "DELIVERY_METHOD_NOT_EXIST, or missing from freight.query; seen for low stock too.",
        "choose_service",
    ),
    (
        "currency",
        "us",
        "AliExpress prices the items of this order in different currencies and refused them together. We sort it out.",
        "PRICE_PAY_CURRENCY_ERROR: order the items in purchases of their own.",
        "split_purchase",
    ),
    (
        "not_physical",
        "merchant",
        "The items of this order need no shipping, so there is nothing to buy.",
        "requires_shipping is false.",
        "none",
    ),
)

_MONEY: tuple[Row, ...] = (
    (
        "price_unknown",
        "us",
        "A price, shipping cost or exchange rate that this order needs is not known[: {detail}]. We try again by ourselves.",
        "No quote or no exchange rate[: {detail}].",
        "none",
    ),
    (
        "margin",
        "merchant",
        "Ordering this would break your margin rule.[ It would cost {quote}; at most {limit} keeps your margin.][ The buyer "
        "paid {paid}.] Approve it, change the price, or cancel.",
        "Price guard.[ Quote {quote}][, limit {limit}][, paid {paid}].",
        "approve_price",
    ),
    (
        "price_over_limit",
        "merchant",
        "Do not pay this AliExpress order: its total[ of {total}] is above your limit[ of {limit}]. Approve it, or let it "
        "expire.",
        "PAY_BLOCKED: order.get total[ {total}] above the limit[ {limit}].",
        "approve_price",
    ),
    (
        "quantity_over",
        "merchant",
        "More pieces would be ordered than this order line allows[ ({wanted} instead of {limit})]. Look at the order, then "
        "approve or cancel.",
        "Sum of live parts above the line's quantity, or a quantity limit.",
        "review_order",
    ),
    (
        "cap_order",
        "merchant",
        "This order[ costs {quote} and] is above your limit for one order[ ({limit})]. Raise the limit, or cancel it.",
        "Order cap.[ Quote {quote}].",
        "raise_cap",
    ),
    (
        "cap_day",
        "merchant",
        "With this order[ ({quote})] today's purchases would pass your daily limit[ of {limit}]. Raise the limit, or try "
        "again tomorrow.",
        "Daily cap.[ Quote {quote}][, spent {spent}].",
        "raise_cap",
    ),
    (
        "autopay_off",
        "merchant",
        "Automatic payment was switched off for this shop[: {detail}]. Pay from the pay list; switch it on again if you wish.",
        "Autopay switched off by us[: {detail}].",
        "pay",
    ),
)

_ADDRESS: tuple[Row, ...] = (
    (
        "address_missing",
        "merchant",
        "The order has no delivery address, or the shop does not let us read it. Add it, or grant Waybill access to "
        "addresses.[ ({problem})]",
        "address is None; never treated as empty[: {problem}].",
        "edit_address",
    ),
    (
        "address_invalid",
        "merchant",
        "The delivery address breaks a rule of AliExpress for its country. [{problem}]",
        "Our address rules; nothing was sent.[ Field {field}].",
        "edit_address",
    ),
    (
        "address_refused",
        "merchant",
        "AliExpress refused the delivery address[: {message}]. Correct it, and we order again.",
        "B_DROPSHIPPER_DELIVERY_ADDRESS_VALIDATE_FAIL.[ Field {field}].",
        "edit_address",
    ),
    (
        "customs_id",
        "buyer",
        "Customs at the destination need a number that only the buyer knows. [{problem}][{message}]",
        "Identifier missing, invalid or refused.[ Field {field}][, {code}].",
        "ask_buyer",
    ),
)

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
        "waiting_request",
        "merchant",
        "The shop has not asked for fulfilment of these items yet. Choose “Request fulfillment” in the shop's admin.",
        "Fulfilment order at our location without an open or accepted request[: {detail}].",
        "request_fulfilment",
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
        "refunded",
        "merchant",
        "The items were refunded in the shop; nothing more is bought.",
        "Nothing left to ship after refunds.",
        "none",
    ),
    ("test_order", "merchant", "This is a test order. Test orders are never bought.", "test flag set.", "none"),
    (
        "uninstalled",
        "merchant",
        "Waybill was removed from the shop while this order waited. Install it again and continue the waiting orders.",
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
        "The shop no longer accepts our connection. Open Waybill in the shop's admin, or connect the shop again.",
        "Storefront token refused[: {code}].",
        "reconnect_shop",
    ),
    (
        "shop_permission",
        "merchant",
        "The shop has not given Waybill a permission that it needs[: {detail}]. Grant it in the shop's admin.",
        "Missing scope or protected-data approval[: {detail}].",
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
        "Ordering is stopped while we make sure that nothing is bought twice. We are on it, and nothing is lost.",
        "Placement frozen[: {detail}]; see `flask placement status`.",
        "release_placement",
    ),
    (
        "interlocked",
        "us",
        "The same item is being ordered for another customer[ (purchase {purchase})]. This one follows as soon as that is "
        "clear.",
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
        "We asked AliExpress to create this order and got no clear answer. We look for it; please do not order it by "
        "hand.[ Found so far: {found} of {of} items.]",
        "UNKNOWN[: {code}]; never sent again to find out.",
        "none",
    ),
    (
        "needs_person",
        "merchant",
        "This order needs a person[: {message}]. Look at it and at your AliExpress order list, then say how to go on.",
        "HUMAN, or a refusal that only a person can read[: {code}].",
        "resolve_purchase",
    ),
    (
        "late_evidence",
        "us",
        "An order that seemed not to exist has turned up at AliExpress[ ({supplier_order})]. Its replacement is stopped.",
        "Late evidence for a generation that was given up[: {supplier_order}].",
        "none",
    ),
    (
        "duplicate_risk",
        "merchant",
        "Two AliExpress orders exist for the same items. Do not pay the second one[ ({order})]; if it is paid, ask the "
        "seller to cancel it.",
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
        "AliExpress or the seller closed this order after payment[ ({detail})]. Order it again, or refund your buyer.",
        "SUPPLIER_CANCELLED[: {detail}].",
        "order_again",
    ),
)

ROWS: tuple[Row, ...] = (*_ACCOUNT, *_PRODUCT, *_MONEY, *_ADDRESS, *_SHOP, *_GATES, *_OUTCOMES)
