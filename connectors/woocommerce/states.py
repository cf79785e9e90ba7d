"""State codes are the shop's own: `JP13`, `UA30`, `DE-NW`, `CA`.

Source: woocommerce reference, "Addresses as they come".
"""

from __future__ import annotations

import re

_CODE = re.compile(r"[A-Z0-9]{1,4}")

#: WooCommerce's letters for Mexico are the postal ones; ISO 3166-2 has three letters. From memory, not
#: observed.
_MEXICO = dict(
    pair.split("=")
    for pair in [
        "DF=CMX",
        "JA=JAL",
        "NL=NLE",
        "AG=AGU",
        "BC=BCN",
        "BS=BCS",
        "CM=CAM",
        "CS=CHP",
        "CH=CHH",
        "CO=COA",
        "CL=COL",
        "DG=DUR",
        "GT=GUA",
        "GR=GRO",
        "HG=HID",
        "MX=MEX",
        "MI=MIC",
        "MO=MOR",
        "NA=NAY",
        "OA=OAX",
        "PU=PUE",
        "QT=QUE",
        "QR=ROO",
        "SL=SLP",
        "SI=SIN",
        "SO=SON",
        "TB=TAB",
        "TM=TAM",
        "TL=TLA",
        "VE=VER",
        "YU=YUC",
        "ZA=ZAC",
    ]
)
#: Countries whose codes in WooCommerce are running numbers or letters of its own.
_NOT_ISO = frozenset({"CN", "IR"})


def normalise(country: str, state: str) -> tuple[str, str]:
    """(province text, ISO 3166-2 part after the dash); one of the two may be empty.

    A code gives only the code, a name only the name: the names are for the address rules to look up.
    """
    typed = state.strip()
    code = typed.upper()
    prefix = country.upper()
    if not prefix or not code:
        return typed, ""
    bare = code.removeprefix(f"{prefix}-")
    if bare == code and code.startswith(prefix) and code[len(prefix) :].isdigit():
        bare = code[len(prefix) :]
    if prefix in _NOT_ISO or not _CODE.fullmatch(bare):
        return typed, ""
    return "", _MEXICO.get(bare, bare) if prefix == "MX" else bare
