"""Whose site an event happened at, and where that is."""

from collections import defaultdict

import numpy as np

from trace_service.backtest.events import Event
from trace_service.backtest.world import Site, World
from trace_service.detection.network import Network, distances_km

_SAME_SITE_KM = 1.0


class Sites:
    """Warehouses and shops of a world."""

    def __init__(self, world: World, network: Network) -> None:
        self._network = network
        self._sites: dict[str, list[Site]] = defaultdict(list)
        for site in sorted(world.sites, key=lambda each: each.valid_from):
            self._sites[site.dealer].append(site)
        self._all = world.sites
        self._lats = np.array([each.lat for each in world.sites])
        self._lons = np.array([each.lon for each in world.sites])

    def dealer(self, event: Event) -> str | None:
        """Return the dealer at whose site or shop an event happened, None where that is not known."""
        place = event.place or event.store
        if place is not None:
            if place in self._network.dealers:
                return place
            store = self._network.store(place, event.occurred)
            if store is not None:
                return store.dealer
        if event.lat is None or event.lon is None or not len(self._lats):
            return None
        away = distances_km(event.lat, event.lon, self._lats, self._lons)
        nearest = int(away.argmin())
        return self._all[nearest].dealer if away[nearest] <= _SAME_SITE_KM else None

    def below_brand(self, dealer: str) -> str | None:
        """Return the dealer, None where it is the brand itself."""
        known = self._network.dealers.get(dealer)
        return None if known is None or known.kind == "brand" else dealer

    def position(self, event: Event) -> tuple[float, float, str | None] | None:
        """Return latitude, longitude and division of the shop or warehouse that an event names."""
        place = event.place or event.store
        if place is None:
            return None
        store = self._network.store(place, event.occurred)
        if store is not None:
            return store.lat, store.lon, store.adcode
        rows = self._sites.get(place)
        if rows:
            site = next((each for each in reversed(rows) if each.valid_from <= event.occurred), rows[0])
            return site.lat, site.lon, site.adcode
        dealer = self._network.dealers.get(place)
        return (dealer.lat, dealer.lon, None) if dealer else None
