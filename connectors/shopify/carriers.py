"""Carrier names that Shopify turns into links by itself. Source: `FulfillmentTrackingInfo.company`, schema 2026-10."""

from __future__ import annotations

from urllib.parse import urlsplit

from app.ports.storefront import Parcel

_KNOWN = (
    "4PX|AGS|Amazon|Amazon Logistics UK|An Post|Anjun Logistics|APC|Asendia USA|Australia Post|Bonshaw|BPost"
    "|BPost International|Canada Post|Canpar|CDL Last Mile|China Post|Chronopost|Chukou1|Colissimo|Comingle"
    "|Coordinadora|Correios|Correos|CTT|CTT Express|Cyprus Post|Delnext|Deutsche Post|DHL eCommerce"
    "|DHL eCommerce Asia|DHL Express|DPD|DPD Local|DPD UK|DTD Express|DX|Eagle|Estes|Evri|FedEx"
    "|First Global Logistics|First Line|FSC|Fulfilla|GLS|Guangdong Weisuyi Information Technology (WSE)"
    "|Heppner Internationale Spedition GmbH & Co.|Iceland Post|IDEX|Israel Post|Japan Post (EN)|Japan Post (JA)"
    "|La Poste Colissimo|La Poste Burkina Faso|Lasership|Latvia Post|Lietuvos Paštas|Logisters|Lone Star Overnight"
    "|M3 Logistics|Meteor Space|Mondial Relay|New Zealand Post|NinjaVan|North Russia Supply Chain (Shenzhen) Co."
    "|OnTrac|Packeta|Pago Logistics|Ping An Da Tengfei Express|Pitney Bowes|Portal PostNord|Poste Italiane|PostNL"
    "|PostNord DK|PostNord NO|PostNord SE|Purolator|Qxpress|Qyun Express|Royal Mail|Royal Shipments|Sagawa (EN)"
    "|Sagawa (JA)|Sendle|SF Express|SFC Fulfillment|ShipBob|SHREE NANDAN COURIER|Singapore Post|Southwest Air Cargo"
    "|StarTrack|Step Forward Freight|Swiss Post|TForce Final Mile|Tinghao|TNT|Toll IPEC|United Delivery Service|UPS"
    "|USPS|Venipak|We Post|Whistl|Wizmo|WMYC|Xpedigo|XPO Logistics|Yamato (EN)|Yamato (JA)|YiFan Express|YunExpress"
)
_BY_NAME = {name.casefold(): name for name in _KNOWN.split("|")}
_LONGEST = 255


def known_carrier(name: str) -> str | None:
    """Shopify's spelling of the carrier, None if it does not know it by exactly this name."""
    return _BY_NAME.get(" ".join(name.split()).casefold())


def tracking_input(parcel: Parcel) -> dict[str, str]:
    """`FulfillmentTrackingInput`: Shopify links a carrier it knows; for others the supplier's own link is sent."""
    known = known_carrier(parcel.carrier)
    fields = {"number": parcel.tracking_number.strip()[:_LONGEST]}
    company = known or parcel.carrier.strip()[:_LONGEST]
    if company:
        fields["company"] = company
    if known is None and _is_web(parcel.tracking_url):
        fields["url"] = parcel.tracking_url
    return fields


def _is_web(url: str) -> bool:
    try:
        parts = urlsplit(url)
    except ValueError:
        return False
    return parts.scheme in ("http", "https") and bool(parts.hostname) and not any(mark.isspace() for mark in url)
