"""The guided tour: one brand, one pallet, five levels of dealers, one bottle, from the factory to whoever scans it."""
