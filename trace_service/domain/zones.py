"""The zones that days are counted in."""

from typing import Final
from zoneinfo import ZoneInfo

# A delivery is due on a store's own day: in China it begins eight hours before that of UTC.
STORE_ZONE: Final = ZoneInfo("Asia/Shanghai")
