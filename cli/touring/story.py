"""The tour's acts, from an empty database to a bottle whose whole life can be told."""

import html
import json
import re
from collections.abc import Iterable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final

import cv2

from cli.touring import events, world
from cli.touring.stage import Stage, typed
from contracts.errors import StartError
from contracts.gs1 import parse
from firmware_sim.labels import worksheet

_WORKSHEET_MODULE_PX: Final = 6


class Goods:
    """What was labelled: items by case, cases, and the pallet, as canonical keys."""

    def __init__(self) -> None:
        self.items: list[str] = []
        self.cases: list[str] = []
        self.pallet = ""
        self.pictures: dict[str, Path] = {}

    def inside(self, case: str) -> list[str]:
        """Return the items of a case."""
        first = self.cases.index(case) * world.ITEMS_PER_CASE
        return self.items[first : first + world.ITEMS_PER_CASE]


def set_up_channel(stage: Stage) -> None:
    """Register the brand and its channel, after a dry run that finds a mistake."""
    stage.run("channel", "brand", world.BRAND, "--name-zh", "云岭酒业", "--name-en", "Yunling Spirits")
    wrong = stage.path("mistake", "products.csv")
    wrong.write_text(world.tables()["products"].replace(world.PRODUCT, "09506000134353"), encoding="utf-8")
    answer = stage.run("channel", "import", wrong, "--brand", world.BRAND, "--dry-run", fails=True)
    stage.act(
        "导入前先试运行：错误的校验码按行指出",
        "A dry run names a wrong check digit by row",
        typed=typed("channel import mistake/products.csv --brand", world.BRAND, "--dry-run"),
        answer=answer.strip(),
    )
    files = [stage.path("channel", f"{name}.csv") for name in world.tables()]
    for path, text in zip(files, world.tables().values(), strict=True):
        path.write_text(text, encoding="utf-8")
    answer = stage.run("channel", "import", *files, "--brand", world.BRAND)
    tree = stage.run("channel", "tree", "--brand", world.BRAND)
    commands = ("channel import channel/*.csv --brand", "channel tree --brand")
    stage.act(
        "导入产品、五级经销商、合同、仓库与门店",
        "Products, five levels of dealers, contracts, warehouses and a store are imported",
        typed="\n".join(typed(command, world.BRAND) for command in commands),
        answer=f"{answer.strip()}\n{tree.strip()}",
    )
    scopes = ("--scope", "epcis", "--scope", "orders", "--scope", "check")
    stage.token = stage.run("trace", "token", "add", "tour", "--brand", world.BRAND, *scopes).split()[0]


def print_labels(stage: Stage, goods: Goods) -> None:
    """Issue codes, print labels of items, cases and a pallet, and read all of them back from the pictures."""
    count = world.CASES * world.ITEMS_PER_CASE
    issue = ["codes", "issue", "--tenant", world.BRAND, "--gtin", world.PRODUCT, "--count", count, "--lot", "L2026A"]
    serials = stage.run(*issue).split()
    stage.act(
        "签发一批单品码：数据库只多一行",
        f"{count} codes are issued; the database gains one row",
        typed=typed(*issue),
        answer="\n".join([*serials[:2], "…"]),
    )
    stage.run("codes", "commission", "--tenant", world.BRAND, "--batch", 1)
    jobs = {
        "items": ["labels", "batch", "--tenant", world.BRAND, "--batch", 1, "--name", "Yunling Tequ"],
        "units": ["labels", "units", "--prefix", world.SSCC_PREFIX, "--start", 1, "--count", world.CASES + 1],
    }
    for name, job in jobs.items():
        stage.run(*job, "--format", "png", "--out", stage.path("labels", name))
    read = _read_labels(stage, goods)
    shown = [goods.pictures[key] for key in (goods.items[0], goods.cases[0], goods.pallet)]
    stage.act(
        "打印标签，再用识读程序读回每一张",
        f"Labels are printed, and read back from the pictures: {read} of {count + world.CASES + 1}",
        typed="\n".join([*(typed(*job, "--format png --out labels") for job in jobs.values()), typed("scan labels")]),
        pictures=tuple(shown),
    )


