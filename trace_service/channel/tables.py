"""The tables that come and go as files: their columns, with headings in both languages."""

from dataclasses import dataclass
from typing import Any, Final

from trace_service.channel.values import (
    Parser,
    choice,
    day,
    degrees,
    device_name,
    gln,
    gtin,
    identifier,
    many,
    moment,
    money,
    text,
    whole,
    yes_or_no,
)

_LARGEST_PACK = 100_000
_HEAVIEST_G = 10_000_000


@dataclass(frozen=True)
class Column:
    """One column: its English and Chinese heading, how its cells are read, and an example for the template."""

    name: str
    zh: str
    parse: Parser
    example: str = ""
    required: bool = False
    default: Any = None


@dataclass(frozen=True)
class Table:
    """One kind of rows; the first column is the key. `zh` and `name` are names of files and sheets."""

    kind: str
    name: str
    zh: str
    columns: tuple[Column, ...]

    @property
    def key(self) -> Column:
        """The column that names the row."""
        return self.columns[0]

    def column(self, heading: str) -> Column | None:
        """Return the column of a heading in either language."""
        wanted = heading.lower().replace(" ", "_").strip("*＊_ ")
        return next((each for each in self.all_columns if wanted in {each.name, each.zh}), None)

    @property
    def all_columns(self) -> tuple[Column, ...]:
        """The columns with the two that every table has."""
        return (*self.columns, VALID_FROM, ENDED)


VALID_FROM: Final = Column("valid_from", "生效日期", moment)
ENDED: Final = Column("ended", "停用", yes_or_no, default=False)

DEALER_KINDS: Final = {
    "brand": "品牌方", "regional": "大区代理", "city": "市级经销商", "county": "县级经销商", "sub": "分销商",
    "online": "电商", "horeca": "餐饮",
}  # fmt: skip
SITE_KINDS: Final = {"factory": "工厂", "warehouse": "仓库", "store": "门店", "market": "市场"}
PACK_LEVELS: Final = {"inner": "中盒", "case": "箱", "pallet": "托盘"}
DEVICE_KINDS: Final = {"station": "工作站", "shelf": "货架", "gateway": "网关"}
SYSTEMS: Final = {"wgs84": "WGS-84", "gcj02": "GCJ-02", "bd09": "BD-09"}
DEFAULT_SALES_CHANNEL: Final = "retail"


def _needed(name: str, zh: str, parse: Parser, example: str) -> Column:
    return Column(name, zh, parse, example, required=True)


TABLES: Final[tuple[Table, ...]] = (
    Table("product", "products", "产品", (
        _needed("gtin", "商品条码", gtin, "09506000134352"),
        _needed("name_zh", "中文名称", text, "示例特曲 500ml"),
        Column("name_en", "英文名称", text, "Sample Tequ 500 ml"),
        Column("product_line", "产品线", identifier, "tequ"),
        _needed("items_per_case", "每箱件数", whole(1, 1000), "6"),
        _needed("unit_price", "单价", money, "328.00"),
        _needed("unit_weight_g", "单件重量克", whole(1, _HEAVIEST_G), "1050"),
    )),
    Table("pack", "packs", "包装", (
        _needed("gtin", "包装条码", gtin, "19506000134359"),
        _needed("product", "产品条码", gtin, "09506000134352"),
        _needed("level", "包装层级", choice(PACK_LEVELS), "case"),
        _needed("contains", "内含条码", gtin, "09506000134352"),
        _needed("quantity", "内含数量", whole(1, _LARGEST_PACK), "6"),
    )),
    Table("dealer", "dealers", "经销商", (
        _needed("id", "经销商编号", identifier, "D-SAMPLE"),
        Column("parent", "上级编号", identifier, "D-HEAD"),
        _needed("name_zh", "中文名称", text, "示例商贸"),
        Column("name_en", "英文名称", text, "Sample Trading"),
        _needed("kind", "类型", choice(DEALER_KINDS), "city"),
    )),
    Table("contract", "contracts", "合同", (
        _needed("id", "合同编号", identifier, "C-2026-001"),
        _needed("dealer", "经销商编号", identifier, "D-SAMPLE"),
        Column("channel", "渠道", identifier, "retail", default=DEFAULT_SALES_CHANNEL),
        Column("product_lines", "产品线", many, "tequ", default=()),
        _needed("adcodes", "授权区域", many, "330100;330200"),
        Column("exclusive", "独家", yes_or_no, "yes", default=True),
        _needed("starts_on", "开始日期", day, "2026-01-01"),
        Column("ends_on", "结束日期", day, "2026-12-31"),
    )),
    Table("site", "sites", "网点", (
        _needed("id", "网点编号", identifier, "S-SAMPLE-01"),
        _needed("kind", "类型", choice(SITE_KINDS), "store"),
        Column("dealer", "经销商编号", identifier, "D-SAMPLE"),
        _needed("name_zh", "中文名称", text, "示例门店"),
        Column("name_en", "英文名称", text, "Sample store"),
        Column("gln", "全球位置码", gln, "9506000134352"),
        Column("lon", "经度", degrees(180), "120.163"),
        Column("lat", "纬度", degrees(90), "30.276"),
        Column("crs", "坐标系", choice(SYSTEMS), "wgs84", default="wgs84"),
        Column("adcode", "行政区划代码", identifier, "330105"),
    )),
    Table("staff", "staff", "人员", (
        _needed("id", "人员编号", identifier, "P-001"),
        _needed("name", "姓名", text, "陈静"),
        _needed("role", "岗位", text, "仓库主管"),
        Column("dealer", "经销商编号", identifier, "D-SAMPLE"),
        Column("site", "网点编号", identifier, "S-SAMPLE-01"),
    )),
    Table("device", "devices", "设备", (
        _needed("id", "设备编号", device_name, "scanner-7"),
        _needed("site", "网点编号", identifier, "S-SAMPLE-01"),
        _needed("kind", "类型", choice(DEVICE_KINDS), "station"),
    )),
)  # fmt: skip
BY_KIND: Final = {table.kind: table for table in TABLES}


def table_named(name: str) -> Table | None:
    """Return the table that a file or sheet is named for, in either language; what follows the name is free."""
    wanted = name.strip().lower()
    return next((table for table in TABLES if wanted.startswith((table.name, table.zh, table.kind))), None)
