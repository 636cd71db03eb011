"""What GS1's rules accept and refuse, value by value and label by label, each refusal with its reason and position."""

import pytest

from contracts import gs1

GTIN = "09506000134352"
ITEM = f"(01){GTIN}(21)S1"


def outcome(text: str) -> tuple[str, int] | None:
    try:
        gs1.read(text)
    except gs1.Gs1Error as error:
        return error.reason, error.position
    return None


@pytest.mark.parametrize(
    ("text", "reason", "position"),
    [
        ("(01)09506000134353", "CHECK_DIGIT", 17),
        ("(01)0950600013435", "VALUE_TOO_SHORT", 17),
        ("(01)095060001343522", "VALUE_TOO_LONG", 18),
        ("(01)0950600O134352", "NOT_A_DIGIT", 11),
        ("(10)", "VALUE_EMPTY", 4),
        ("(10)LOT#1", "NOT_IN_SET_82", 7),
        ("(10)LOT\\(1\\(#", "NOT_IN_SET_82", 12),
        ("(8010)95060a", "NOT_IN_SET_39", 11),
        ("(8030)AB:C", "NOT_IN_SET_64", 8),
        ("(8030)AB=", None, None),
        ("(8030)ABC=", "PADDING", 9),
        ("(8030)A=B", "NOT_IN_SET_64", 7),
        ("(8030)===", "PADDING", 6),
        ("(8013)1987654Ad4X4bL5ttr2310c2K", None, None),
        ("(8013)1987654Ad4X4bL5ttr2310c2X", "CHECK_PAIR", 29),
        ("(8013)1987654Ad4X4bL5ttr2310c20", "CHECK_PAIR", 30),
        ("(8013)K", "CHECK_PAIR", 6),
        ("(8004)95A6X", "COMPANY_PREFIX", 8),
        ("(8004)950", "COMPANY_PREFIX", 6),
        ("(17)261301", "DATE_MONTH", 6),
        ("(17)260230", "DATE_DAY", 8),
        ("(17)260200", None, None),
        ("(17)280229", None, None),
        ("(17)270229", "DATE_DAY", 8),
        ("(7006)260200", "DATE_DAY", 10),
        ("(7251)202602281160", "TIME_MINUTE", 16),
        ("(7250)19000229", "DATE_DAY", 12),
        ("(7250)20000229", None, None),
        ("(7003)2602282400", "TIME_HOUR", 12),
        ("(8008)26022812", None, None),
        ("(8008)260228125960", "TIME_SECOND", 16),
        ("(426)156", None, None),
        ("(426)157", "COUNTRY", 5),
        ("(423)156392410", None, None),
        ("(423)15639", "VALUE_TOO_SHORT", 10),
        ("(423)156393", "COUNTRY", 8),
        ("(7030)999ABC", None, None),
        ("(4307)CN", None, None),
        ("(4307)cn", "COUNTRY", 6),
        ("(3912)1561000", None, None),
        ("(3912)1571000", "CURRENCY", 6),
        ("(8007)DE91100000000123456789", None, None),
        ("(8007)DE92100000000123456789", "IBAN", 8),
        ("(8007)DE91", "IBAN", 6),
        ("(8007)XX91100000000123456789", "IBAN", 6),
        ("(8007)DE9110000000012345678a", "IBAN", 27),
        ("(4300)ACME%20LTD", None, None),
        ("(4300)100%", "PERCENT", 9),
        ("(4309)11234567892345678901", None, None),
        ("(4309)18000000012345678901", "LATITUDE", 6),
        ("(4309)11234567893600000001", "LONGITUDE", 16),
        ("(4321)2", "YES_NO", 6),
        ("(4330)001234-", None, None),
        ("(4330)001234+", "HYPHEN", 12),
        ("(7040)1AB_", None, None),
        ("(7040)1AB%", "IMPORTER_INDEX", 9),
        ("(7041)PX", None, None),
        ("(7041)P?", "PACKAGE_TYPE", 6),
        ("(7241)11", "MEDIA_TYPE", 6),
        ("(7252)3", "SEX", 6),
        ("(7258)3/2", "POSITION", 6),
        ("(7258)1-2", "POSITION", 6),
        ("(7258)1/0", "POSITION", 8),
        ("(8001)00000000100109", "ZERO", 6),
        ("(8001)10000000120021", "WINDING", 18),
        ("(8003)19506000134352", "NOT_ZERO", 6),
        ("(8011)0123", "LEADING_ZERO", 6),
        ("(8006)095060001343520302", "PIECE", 20),
        ("(8006)095060001343520000", "PIECE", 20),
        ("(8006)095060001343520100", "PIECE", 22),
        ("(8040)490154203237518", None, None),
        ("(8040)490154203237519", "IMEI", 20),
        ("(8110)012345612345611110123", None, None),
        ("(8110)0123456123456111101233260230", "COUPON_DATE", 28),
        ("(8110)01234561234561111012332701014270201", "COUPON_DATE", 35),
        ("(8110)01234561234561111012312", "COUPON_TRUNCATED", 29),
        ("(8110)71234567890123", "COUPON_CODE", 6),
        ("(8110)0123456123456111101230", "COUPON_EXCESS", 27),
        ("(8110)01234561234561111012A", "NOT_A_DIGIT", 26),
        ("(8112)001234561234560123456", None, None),
        ("(8112)0012345612345601234567", "COUPON_EXCESS", 27),
    ],
)
def test_each_rule_of_a_value(text: str, reason: str | None, position: int | None) -> None:
    found = outcome(text)
    if reason is None:
        # The value is right, though alone it may lack its key.
        assert found in {None, ("AI_REQUIRED", 1)}
    else:
        assert found == (reason, position)


