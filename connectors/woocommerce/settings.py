"""What an operator may set for WooCommerce shops."""

from __future__ import annotations

import re

from pydantic import BaseModel, ConfigDict, field_validator

_STATUS = re.compile(r"[a-z0-9-]{1,40}")
_PREFIX = re.compile(r"_?[a-z][a-z0-9_]{0,30}_")
_META_KEY = re.compile(r"[A-Za-z0-9_.-]{1,100}=[a-z_]{1,30}")

#: Checkout plugins keep customs numbers in order meta under these keys; merchants with other plugins map their own.
_IDENTIFIERS = (
    "_shipping_cpf=cpf,_billing_cpf=cpf,_shipping_cnpj=cnpj,_billing_cnpj=cnpj,"
    "_shipping_rut=rut,_billing_rut=rut,_shipping_pccc=pccc,_billing_pccc=pccc,"
    "_shipping_birthdate=birthday,_billing_birthdate=birthday,"
    "_shipping_national_address=nat_addr,_billing_national_address=nat_addr,"
    "_shipping_short_address=nat_addr,_billing_short_address=nat_addr,"
    "_shipping_passport=passport,_billing_passport=passport,_shipping_tax_id=tax_id,_billing_tax_id=tax_id"
)


class WooCommerceSettings(BaseModel):
    """Environment variables of the same names in capitals.

    `allow_http`: shops without TLS (OAuth 1.0a), development only. `paid_statuses`: order statuses that count as paid
    when the shop also tells a time of payment; those that plugins made stand there too. `allow_cod`: cash on delivery
    counts as paid. `meta_prefix`: of the keys that we write into orders. `identifier_meta`: `meta key=our name` pairs,
    the first one found wins.
    """

    model_config = ConfigDict(frozen=True)

    woocommerce_allow_http: bool = False
    woocommerce_paid_statuses: str = "processing,completed"
    woocommerce_allow_cod: bool = False
    woocommerce_meta_prefix: str = "_waybill_"
    woocommerce_identifier_meta: str = _IDENTIFIERS

    @field_validator("woocommerce_paid_statuses")
    @classmethod
    def _statuses(cls, value: str) -> str:
        names = [name.strip().removeprefix("wc-") for name in value.split(",") if name.strip()]
        if not names or not all(_STATUS.fullmatch(name) for name in names):
            raise ValueError("must be a comma-separated list of order statuses")
        return ",".join(names)

    @field_validator("woocommerce_meta_prefix")
    @classmethod
    def _prefix(cls, value: str) -> str:
        if not _PREFIX.fullmatch(value):
            raise ValueError("must be lower-case letters, digits and _, and end with _")
        return value

    @field_validator("woocommerce_identifier_meta")
    @classmethod
    def _identifiers(cls, value: str) -> str:
        pairs = [pair.strip() for pair in value.split(",") if pair.strip()]
        if not all(_META_KEY.fullmatch(pair) for pair in pairs):
            raise ValueError("must be a comma-separated list of meta_key=name")
        return ",".join(pairs)

    @property
    def paid_statuses(self) -> frozenset[str]:
        """The statuses as a set."""
        return frozenset(self.woocommerce_paid_statuses.split(","))

    @property
    def identifier_meta(self) -> tuple[tuple[str, str], ...]:
        """(meta key, our name), best first."""
        pairs = (pair.partition("=") for pair in self.woocommerce_identifier_meta.split(",") if pair)
        return tuple((key, name) for key, _, name in pairs)