def _read_labels(stage: Stage, goods: Goods) -> int:
    units: list[str] = []
    for line in stage.run("scan", stage.path("labels"), "--json").splitlines():
        row = json.loads(line)
        for code in row["codes"]:
            key = parse(code["text"], code["aim"]).key
            goods.pictures[key] = Path(row["file"])
            (goods.items if "/21/" in key else units).append(key)
    goods.items = sorted(set(goods.items))
    *goods.cases, goods.pallet = sorted(set(units))
    return len(goods.pictures)


def build_pallet(stage: Stage, goods: Goods) -> datetime:
    """Commission and pack at the factory, yesterday, by EPCIS; return when the pallet was complete."""
    moment = stage.tick() - timedelta(days=1)
    made = [events.observed("commissioning", "active", goods.items, world.FACTORY, moment)]
    made += [
        events.packed(case, goods.inside(case), world.FACTORY, moment + timedelta(minutes=5 + number))
        for number, case in enumerate(goods.cases)
    ]
    complete = moment + timedelta(minutes=30)
    made.append(events.packed(goods.pallet, goods.cases, world.FACTORY, complete))
    capture(stage, "factory", made)
    stage.act(
        "工厂赋码、装箱、码垛：一份 EPCIS 文档",
        "The factory commissions, packs and palletises: one EPCIS document",
        typed=typed("epcis validate epcis/factory.json"),
        answer=stage.run("epcis", "validate", stage.path("epcis", "factory.json")).strip(),
    )
    return complete


def capture(stage: Stage, name: str, made: Iterable[dict[str, Any]]) -> None:
    """Send events as one document and wait for their acceptance; raises `StartError` where they are refused."""
    document = events.document(stage.tick(), *made)
    stage.path("epcis", f"{name}.json").write_text(json.dumps(document, indent=1), encoding="utf-8")
    status, answer = stage.http("/epcis/capture", document)
    if status >= 300:  # noqa: PLR2004  anything but success
        raise StartError(f"the document {name} was refused with {status}: {answer.decode()[:500]}")


def hand_down(stage: Stage, goods: Goods) -> list[tuple[str, datetime]]:
    """Pass goods through five levels to the store: a pallet, then a case, then single bottles."""
    moments: list[tuple[str, datetime]] = []
    load = [goods.pallet]
    for number, level in enumerate(world.LEVELS, start=1):
        load = _receive(stage, goods, number, load)
        moments.append((level.site, stage.tick()))
        if number < len(world.LEVELS):
            dealer = world.LEVELS[number].dealer
            sent = events.shipped(load, (level.site, dealer), f"SO-{number + 1}", stage.tick())
            capture(stage, f"{number}-ship", [sent])
            moments.append((f"→ {dealer}", stage.tick()))
    shelved = events.observed("receiving", "sellable_accessible", load, world.STORE, stage.tick())
    capture(stage, "store", [shelved])
    moments.append((world.STORE, stage.tick()))
    sold = events.observed("retail_selling", "retail_sold", goods.items[:1], world.STORE, stage.tick())
    capture(stage, "sale", [sold])
    moments.append((f"{world.STORE}, sold", stage.tick()))
    stage.act(
        "五级经销商逐级收发：整垛、整箱、散瓶，直到门店售出",
        "Five levels receive and ship: a pallet, a case, single bottles; the store sells one",
        table=tuple((where, f"{moment:%H:%M:%S}.{moment.microsecond // 1000:03}") for where, moment in moments),
    )
    return moments


