"""Shelf controllers: load cells with customers in front of them, read over Modbus RTU on a pty."""
