"""Backtest: a world folder through the detection engine, scored where the truth is known."""