@pytest.mark.parametrize(
    ("text", "reason", "position"),
    [
        (f"(01){GTIN}(02){GTIN}", "AI_EXCLUDED", 19),
        (f"(01){GTIN}(37)4", "AI_EXCLUDED", 1),
        (f"(01){GTIN}(3100)000100(3101)000100", "AI_EXCLUDED", 19),
        (f"{ITEM}(235)TPX", "AI_EXCLUDED", 19),
        (f"(02){GTIN}", "AI_REQUIRED", 1),
        (f"(02){GTIN}(37)4", "AI_REQUIRED", 19),
        (f"(00)095060000000000015(02){GTIN}(37)4", None, None),
        ("(21)S1", "AI_REQUIRED", 1),
        (f"(01){GTIN}(250)X", "AI_REQUIRED", 19),
        (f"{ITEM}(250)X", None, None),
        (f"(01){GTIN}(3920)100", "AI_REQUIRED", 19),
        (f"(01){GTIN}(3920)100(3101)000100", None, None),
        ("(8030)AB", "AI_REQUIRED", 1),
        (f"(01){GTIN}(8030)AB", "AI_REQUIRED", 19),
        (f"{ITEM}(8030)AB", None, None),
        ("(253)9506000134352(8030)AB", "SERIAL_REQUIRED", 1),
        ("(253)9506000134352S(8030)AB", None, None),
        ("(8018)123456789012345675(7258)1/2", "AI_REQUIRED", 25),
        ("(8018)123456789012345675(7258)1/2(7259)LI", None, None),
        (f"(10)A(01){GTIN}(10)B", "AI_REPEATED", 24),
        (f"(10)A(01){GTIN}(10)A", None, None),
        # Half a label: the other symbol may hold the key.
        ("(10)LOT(17)271231", None, None),
        ("(7041)PX", None, None),
        ("(400)PO(7041)PX(00)095060000000000015", None, None),
        (f"(7041)PX(01){GTIN}", "AI_REQUIRED", 1),
    ],
)
def test_what_the_elements_of_a_label_require_of_one_another(
    text: str, reason: str | None, position: int | None
) -> None:
    assert outcome(text) == (None if reason is None else (reason, position))


