"""The supplier's address rules, country by country. Data only: `checks.py` knows what each check does.

Sources: section numbers of the AliExpress reference. `[doc]` official, `[live]` observed, `[report]` by others,
`[ours]` a bound of our own where nothing is written. A row of a country replaces the `*` row with the same field and
check. `GB` stands for what the supplier calls UK: codes are ISO here.
"""

from __future__ import annotations

from dataclasses import dataclass

EVERYWHERE = "*"


@dataclass(frozen=True, slots=True)
class Rule:
    """One row. `low`/`high` count characters or digits; `value` and `names` are the check's own arguments.

    `who`: `all`, or `locals`/`foreigners` where the supplier tells them apart. `also`: fields that get the same value.
    """

    country: str
    field: str
    check: str
    source: str
    low: int = 0
    high: int = 0
    value: str = ""
    names: tuple[str, ...] = ()
    also: tuple[str, ...] = ()
    label: str = ""
    example: str = ""
    required: bool = True
    who: str = "all"


_CPF_NAMES = ("cpf", "cnpj", "tax_id")
_IL_NAMES = ("israeli_id", "id_card", "national_id", "tax_id", "passport")
_AR_NAMES = ("cuit", "cuil", "id_card", "tax_id", "passport")
_MX_NAMES = ("passport", "curp", "rfc", "tax_id")
_FOREIGN_NAMES = ("foreigner_passport", "passport")
_ALSO = ("foreigner_passport_no",)
_DOC = "7.1.3 [doc]"

