"""Policies played side by side on a history, scored and drawn, before a brand uses one."""
