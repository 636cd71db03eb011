"""The channel: products and packs, dealers and contracts, sites, staff and devices; every change dated, none lost."""