def _receive(stage: Stage, goods: Goods, number: int, load: list[str]) -> list[str]:
    """Receive at level `number`, open the pallet or a case where that is due, and return what goes on from there."""
    site, case = world.LEVELS[number - 1].site, goods.cases[0]
    made = [events.observed("receiving", "in_progress", load, site, stage.tick())]
    if number == 1:
        made.append(events.unpacked(goods.pallet, goods.cases, site, stage.tick()))
        load = [case]
    elif number == len(world.LEVELS) - 1:
        made.append(events.unpacked(case, goods.inside(case), site, stage.tick()))
        load = goods.inside(case)[:3]
    capture(stage, f"{number}-receive", made)
    return load


def load_pallet(stage: Stage, goods: Goods, inbox: Path) -> None:
    """Let a real station read the worksheet and the pallet's label for an order of the ERP."""
    table = stage.path("orders.csv")
    table.write_text(world.order_table(), encoding="utf-8")
    stage.run("orders", "import", table, "--brand", world.BRAND)
    sheet = stage.path("labels", "worksheet.png")
    drawn = worksheet(f"CF/BEGIN/SHIP/{world.ORDER}/{world.LEVELS[0].dealer}", _WORKSHEET_MODULE_PX)
    sheet.write_bytes(cv2.imencode(".png", drawn)[1].tobytes())
    show(sheet, inbox / "1-worksheet.png")
    show(goods.pictures[goods.pallet], inbox / "2-pallet.png")
    reconcile = ("orders", "reconcile", world.ORDER, "--brand", world.BRAND)
    stage.until("the shipment of the pallet", lambda: _shipped(stage, reconcile))
    stage.act(
        "出库站扫工单与托盘标签；断电断网也不丢",
        "The dock's station reads worksheet and pallet; the twelve bottles inside are bound with it",
        typed=typed("orders import orders.csv --brand", world.BRAND) + "\n" + typed(*reconcile),
        answer=stage.run(*reconcile).strip(),
        pictures=(sheet, goods.pictures[goods.pallet]),
    )


def _shipped(stage: Stage, reconcile: tuple[str, ...]) -> bool:
    line = json.loads(stage.run(*reconcile, "--json").splitlines()[0])["lines"][0]
    return bool(line["scanned"] == world.CASES * world.ITEMS_PER_CASE)


def show(picture: Path, place: Path) -> None:
    """Put a picture before the station's eye: it appears whole or not at all."""
    made = place.with_suffix(".part")
    made.write_bytes(picture.read_bytes())
    made.rename(place)


def consumer_scans(stage: Stage, goods: Goods) -> None:
    """Ask the public page of the bottle that was sold, and of one that nobody made."""
    for zh, en, unit in (
        ("消费者扫码：正品", "A consumer scans the bottle", goods.items[0]),
        (
            "伪造的码：同样的措辞，不泄露原因",
            "A forged code gets an answer that gives nothing away",
            f"{goods.items[0][:-1]}7",
        ),
    ):
        _, answer = stage.http(unit, headers={"Accept": "text/html", "Accept-Language": "zh-CN"})
        stage.act(zh, en, typed=f"GET {unit}", answer=_readable(answer.decode()))


def _readable(page: str) -> str:
    body = re.sub(r"(?s)<(head|header|script|style|nav)\b.*?</\1>", "", page)
    lines = (html.unescape(re.sub(r"<[^>]+>", " ", line)).strip() for line in body.splitlines())
    return "\n".join(line for line in lines if line)


def tell_life(stage: Stage, goods: Goods, moments: list[tuple[str, datetime]]) -> None:
    """Ask for the bottle's state at each moment of its life."""
    bottle = goods.items[0]
    rows = []
    for where, moment in moments:
        answer = stage.run("trace", "history", bottle, "--at", moment.isoformat(), "--json")
        found = json.loads(answer)
        rows.append((where, found["state"], found["holder"] or "-", " › ".join(found["levels"])))
    stage.act(
        "时间旅行：任意时刻谁持有、谁有权、凭什么",
        "Time travel: who held the bottle, who was entitled, at every moment",
        typed=typed("trace history", bottle, "--at", moments[0][1].isoformat()),
        table=tuple(rows),
    )
