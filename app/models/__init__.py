"""The tables. One file a subject; the constraints are the guarantee, code is only speed."""

from app.models.catalog import ProductLink
from app.models.consent import ConnectLink, Consent
from app.models.inbox import Inbox
from app.models.log import Alert, Audit, AuditHead, Call, CallStat, Task
from app.models.mail import EmailLog
from app.models.merchant import Merchant
from app.models.operation import Breaker, ExchangeRate, Instance, PeriodicJob, PlacementFreeze
from app.models.order import OrderGap, SourceLine, StoreOrder
from app.models.outbox import Outbox
from app.models.purchase import Attempt, Evidence, Interlock, Purchase, PurchaseItem, Spend
from app.models.shop import Credential, Shop, ShopAccount
from app.models.supplier import ParcelItem, ShippedParcel, SupplierAccount, SupplierOrder, SupplierOrderItem

__all__ = [
    "Alert",
    "Attempt",
    "Audit",
    "AuditHead",
    "Breaker",
    "Call",
    "CallStat",
    "ConnectLink",
    "Consent",
    "Credential",
    "EmailLog",
    "Evidence",
    "ExchangeRate",
    "Inbox",
    "Instance",
    "Interlock",
    "Merchant",
    "OrderGap",
    "Outbox",
    "ParcelItem",
    "PeriodicJob",
    "PlacementFreeze",
    "ProductLink",
    "Purchase",
    "PurchaseItem",
    "ShippedParcel",
    "Shop",
    "ShopAccount",
    "SourceLine",
    "Spend",
    "StoreOrder",
    "SupplierAccount",
    "SupplierOrder",
    "SupplierOrderItem",
    "Task",
]
