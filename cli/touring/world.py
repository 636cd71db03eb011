"""The tour's brand: its tables as a person would import them, and what the story needs to know of them."""

from collections.abc import Mapping
from typing import Final, NamedTuple

from contracts.gs1 import check_digit

BRAND: Final = "yunling"
PRODUCT: Final = "09506000134352"
CASE: Final = "19506000134359"
ITEMS_PER_CASE: Final = 6
CASES: Final = 2
SSCC_PREFIX: Final = "09506000"
HEAD: Final = "D-YUNLING"
FACTORY: Final = "factory"
DOCK_SITE: Final = "dc-chongqing"
STATION: Final = "tour-dock"
STORE: Final = "S-YULIN"
ORDER: Final = "SO-TOUR-1"


class Level(NamedTuple):
    """A dealer with its warehouse: ids, names, kind, contract and position."""

    dealer: str
    site: str
    zh: str
    en: str
    kind: str
    adcodes: str
    place: tuple[float, float]


LEVELS: Final = (
    Level("D-SOUTHWEST", "W-CHONGQING", "西南总代理", "Southwest agency", "regional", "500000;510000", (106.55, 29.56)),
    Level("D-SICHUAN", "W-CHENGDU", "四川省代理", "Sichuan agency", "regional", "510000", (104.00, 30.70)),
    Level("D-CHENGDU", "W-SHUANGLIU", "成都市代理", "Chengdu agency", "city", "510100", (103.92, 30.57)),
    Level("D-WUHOU", "W-WUHOU", "武侯区分销", "Wuhou distribution", "county", "510107", (104.04, 30.64)),
    Level("D-YULIN", "W-YULIN", "玉林街道二批", "Yulin sub-dealer", "sub", "510107", (104.06, 30.63)),
)


def gln(number: int) -> str:
    """Return the GLN of the brand's place `number`."""
    digits = f"{SSCC_PREFIX[1:]}{number:05d}"
    return f"{digits}{check_digit(digits)}"


def tables() -> Mapping[str, str]:
    """Return the channel as CSV files by name."""
    dealers = [f"{HEAD},,云岭酒业总部,Yunling head office,brand"]
    contracts = []
    sites = [
        f"{FACTORY},factory,,云岭灌装厂,Yunling bottling plant,{gln(0)},104.64,28.77",
        f"{DOCK_SITE},warehouse,,云岭重庆仓,Yunling Chongqing warehouse,{gln(8)},106.60,29.60",
    ]
    parent = HEAD
    for number, level in enumerate(LEVELS, start=1):
        dealers.append(f"{level.dealer},{parent},{level.zh},{level.en},{level.kind}")
        contracts.append(f"C-{number},{level.dealer},retail,tequ,{level.adcodes},no,2024-01-01,")
        lon, lat = level.place
        sites.append(
            f"{level.site},warehouse,{level.dealer},{level.zh}仓,{level.en} warehouse,{gln(number)},{lon},{lat}"
        )
        parent = level.dealer
    last = LEVELS[-1]
    sites.append(f"{STORE},store,{last.dealer},玉林小酒馆,Yulin corner shop,{gln(9)},104.058,30.632")
    return {
        "products": _csv(
            "gtin,name_zh,name_en,product_line,items_per_case,unit_price,unit_weight_g",
            [f"{PRODUCT},云岭特曲 500ml,Yunling Tequ 500 ml,tequ,{ITEMS_PER_CASE},328.00,1050"],
        ),
        "packs": _csv("gtin,product,level,contains,quantity", [f"{CASE},{PRODUCT},case,{PRODUCT},{ITEMS_PER_CASE}"]),
        "dealers": _csv("id,parent,name_zh,name_en,kind", dealers),
        "contracts": _csv("id,dealer,channel,product_lines,adcodes,exclusive,starts_on,ends_on", contracts),
        "sites": _csv("id,kind,dealer,name_zh,name_en,gln,lon,lat", sites),
        "devices": _csv("id,site,kind", [f"{STATION},{DOCK_SITE},station"]),
    }


def order_table() -> str:
    """Return the order that leaves the factory, as a CSV file."""
    head = "order,version,dealer,from_site,channel,due,line,gtin,quantity,unit"
    return _csv(head, [f"{ORDER},1,{LEVELS[0].dealer},{DOCK_SITE},retail,,1,{PRODUCT},{CASES},case"])


def _csv(head: str, rows: list[str]) -> str:
    return "\n".join([head, *rows, ""])
