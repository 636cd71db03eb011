"""How patient the judgement of a trip is; every number has its unit in its name."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Rules:
    """Thresholds for one trip. The defaults were tuned on simulated trips of other seeds than those reported."""

    reorder_s: int = 120
    """Fixes wait this long for earlier ones."""
    usable_accuracy_m: float = 300.0
    """A wider radius tells that the tracker lives, not where it is."""
    top_speed_mps: float = 40.0
    clear_of_radii: float = 2.0
    """How many accuracy radii a fix has to be clear of a border to count."""
    corridor_margin_m: float = 60.0
    """Between leaving the outer edge of the corridor and coming back over its inner one."""
    off_route_fixes: int = 4
    off_route_s: int = 150
    wrong_way_m: float = 1_200.0
    turned_back_m: float = 400.0
    skipped_after_m: float = 3_000.0
    enter_fixes: int = 2
    exit_fixes: int = 4
    presence_s: int = 60
    exit_s: int = 5 * 60
    """Signals that houses reflect put a parked truck down the street for minutes."""
    exit_margin_m: float = 40.0
    stopped_radius_m: float = 90.0
    long_stop_s: int = 20 * 60
    missing_signal_s: int = 15 * 60
    grace_s: int = 5 * 60
    """Beyond a schedule's moment."""
    handling_margin_m: float = 100.0
    """How far from every site goods have to be handled for it to count."""
    crossing_m: float = 150.0
    """How long a straight line between two fixes has to run through a forbidden site."""
    stop_reach_m: float = 5_000.0
    """How near its place along the route a stop has to be visited."""


DEFAULT_RULES = Rules()
