"""Reasons that lie in account, product, price or address, as data.

Facts that the pipeline gives: `product quote cost paid limit total stock available wanted country service field problem
message code detail account purchase found of order supplier_order hold spent days`. They stand in `[…]` only.
Sources: purchase lifecycle (sections 4, 6, 7, 8, 10), codes of the AliExpress reference (7.1.1).
"""

from __future__ import annotations

Row = tuple[str, str, str, str, str]
"""Code, turn, text for the merchant, text for staff, remedy."""

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
        (
            "AliExpress no longer accepts the connection to your account[ {account}]. Connect it again: "
            "orders wait for it, and none is lost."
        ),
        "Access token refused and not renewable[: {code}].",
        "renew_account",
    ),
    (
        "account_blocked",
        "merchant",
        (
            "AliExpress has barred your account[ {account}] from ordering[ ({message})]. Ask AliExpress to "
            "lift that, or connect another account."
        ),
        "USER_ACCOUNT_DISABLED or BLACKLIST_BUYER_IN_LIST[: {code}].",
        "contact_supplier",
    ),
    (
        "ds_center",
        "merchant",
        (
            "Your AliExpress account[ {account}] has not joined the DS Center. Join it on AliExpress "
            "(free), then try again."
        ),
        "Supplier says that the buyer is no DS member; its code for this is unconfirmed[: {code}].",
        "join_ds_center",
    ),
)

_PRODUCT: tuple[Row, ...] = (
    (
        "mapping_missing",
        "merchant",
        ("An item of this order[ ({product})] is not linked to an AliExpress product. Link it, and the order goes on."),
        "No link for a variant of this order.",
        "link_product",
    ),
    (
        "mapping_changed",
        "merchant",
        (
            "A linked AliExpress product[ ({product})] has changed[: {detail}]. Look at it, then confirm "
            "the link or choose another product."
        ),
        "Frozen SKU id and attributes no longer agree with product.get[: {detail}].",
        "review_link",
    ),
    (
        "product_gone",
        "merchant",
        ("A linked AliExpress product[ ({product})] is no longer on sale. Link another one, or cancel the item."),
        "Product missing or off sale.",
        "link_product",
    ),
    (
        "out_of_stock",
        "merchant",
        (
            "The supplier does not have enough stock[ of {product}][ ({stock} left, {wanted} needed)][ "
            "({available} left, {wanted} needed)]. Link another product, or try again later."
        ),
        "available_stock below the quantity[: {stock}].",
        "link_product",
    ),
    (
        "partial_stock",
        "merchant",
        ("The supplier has only a part of the quantity[: {stock} of {wanted}]. Approve a smaller first part, or wait."),
        "available_stock below the quantity[: {stock} < {wanted}].",
        "split_or_wait",
    ),
    (
        "promotion_limit",
        "merchant",
        (
            "A promotion lets only[ {limit}] pieces[ of {product}] be ordered at once[, and {wanted} are needed]. Link"
            " another product, or try again when the promotion is over."
        ),
        "limit_strategy create_order_fail, or unknown: more than the promotion's pieces[: {wanted} > {limit}].",
        "link_product",
    ),
    (
        "not_shippable",
        "merchant",
        (
            "AliExpress does not ship an item[ ({product})] of this order to its destination[ ({country})]["
            " within {days} days]. Link a product that ships there, or cancel the item."
        ),
        "freight.query gave no usable option.",
        "link_product",
    ),
    (
        "shipping_service",
        "merchant",
        (
            "The chosen shipping service[ ({service})] is not offered for this order. Choose another one in the link"
            "[: {offered}]."
        ),
        "DELIVERY_METHOD_NOT_EXIST, or missing from freight.query; seen for low stock too.",
        "choose_service",
    ),
    (
        "currency",
        "us",
        (
            "AliExpress prices the items of this order in different currencies and refused them together. "
            "We sort it out."
        ),
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
        (
            "A price, shipping cost or exchange rate that this order needs is not known[: {detail}]. We try"
            " again by ourselves."
        ),
        "No quote or no exchange rate[: {detail}].",
        "none",
    ),
    (
        "margin",
        "merchant",
        (
            "These goods would break your margin rule.[ They cost {quote}; at most {limit} keeps your margin.]"
            "[ The buyer paid {paid}.][ Sold for {sold}: the rest was refunded, or not paid in money.]"
            " Approve it, link a cheaper product, or cancel it in your shop."
        ),
        "Price guard.[ Quote {quote}][, limit {limit}][, paid {paid}][, sold for {sold}].",
        "approve_price",
    ),
    (
        "money_unknown",
        "merchant",
        (
            "The shop calls this order paid and shows no payment for it, so we cannot tell whether your margin is"
            " kept.[ Ordering these goods would cost {quote}.] Approve it, or cancel."
        ),
        "Price guard: what the shop has for the order is not known.[ Quote {quote}].",
        "approve_price",
    ),
    (
        "price_over_limit",
        "merchant",
        (
            "Do not pay this AliExpress order: its total[ of {total}] is above your limit[ of {limit}]. "
            "Approve it, or let it expire."
        ),
        "PAY_BLOCKED: order.get total[ {total}] above the limit[ {limit}].",
        "approve_price",
    ),
    (
        "quantity_over",
        "merchant",
        (
            "More pieces would be ordered than this order line allows[ ({wanted} instead of {limit})]. Look"
            " at the order and at what was ordered for it already; change the order in the shop if it is wrong."
        ),
        "Sum of live parts above the line's quantity, or a quantity limit.",
        "review_order",
    ),
    (
        "cap_order",
        "merchant",
        ("This order[ costs {cost} and] is above your limit for one order[ ({limit})]. Raise the limit, or cancel it."),
        "Order cap.[ Cost {cost}].",
        "raise_cap",
    ),
    (
        "cap_day",
        "merchant",
        (
            "With this order[ ({cost})] today's purchases would pass your daily limit[ of {limit}]. Raise "
            "the limit, or try again tomorrow."
        ),
        "Daily cap.[ Cost {cost}][, spent {spent}].",
        "raise_cap",
    ),
    (
        "autopay_off",
        "merchant",
        (
            "Automatic payment was switched off for this shop[: {detail}]. Pay from the pay list; switch it"
            " on again if you wish."
        ),
        "Autopay switched off by us[: {detail}].",
        "pay",
    ),
)

_ADDRESS: tuple[Row, ...] = (
    (
        "address_missing",
        "merchant",
        (
            "The order has no delivery address, or the shop does not let us read it[ ({problem})]. "
            "Add it, or grant Waybill access to addresses."
        ),
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

ROWS = (*_ACCOUNT, *_PRODUCT, *_MONEY, *_ADDRESS)
