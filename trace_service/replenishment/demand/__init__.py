"""What will be wanted: histories, forecasts, the calendar and the arithmetic under them. Pure but for files."""
