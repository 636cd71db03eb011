"""Stock moved between stores instead of ordered: one linear programme a product, solved by HiGHS.

A donor keeps what it will itself sell with 90 % certainty (its own P90) and may give the rest. What a unit is worth to
a receiver falls with every unit it already has: the margin times the chance that it would have been missing. Bounds
and supplies are whole numbers, so that every optimum at a vertex is whole, too.
"""

from dataclasses import dataclass
from typing import Any, Final

import highspy
import numpy as np
from numpy.typing import NDArray

from trace_service.replenishment.demand.kernel import Counts, Floats, quantiles
from trace_service.replenishment.demand.shortfall import chances

# The wrapper's own classes come without types.
_untyped: Any = highspy
KEPT: Final = 0.9
MOST_UNITS: Final = 200
"""So many units a receiver is given at most of one product at once."""


@dataclass(frozen=True, slots=True)
class Goods:
    """One product at every node: units that can be given, and what the first, second, … unit is worth to a node.

    `spare` has the shape (nodes,), `worth` (nodes, units), each row falling, 0 where a unit is worth nothing.
    """

    spare: Counts
    worth: Floats


@dataclass(frozen=True, slots=True)
class Moves:
    """What to move, arrays of the same length, and what that is worth net of freight."""

    sender: Counts
    receiver: Counts
    units: Counts
    gain: float


def goods(stock: Counts, mean: Floats, ratio: Floats, margin: float) -> Goods:
    """Return what nodes can give and gain, from their stock and the demand until the next delivery.

    `stock` counts what is on its way as well; `mean` and `ratio` are those of the demand over the horizon.
    """
    kept = quantiles(mean, ratio, np.array([KEPT]))[0]
    spare = np.maximum(stock - kept, 0)
    wanted = np.clip(kept - stock, 0, MOST_UNITS)
    longest = int(wanted.max(initial=0))
    missing = chances(mean, ratio, stock, longest)
    worth = np.where(np.arange(longest) < wanted[:, None], missing * margin, 0.0)
    return Goods(spare, worth)


def solve(product: Goods, freight: Floats) -> Moves:
    """Return the best moves of one product; `freight` is the cost of a unit from row to column, inf for no lane."""
    senders = np.flatnonzero(product.spare > 0)
    best = product.worth[:, 0] if product.worth.shape[1] else np.zeros(len(product.spare))
    receivers = np.flatnonzero(best > 0)
    # A lane that costs more than the first unit is worth is in no optimum.
    lanes = np.argwhere(freight[np.ix_(senders, receivers)] < best[receivers])
    if not len(lanes):
        return _nothing()
    sender, receiver = senders[lanes[:, 0]], receivers[lanes[:, 1]]
    steps = _steps(product.worth, np.unique(receiver))
    flow = _optimum(product.spare, (sender, receiver), freight[sender, receiver], steps)
    used = flow > 0
    moved = Moves(sender[used], receiver[used], flow[used], 0.0)
    return Moves(moved.sender, moved.receiver, moved.units, gain(product, freight, moved))


def greedy(product: Goods, freight: Floats) -> Moves:
    """Return the moves of the obvious alternative: again and again the one lane whose next unit gains most."""
    left = product.spare.copy()
    given = np.zeros(len(left), dtype=np.int64)
    found: dict[tuple[int, int], int] = {}
    width = product.worth.shape[1]
    while width:
        next_worth = np.where(given < width, product.worth[np.arange(len(left)), np.minimum(given, width - 1)], 0.0)
        net = np.where(left[:, None] > 0, next_worth - freight, -np.inf)
        at = int(net.argmax())
        sender, receiver = divmod(at, len(left))
        if net[sender, receiver] <= 0:
            break
        found[sender, receiver] = found.get((sender, receiver), 0) + 1
        left[sender] -= 1
        given[receiver] += 1
    if not found:
        return _nothing()
    sender_of, receiver_of = np.array(list(found)).T
    moved = Moves(sender_of, receiver_of, np.array(list(found.values())), 0.0)
    return Moves(moved.sender, moved.receiver, moved.units, gain(product, freight, moved))


def gain(product: Goods, freight: Floats, moves: Moves) -> float:
    """Return what moves are worth to their receivers, less their freight."""
    given = np.bincount(moves.receiver, weights=moves.units, minlength=len(product.spare)).astype(np.int64)
    worth = np.where(np.arange(product.worth.shape[1]) < given[:, None], product.worth, 0.0).sum()
    return float(worth - (moves.units * freight[moves.sender, moves.receiver]).sum())


def _nothing() -> Moves:
    none = np.zeros(0, dtype=np.int64)
    return Moves(none, none, none, 0.0)


def _steps(worth: Floats, receivers: Counts) -> tuple[Counts, Floats]:
    """Return each step of a receiver's worth as (receiver, worth): one unit each."""
    rows = worth[receivers]
    at, unit = np.nonzero(rows > 0)
    return receivers[at], rows[at, unit]


def _optimum(
    spare: Counts, lanes: tuple[Counts, Counts], freight: Floats, steps: tuple[Counts, Floats]
) -> NDArray[np.int64]:
    """Solve: most worth of units received less freight, no sender beyond its spare, nothing received from nowhere."""
    sender, receiver = lanes
    senders, sender_row = np.unique(sender, return_inverse=True)
    receivers, receiver_row = np.unique(receiver, return_inverse=True)
    step_row = np.searchsorted(receivers, steps[0])
    many, few = len(sender), len(steps[0])
    model = highspy.HighsLp()
    model.num_col_, model.num_row_ = many + few, len(senders) + len(receivers)
    model.col_cost_ = np.concatenate([freight, -steps[1]])
    model.col_lower_ = np.zeros(many + few)
    model.col_upper_ = np.concatenate([spare[sender].astype(float), np.ones(few)])
    model.row_lower_ = np.concatenate([np.full(len(senders), -highspy.kHighsInf), np.zeros(len(receivers))])
    model.row_upper_ = np.concatenate([spare[senders].astype(float), np.zeros(len(receivers))])
    matrix = model.a_matrix_
    matrix.format_ = highspy.MatrixFormat.kColwise
    matrix.start_ = np.concatenate([np.arange(0, 2 * many, 2), np.arange(2 * many, 2 * many + few + 1)])
    pairs = np.column_stack([sender_row, len(senders) + receiver_row]).ravel()
    matrix.index_ = np.concatenate([pairs, len(senders) + step_row])
    matrix.value_ = np.concatenate([np.ones(2 * many), np.full(few, -1.0)])
    solver = _solver()
    solver.passModel(model)
    solver.run()
    flow: NDArray[np.int64] = np.rint(np.array(solver.getSolution().col_value[:many])).astype(np.int64)
    return flow


def _solver() -> highspy.Highs:
    solver: highspy.Highs = _untyped.Highs()
    options = highspy.HighsOptions()
    options.output_flag = False
    options.threads = 1
    options.presolve = "off"
    solver.passOptions(options)
    return solver
