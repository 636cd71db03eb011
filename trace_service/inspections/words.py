"""What an inspector is told of a visit, in the words of whoever sends him."""

from trace_service.inspections.queries import SQL
from trace_service.store.connection import Connection
from trace_service.web.errors import NotFoundError
from trace_service.web.places import Places
from trace_service.words import Words


def task_words(connection: Connection, brand: str, visit: int, words: Words, places: Places) -> tuple[str, str]:
    """Return the place of a visit and what to do there. Raises `NotFoundError`."""
    found = connection.execute(SQL["lock_visit"], {"visit": visit, "brand": brand}).fetchone()
    if found is None:
        raise NotFoundError(f"no visit {visit}")
    city = places.name(found.city, words.language)
    ids = [reason["dealer"] for reason in found.reasons]
    named = connection.execute(SQL["dealer_names"], {"brand": brand, "ids": ids}).fetchall()
    names = {row.id: words.pick(row.name_zh, row.name_en) for row in named}
    shops = connection.execute(SQL["shops"], {"brand": brand, "cities": [found.city]}).fetchall()[:5]
    parts = [words("inspections.task", city=city)]
    if ids:
        listed = words("list.comma").join(names.get(each, each) for each in dict.fromkeys(ids))
        parts.append(words("inspections.task.dealers", dealers=listed))
    if shops:
        listed = words("list.comma").join(words.pick(row.name_zh, row.name_en) for row in shops)
        parts.append(words("inspections.task.shops", shops=listed))
    return city, words("inspections.task.join").join(parts)