@pytest.mark.parametrize(
    ("text", "reason", "position"),
    [
        ("", "NOT_GS1", 0),
        ("9506000134352", "NOT_GS1", 0),
        ("(", "BRACKET", 0),
        ("(01", "BRACKET", 0),
        ("()1", "AI_UNKNOWN", 1),
        ("(1)1", "AI_UNKNOWN", 1),
        ("(10)A)(89)B", "AI_UNKNOWN", 7),
        ("(10)A(b)", "AI_UNKNOWN", 6),
        ("^", "EMPTY", 1),
        ("\x1d", "EMPTY", 1),
        ("^10A^^17271231", "AI_UNKNOWN", 5),
        ("^10A\x1d17271231", "NOT_IN_SET_82", 4),
        ("^0109506000134352A", "AI_UNKNOWN", 17),
        ("^010950600013435^10A", "VALUE_TOO_SHORT", 16),
        ("^2421234567", "VALUE_TOO_LONG", 10),
        ("^2106X", "AI_REQUIRED", 1),
        ("]C1", "EMPTY", 3),
        ("]C110A^1727", "NOT_IN_SET_82", 6),
        ("]Xx(01)09506000134352", "AIM_UNKNOWN", 0),
        ("]Q1hello", "NOT_GS1", 3),
        ("]E09506000134353", "CHECK_DIGIT", 15),
        ("]E0950600013435", "VALUE_TOO_SHORT", 15),
        ("]E4ABC45670", "NOT_A_DIGIT", 3),
        ("]E09506000134352|]e010#", "NOT_IN_SET_82", 22),
        (f"https://a/01/{GTIN}/", "URI_NO_KEY", 8),
        (f"https:///01/{GTIN}", "URI_HOST", 8),
        ("https://a", "URI_HOST", 8),
        (f"https://a_b/01/{GTIN}", "URI_HOST", 9),
        (f"https://a/01/{GTIN}/10/Ä", "URI_CHARACTER", 31),
        (f"Https://a/01/{GTIN}", "NOT_GS1", 0),
        (f"https://a/gtin/{GTIN}", "URI_NO_KEY", 8),
        ("https://a/01/9506000134352", "VALUE_TOO_SHORT", 26),
        (f"https://a/01/{GTIN}/21/S/10/L", "URI_QUALIFIERS", 28),
        (f"https://a/01/{GTIN}/10/L%20M", "NOT_IN_SET_82", 32),
        (f"https://a/01/{GTIN}/10/%2FL%00", "NOT_IN_SET_82", 35),
        (f"https://a/01/{GTIN}?10=L", "URI_QUALIFIER", 28),
        (f"https://a/01/{GTIN}?17=", "VALUE_EMPTY", 31),
        (f"https://a/01/{GTIN}?17=271231&999=1", "AI_UNKNOWN", 38),
        (f"https://a/01/{GTIN}?240=A+B", "NOT_IN_SET_82", 33),
        (f"https://a/01/{GTIN}?8200=X", "URI_ATTRIBUTE", 28),
        (f"https://a/01/{GTIN}?17=271231&17=271231", "URI_DUPLICATE", 38),
        ("https://a/8004/95061?01=9506000134353", "CHECK_DIGIT", 36),
        ("urn:epc:id:usdod:CAGEY.1", "URN_SCHEME", 8),
        ("urn:epc:id:sgtin", "URN_SCHEME", 8),
        ("urn:epc:id:sgtin:4012345.011111", "URN_FIELDS", 31),
        ("urn:epc:id:sgtin:40123.01111111.S", "URN_PREFIX", 17),
        ("urn:epc:id:sgtin:4012345.01111.S", "URN_LENGTH", 25),
        ("urn:epc:id:sgtin:4012345.0x1111.S", "NOT_A_DIGIT", 25),
        ("urn:epc:id:sgtin:4012345.011111.S#", "URN_CHARACTER", 33),
        ("urn:epc:id:sgtin:4012345.011111.S%7E", "NOT_IN_SET_82", 33),
        ("urn:epc:id:giai:4012345.", "VALUE_EMPTY", 24),
        ("(10)" + "A" * 8200, "INPUT_TOO_LONG", 8191),
        ("^" + "10A^" * 64 + "10A", "TOO_MANY_ELEMENTS", 257),
    ],
)
def test_each_form_says_where_it_breaks(text: str, reason: str, position: int) -> None:
    assert outcome(text) == (reason, position)


