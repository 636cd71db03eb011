"""Trucks with trackers: routes through real places, honest noise, and planted violations with their truth."""

from firmware_sim.trackers.trip import Planted, SimulatedTrip, simulate

__all__ = ["Planted", "SimulatedTrip", "simulate"]
