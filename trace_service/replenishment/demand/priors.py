"""Demand where there is little history: a new product borrows from other stores, a new store from other products."""

from typing import Final

import numpy as np

from trace_service.replenishment.demand.kernel import Counts, Floats

PRIOR_DAYS: Final = 14.0


def borrowed(mean: Floats, days: Counts, node: Counts, sku: Counts) -> Floats:
    """Return demand a day, each series' own drawn towards "its store's size times its product's pace".

    `days` is since how many days each series has been sold: what is borrowed is worth a fortnight. A store's size is
    what it sells of the products that it has, over what other stores sell of these; a product without any sale
    anywhere borrows the median pace.
    """
    seen = days > 0
    skus, nodes = int(sku.max(initial=-1)) + 1, int(node.max(initial=-1)) + 1
    count = np.bincount(sku[seen], minlength=skus)
    pace = np.bincount(sku[seen], weights=mean[seen], minlength=skus) / np.maximum(count, 1)
    typical = float(np.median(pace[count > 0])) if (count > 0).any() else 0.0
    pace = np.where(count > 0, pace, typical)
    expected = np.bincount(node[seen], weights=pace[sku[seen]], minlength=nodes)
    sold = np.bincount(node[seen], weights=mean[seen], minlength=nodes)
    size = np.divide(sold, expected, out=np.ones(nodes), where=expected > 0)
    prior = size[node] * pace[sku]
    found: Floats = (days * mean + PRIOR_DAYS * prior) / (days + PRIOR_DAYS)
    return found
