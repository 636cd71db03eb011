"""Where an inspector should look next, and how well that has worked."""
