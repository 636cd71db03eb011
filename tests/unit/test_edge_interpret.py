import pytest

from contracts import worksheet
from contracts.errors import CodeError
from contracts.gs1 import check_digit, label_uri
from contracts.messages import Activity
from edge.decode import Code
from edge.station.interpret import interpret
from edge.station.order import Order, next_order
from edge.station.verdict import Verdict, worst

PACK = Order(Activity.PACK, "SO-1", "D-1")
IDLE = Order(Activity.OBSERVE)


def code(text: str, aim: str = "]Q1", symbology: str = "QRCode") -> Code:
    return Code(text=text, symbology=symbology, aim=aim, corners=(), stage="plain")


def sscc(number: int) -> str:
    digits = f"0690123{number:010d}"
    return digits + str(check_digit(digits))


def item(number: int) -> Code:
    return code(label_uri("id.example.com", "06901234567892", f"S{number}"))


def case(number: int) -> Code:
    return code(f"(00){sscc(number)}")


def test_items_beside_one_case_label_are_packed_into_it() -> None:
    findings = interpret([item(1), case(5), item(2)], PACK, 1000, "a" * 64)
    assert [finding.verdict for finding in findings] == [Verdict.OK, Verdict.OK]
    scans = [finding.scan for finding in findings]
    assert [scan and scan.code for scan in scans] == [item(1).text, item(2).text]
    assert all(scan and scan.parent == case(5).text and scan.activity is Activity.PACK for scan in scans)
    assert all(scan and (scan.reference, scan.to, scan.ts) == ("SO-1", "D-1", 1000) for scan in scans)


@pytest.mark.parametrize("cases", [[], [case(1), case(2)]], ids=["no case label", "two case labels"])
def test_items_without_exactly_one_case_label_are_never_assigned(cases: list[Code]) -> None:
    findings = interpret([item(1), *cases], PACK, 1000)
    assert findings[0].verdict is Verdict.NO_PARENT
    for finding in findings:
        assert finding.scan is not None
        assert (finding.scan.parent, finding.scan.activity) == ("", Activity.OBSERVE)


def test_a_parent_that_only_its_aim_identifier_explains_is_named_by_its_uri() -> None:
    findings = interpret([item(1), code(f"00{sscc(5)}", "]d2", "DataMatrix")], PACK, 1000)
    assert findings[0].scan is not None
    assert findings[0].scan.parent == f"https://id.gs1.org/00/{sscc(5)}"


def test_each_case_shipped_is_a_scan_of_its_own() -> None:
    findings = interpret([case(1), case(2)], Order(Activity.SHIP, "SO-9", "D-CHENGDU"), 5)
    assert [finding.scan and (finding.scan.activity, finding.scan.to, finding.scan.parent) for finding in findings] == [
        (Activity.SHIP, "D-CHENGDU", ""),
        (Activity.SHIP, "D-CHENGDU", ""),
    ]


@pytest.mark.parametrize(
    ("read", "published"),
    [
        (code("(00)006901230000000001"), True),
        (code("https://example.com/win-a-phone"), True),
        (code("99123", "]C1", "Code128"), True),
        (code("4006381333931", "]E0", "EAN13"), False),
        (code("parcel 17"), False),
        (code("https://" + "x" * 600), False),
        (code("https://id.example.com/\x00"), False),
    ],
    ids=["wrong check digit", "foreign address", "unknown identifier", "retail code", "other text", "too long", "NUL"],
)
def test_broken_gs1_codes_are_left_to_the_server_and_other_texts_to_the_packer(read: Code, *, published: bool) -> None:
    [finding] = interpret([read], IDLE, 5)
    assert finding.verdict is Verdict.UNKNOWN
    assert finding.reason
    assert (finding.scan is not None) == published
    if finding.scan:
        assert finding.scan.code == read.text


def test_commands_are_no_scans() -> None:
    assert interpret([code(worksheet.begin(Activity.SHIP, "SO-1", "D-1"))], IDLE, 5) == []


def test_a_worksheet_sets_the_order_and_ends_it() -> None:
    assert next_order([worksheet.begin(Activity.SHIP, "SO-1", "D-1")], IDLE) == Order(Activity.SHIP, "SO-1", "D-1")
    assert next_order([worksheet.end()], IDLE) == IDLE
    assert next_order([], IDLE) is None


@pytest.mark.parametrize("texts", [["CF/DANCE"], [worksheet.end(), worksheet.begin(Activity.SHIP, "SO-1")]])
def test_a_command_that_is_unclear_is_refused(texts: list[str]) -> None:
    with pytest.raises(CodeError):
        next_order(texts, IDLE)


def test_the_worst_verdict_of_a_picture_counts() -> None:
    assert worst([Verdict.OK, Verdict.UNKNOWN, Verdict.DUPLICATE]) is Verdict.UNKNOWN
    assert worst([]) is Verdict.NO_READ
