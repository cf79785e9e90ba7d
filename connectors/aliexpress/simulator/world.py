"""The simulated world: state, clock, ledger.

Every change is a line first, so that the lines rebuild the state.
"""

from __future__ import annotations

import heapq
import threading
import time
from decimal import Decimal
from typing import Any

from connectors.aliexpress.simulator.catalogue import DEFAULTS, read_product, write_product
from connectors.aliexpress.simulator.faults import Faults
from connectors.aliexpress.simulator.ledger import Ledger
from connectors.aliexpress.simulator.options import Options
from connectors.aliexpress.simulator.pushes import Pushes
from connectors.aliexpress.simulator.records import SKU, Account, Item, Order, Parcel, Product, Token

DEFAULT_ACCOUNT = "1861703697"


class World:
    """Everything there is. Whoever reads or changes it holds `lock`.

    The ledger has what was executed (`create`, `pay` …); accounts, tokens and products go to a second file
    beside it, because the ledger is read by checkers and must hold no secrets.
    """

    def __init__(self, options: Options) -> None:
        self.options = options
        self.lock = threading.RLock()
        self.accounts: dict[str, Account] = {}
        self.access: dict[str, Token] = {}
        self.refresh: dict[str, Token] = {}
        self.codes: dict[str, Token] = {}
        self.products: dict[str, Product] = {}
        self.cpf_register: dict[str, str] = {}
        self.orders: dict[str, Order] = {}
        self.by_account: dict[str, list[str]] = {}
        self.reported_users: set[str] = set()
        self.reported_sales: set[tuple[str, str]] = set()
        """(order, product)."""
        self.repeats: dict[tuple[str, str], tuple[float, tuple[str, ...]]] = {}
        self.shift = 0.0
        self.due: list[tuple[float, str, str]] = []
        self.faults = Faults()
        self.pushes = Pushes(options)
        self.ledger = Ledger(options.ledger)
        self._memory = Ledger(options.ledger + ".state" if options.ledger else "")
        self._last_id = 0
        for product in DEFAULTS:
            self._apply({"op": "product", **product})
        for line in sorted(self._memory.lines + self.ledger.lines, key=lambda line: float(line["at"])):
            self._apply(line)
        self._start()

    def _start(self) -> None:
        scenario = self.options.scenario
        if not self.accounts:
            self.remember({"op": "account", "user_id": DEFAULT_ACCOUNT, "login": "buyer@example.test"})
        for account in scenario.get("accounts", ()):
            self.remember({"op": "account", **account})
        for product in scenario.get("products", ()):
            self.change_product(product)
        self.faults.replace(list(scenario.get("faults", ())))
        if "push" in scenario:
            self.pushes.set_mode(scenario["push"])

    def now(self) -> float:
        """Epoch seconds of the simulated clock."""
        return time.time() + self.shift

    def record(self, line: dict[str, Any]) -> None:
        """An executed act: onto the ledger, then into the state."""
        full = {**line, "at": self.now()}
        self.ledger.append(full)
        self._apply(full)

    def remember(self, line: dict[str, Any]) -> None:
        """A change of the surroundings: beside the ledger, then into the state."""
        full = {**line, "at": self.now()}
        self._memory.append(full)
        self._apply(full)

    def change_product(self, data: dict[str, Any]) -> None:
        """Create or change a product. `sku_changes`: {sku_id: {price, stock, sku_attr}} changes single SKUs."""
        row = {**data, "product_id": str(data["product_id"])}
        changes = row.pop("sku_changes", None)
        known = self.products.get(row["product_id"])
        if changes and known is not None:
            row["skus"] = [sku | changes.get(sku["sku_id"], {}) for sku in write_product(known)["skus"]]
        self.remember({"op": "product", **row})

    def plan(self, at: float, order_id: str, act: str) -> None:
        """Let something happen by itself (`close`, `ship`, `deliver`)."""
        heapq.heappush(self.due, (at, order_id, act))

    def next_order_id(self) -> str:
        """A new order number of the configured length; never one that was used before."""
        first = 81 * 10 ** (self.options.id_digits - 2)
        self._last_id = max(self._last_id, first) + 20_001
        return str(self._last_id)

    def find_product(self, product_id: str) -> Product | None:
        """A product by its id or its id for the US."""
        return self.products.get(product_id)

    # From here on: lines into state.

    def _apply(self, line: dict[str, Any]) -> None:
        handler = getattr(self, "_apply_" + line["op"], None)
        if handler is not None:
            handler(line)

    def _apply_cpf(self, line: dict[str, Any]) -> None:
        self.cpf_register[line["cpf"]] = line["name"]

    def _apply_account(self, line: dict[str, Any]) -> None:
        user_id = str(line["user_id"])
        known = self.accounts.get(user_id)
        account = known or Account(user_id, str(line.get("login") or f"buyer{user_id}@example.test"))
        for name in ("login", "ds_joined", "autopay", "blacklisted", "disabled", "suspicious"):
            if name in line:
                setattr(account, name, line[name])
        self.accounts[user_id] = account

    def _apply_product(self, line: dict[str, Any]) -> None:
        product = read_product(line, self.products.get(str(line["product_id"])))
        self.products[product.product_id] = product
        if product.us_id:
            self.products[product.us_id] = product

    def _apply_token(self, line: dict[str, Any]) -> None:
        user_id = str(line["user_id"])
        self.access[line["access"]] = Token(user_id, float(line["access_ends"]))
        self.refresh[line["refresh"]] = Token(user_id, float(line["refresh_ends"]))

    def _apply_kill(self, line: dict[str, Any]) -> None:
        for name, store in (("access", self.access), ("refresh", self.refresh)):
            for value in line.get(name, ()):
                if value in store:
                    store[value].alive = False

    def _apply_advance(self, line: dict[str, Any]) -> None:
        self.shift += float(line["seconds"])

    def _apply_create(self, line: dict[str, Any]) -> None:
        items = [
            Item(
                str(row["product_id"]),
                str(row["sku_id"]),
                str(row["title"]),
                int(row["quantity"]),
                Decimal(row["price"]),
                Decimal(row["shipping"]),
            )
            for row in line["items"]
        ]
        order = Order(
            order_id=str(line["order_id"]),
            user_id=str(line["account"]),
            out_order_id=str(line["out_order_id"]),
            seller_id=str(line["seller_id"]),
            country=str(line["country"]),
            service=str(line["service"]),
            items=items,
            total=Decimal(line["total"]),
            created=float(line["at"]),
            pay_timeout=float(line["pay_timeout"]),
        )
        self.orders[order.order_id] = order
        self.by_account.setdefault(order.user_id, []).append(order.order_id)
        self._last_id = max(self._last_id, int(order.order_id))
        self._take_stock(order, -1)
        self._note_repeat(order)
        self.plan(order.created + order.pay_timeout, order.order_id, "close")

    def _note_repeat(self, order: Order) -> None:
        if order.out_order_id:
            key = (order.user_id, order.out_order_id)
            since, ids = self.repeats.get(key, (order.created, ()))
            if order.created - since > self.options.scaled(self.options.dedupe_window):
                since, ids = order.created, ()
            self.repeats[key] = (since, (*ids, order.order_id))

    def _take_stock(self, order: Order, sign: int) -> None:
        for item in order.items:
            product = self.products.get(item.product_id)
            sku: SKU | None = product.sku(item.sku_id) if product else None
            if sku is not None:
                sku.stock += sign * item.quantity

    def _apply_pay(self, line: dict[str, Any]) -> None:
        order = self.orders[str(line["order_id"])]
        order.paid = float(line["at"])
        order.status, order.logistics_status = "WAIT_SELLER_SEND_GOODS", "WAIT_SELLER_SEND_GOODS"
        if self.options.auto_ship_after:
            self.plan(order.paid + self.options.scaled(self.options.auto_ship_after), order.order_id, "ship")

    def _apply_status(self, line: dict[str, Any]) -> None:
        order = self.orders[str(line["order_id"])]
        order.status = str(line.get("order_status", order.status))
        order.logistics_status = str(line.get("logistics_status", order.logistics_status))

    def _apply_ship(self, line: dict[str, Any]) -> None:
        order, at = self.orders[str(line["order_id"])], float(line["at"])
        for row in line["parcels"]:
            events = [(at, "Package shipped", "Order has been shipped")]
            parcel = Parcel(row["tracking_number"], row["carrier"], row["items"], events, row.get("website", ""))
            order.parcels.append(parcel)
            for part in row["items"]:
                for item in order.items:
                    if (item.product_id, item.sku_id) == (str(part["product_id"]), str(part["sku_id"])):
                        item.shipped += int(part["quantity"])
        done = all(item.shipped >= item.quantity or item.end_reason for item in order.items)
        order.status = "WAIT_BUYER_ACCEPT_GOODS" if done else "SELLER_PART_SEND_GOODS"
        order.logistics_status = "SELLER_SEND_GOODS" if done else "SELLER_SEND_PART_GOODS"
        if self.options.auto_deliver_after and done:
            self.plan(at + self.options.scaled(self.options.auto_deliver_after), order.order_id, "deliver")

    def _apply_report_user(self, line: dict[str, Any]) -> None:
        self.reported_users.add(str(line["user_id"]))

    def _apply_report_sale(self, line: dict[str, Any]) -> None:
        self.reported_sales.add((str(line["order_id"]), str(line["told"]["ae_product_id"])))

    def _apply_renumber(self, line: dict[str, Any]) -> None:
        for parcel in self.orders[str(line["order_id"])].parcels:
            if parcel.tracking_number == line["old"]:
                parcel.tracking_number = str(line["new"])

    def _apply_deliver(self, line: dict[str, Any]) -> None:
        order = self.orders[str(line["order_id"])]
        for parcel in order.parcels:
            parcel.events.insert(0, (float(line["at"]), "Delivery update", "Package delivered"))
        order.status, order.logistics_status = "FINISH", "BUYER_ACCEPT_GOODS"

    def _apply_close(self, line: dict[str, Any]) -> None:
        order = self.orders[str(line["order_id"])]
        wanted = {str(sku) for sku in line.get("sku_ids", ())}
        for item in order.items:
            if not item.end_reason and (not wanted or item.sku_id in wanted):
                item.end_reason = str(line["reason"])
        if all(item.end_reason for item in order.items):
            order.status = str(line.get("order_status", "FINISH"))
            order.logistics_status = "NO_LOGISTICS"
            self._take_stock(order, 1)

    _apply_cancel = _apply_close

    def describe(self) -> dict[str, Any]:
        """The state for `GET /_control/state`; no tokens."""
        unique = {id(product): product for product in self.products.values()}
        return {
            "accounts": [vars_of(account) for account in self.accounts.values()],
            "products": [write_product(product) for product in unique.values()],
            "orders": [vars_of(order) for order in self.orders.values()],
            "faults": self.faults.shown(),
            "pushes": {
                "sent": self.pushes.sent,
                "lost": self.pushes.lost,
                "failed": self.pushes.failed,
                "idle": self.pushes.idle,
            },
            "now": self.now(),
        }


def vars_of(record: Any) -> Any:
    """A record as JSON values; amounts as texts."""
    if isinstance(record, list):
        return [vars_of(row) for row in record]
    if hasattr(record, "__dataclass_fields__"):
        return {name: vars_of(getattr(record, name)) for name in record.__dataclass_fields__}
    return str(record) if isinstance(record, Decimal) else record
