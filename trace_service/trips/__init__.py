"""Trips: plans, fixes of trackers, what they were judged to be, and the fences that devices check offline."""