@pytest.mark.parametrize(
    ("text", "form", "canonical"),
    [
        (f"(01){GTIN}(21)A\\(B", "bracketed", f"/01/{GTIN}/21/A%28B"),
        (f"(17)271231(10)L(01){GTIN}(21)S(30)12", "bracketed", f"/01/{GTIN}/10/L/21/S?17=271231&30=12"),
        (f"(30)12(17)271231(01){GTIN}", "bracketed", f"/01/{GTIN}?17=271231&30=12"),
        (f"(01){GTIN}(10)L|(99)X", "bracketed", f"/01/{GTIN}/10/L?99=X"),
        (f"^01{GTIN}10L^21S", "unbracketed", f"/01/{GTIN}/10/L/21/S"),
        (f"\x1d01{GTIN}10L\x1d21S\x1d", "unbracketed", f"/01/{GTIN}/10/L/21/S"),
        (f"^01{GTIN}10L|^99X", "unbracketed", f"/01/{GTIN}/10/L?99=X"),
        (f"]C101{GTIN}\x1d21S", "scan", f"/01/{GTIN}/21/S"),
        (f"]e001{GTIN}21S", "scan", f"/01/{GTIN}/21/S"),
        (f"]d201{GTIN}21S", "scan", f"/01/{GTIN}/21/S"),
        (f"]Q301{GTIN}21S", "scan", f"/01/{GTIN}/21/S"),
        (f"]J101{GTIN}21S", "scan", f"/01/{GTIN}/21/S"),
        (f"]Q1HTTPS://ID.EXAMPLE.COM/01/{GTIN}/21/S", "scan", f"/01/{GTIN}/21/S"),
        (f"]d1http://example.com/01/{GTIN}", "scan", f"/01/{GTIN}"),
        ("]E09506000134352", "scan", f"/01/{GTIN}"),
        ("]E09506000134352|]e010L", "scan", f"/01/{GTIN}/10/L"),
        ("]E495060002", "scan", "/01/00000095060002"),
        (f"]I1{GTIN}", "scan", f"/01/{GTIN}"),
        (f"https://b.example:8443/shop/01/{GTIN}/22/V/10/L/21/S?17=271231&lang=zh&x#f", "digital_link",
         f"/01/{GTIN}/22/V/10/L/21/S?17=271231"),
        (f"https://b.example/01/{GTIN}/21/a%2Fb", "digital_link", f"/01/{GTIN}/21/a%2Fb"),
        (f"https://b.example/01/{GTIN}/10/a+b", "digital_link", f"/01/{GTIN}/10/a%2Bb"),
        (f"https://b.example/01/{GTIN}/235/T?10=L", "digital_link", f"/01/{GTIN}/235/T?10=L"),
        ("https://b.example/00/faux/00/095060000000000015", "digital_link", "/00/095060000000000015"),
        ("https://b.example/8004/95061?01=9506000134352", "digital_link", f"/8004/95061?01={GTIN}"),
        ("https://[2001:db8::1]/414/9506000134352/254/1", "digital_link", "/414/9506000134352/254/1"),
        ("urn:epc:id:sgtin:950600.0013435.S%2F1", "epc_urn", f"/01/{GTIN}/21/S%2F1"),
        (f"(01){GTIN}(8200)http://a", "bracketed", None),
        ("(400)PO-1", "bracketed", None),
    ],
)  # fmt: skip
def test_every_form_has_one_canonical_uri(text: str, form: str, canonical: str | None) -> None:
    found = gs1.read(text)
    assert found.form == form
    assert found.canonical == (canonical and f"https://id.gs1.org{canonical}")


def test_a_station_forgives_what_cannot_be_misunderstood() -> None:
    assert gs1.parse(f"https://a/01/{GTIN}/21/S?10=L").key == f"/01/{GTIN}/21/S"
    assert gs1.parse(f"(01){GTIN}(21)A(b)").serial == "A(b)"
    assert gs1.parse(f"\x1d01{GTIN}21S", "]d2").serial == "S"
    assert gs1.parse(f"(01){GTIN}(21)S(37)1(3920)100").serial == "S"
    with pytest.raises(gs1.Gs1Error):
        gs1.parse(f"(01){GTIN}(21)S(21)T")
    assert gs1.parse("urn:epc:id:sscc:950600.00000000001").key == "/00/095060000000000015"