RULES: tuple[Rule, ...] = (
    Rule("*", "full_name", "required", "7.1 and 7.1.2 [live]"),
    Rule("*", "full_name", "length", "7.1.2 [live] low, [ours] high", low=2, high=128),
    Rule("*", "address", "required", "7.1 [doc]"),
    Rule("*", "address", "length", "[ours]", low=1, high=256),
    Rule("*", "address2", "length", "[ours]", high=128),
    Rule("*", "city", "required", "7.1.2 [live]"),
    Rule("*", "city", "length", "[ours]", low=1, high=64),
    Rule("*", "province", "fallback", "7.1.2 [live]; the value is a policy"),
    Rule("*", "province", "length", "[ours]", low=1, high=64),
    Rule("*", "zip", "length", "[ours]", high=16),
    Rule("*", "mobile_no", "required", "7.1 [live] L3"),
    Rule("*", "mobile_no", "digits", "7.1.2 [live]", low=7, high=13, example="7 to 13"),
    Rule("*", "locale", "constant", "7.1 [doc]", value="en_US"),
    Rule("US", "full_name", "two_words", "7.1.3 [doc], FAQ", low=2),
    Rule("US", "full_name", "length", _DOC, low=2, high=32),
    Rule("US", "address", "length", _DOC, low=5, high=35),
    Rule("US", "address2", "length", "[ours]", high=60),
    Rule("US", "province", "fallback", "7.1.3 [doc]: not Other"),
    Rule("US", "province", "not_value", _DOC, value="Other"),
    Rule("BR", "cpf", "identifier", _DOC, value="brazilian_number", names=_CPF_NAMES, label="a CPF (or CNPJ)",
         example="11 digits, such as 529.982.247-25"),
    Rule("BR", "birthday", "identifier", "7.1 [doc] Sept 2026; a policy", value="birthday", names=("birthday",),
         label="a date of birth", example="day/month/year"),
    Rule("BR", "zip", "pattern", "7.1.3 [doc]", value="[0-9]{8}", example="8 digits"),
    Rule("BR", "province", "fallback", "7.1.3 [doc]: must be valid"),
    Rule("BR", "city", "not_value", _DOC, value="Other"),
    Rule("MX", "passport_no", "identifier", _DOC, value="mexican_number", names=_MX_NAMES,
         label="a CURP, RFC or passport number", example="CURP with 18, RFC with 12 or 13 characters"),
    Rule("MX", "address2", "length", _DOC, high=60),
    Rule("ES", "mobile_no", "local_phone", _DOC),
    Rule("ES", "mobile_no", "digits", _DOC, low=9, high=9, example="9"),
    Rule("AU", "full_name", "letters", _DOC),
    Rule("AU", "full_name", "two_words", _DOC, low=1),
    Rule("AU", "full_name", "length", _DOC, low=2, high=128),
    Rule("NZ", "full_name", "letters", _DOC),
    Rule("NZ", "full_name", "two_words", _DOC, low=1),
    Rule("NZ", "full_name", "length", _DOC, low=2, high=128),
    Rule("DZ", "full_name", "two_words", _DOC, low=1),
    Rule("ZA", "full_name", "two_words", _DOC, low=1),
    Rule("AR", "mobile_no", "drop_prefix", "7.1.3 [doc]; E.164 puts a 9 before mobiles", value="9", high=10),
    Rule("AR", "mobile_no", "local_phone", _DOC),
    Rule("AR", "mobile_no", "digits", _DOC, low=10, high=10, example="10"),
    Rule("AR", "is_foreigner", "constant", _DOC, value="false", who="locals"),
    Rule("AR", "passport_no", "identifier", _DOC, value="cuit", names=_AR_NAMES, also=_ALSO, label="a CUIT or CUIL",
         example="20-12345678-6", who="locals"),
    Rule("AR", "foreigner_passport_no", "identifier", "7.1 [doc]", value="passport", names=_FOREIGN_NAMES,
         also=("passport_no",), label="a passport number", example="letters and digits", who="foreigners"),
    Rule("IL", "is_foreigner", "constant", _DOC, value="false", who="locals"),
    Rule("IL", "passport_no", "identifier", _DOC, value="israeli_id", names=_IL_NAMES, also=_ALSO,
         label="a Teudat Zehut (identity number)", example="9 digits", who="locals"),
    Rule("IL", "foreigner_passport_no", "identifier", "7.1 [doc]", value="passport", names=_FOREIGN_NAMES,
         also=("passport_no",), label="a passport number", example="letters and digits", who="foreigners"),
    Rule("SA", "full_name", "arabic_or_ascii", _DOC),
    Rule("SA", "full_name", "two_words", _DOC, low=1),
    Rule("SA", "full_name", "length", _DOC, low=2, high=128),
    Rule("SA", "phone_country", "length", _DOC, low=1, high=8),
    Rule("SA", "mobile_no", "local_phone", _DOC),
    Rule("SA", "mobile_no", "digits", _DOC, low=9, high=9, value="5", example="9, the first of them a 5,"),
    Rule("SA", "province", "length", _DOC, low=2, high=64),
    Rule("SA", "city", "length", _DOC, low=2, high=64),
    Rule("SA", "zip", "length", _DOC, low=1, high=10),
    Rule("SA", "address", "length", _DOC, low=5, high=256),
    Rule("SA", "nat_addr", "identifier", _DOC, value="national_address", names=("nat_addr", "national_address"),
         label="the short national address", example="4 letters and 4 digits, such as ABCD1234"),
    Rule("KR", "passport_no", "identifier", "7.1.3, a policy", value="pccc", names=("pccc", "tax_id"),
         label="a customs code (PCCC)", example="P and 12 digits", required=False),
    Rule("KR", "foreigner_passport_no", "identifier", _DOC, value="passport", names=_FOREIGN_NAMES,
         label="a passport or registration card number", example="letters and digits", required=False),
    Rule("KR", "passport_no", "any_of", _DOC, names=("foreigner_passport_no",),
         label="a customs code (PCCC) or, from foreigners, a passport number"),
    Rule("CL", "rut_no", "identifier", "7.1.3 [doc] says not used; [report] sent; a policy", value="rut",
         names=("rut", "tax_id"), label="a RUT", example="12345678-5", required=False),
    Rule("AT", "city", "fallback", "7.1.3 [report]", value="Other"),
    Rule("IT", "province", "fallback", "7.1.3 [report]: the region, by `province_tables`"),
)  # fmt: skip
