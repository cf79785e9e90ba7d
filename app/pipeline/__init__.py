"""The way of an order, one file a step, in the order in which an order travels.

    receive        a verified webhook becomes an inbox row, then 200
    import_order   the row says "order X may have changed": it is re-read from the shop
    match          lines become purchases: what is to be bought, as what, from whom
    buy/           claim, pre-flight, point of no return, send, outcome: never twice
    reconcile      unclear outcomes are resolved by evidence or by a person, never by guessing
    track          supplier orders are read: payment, closing, parcels
    fulfil         parcels are shown in the shop

Beside them: `poll` (what webhooks missed), `readiness` and `generation` (what a purchase may be, and what follows it),
`evidence` and `adopt` (supplier orders that turn up, and whose they are), `breaker` (when nothing is sent), `leave` (a
shop goes), `due` (claiming rows), `locks` (in which order), `numbers` (our own order numbers), `record` (transitions).
"""
