"""Outbound orders: taken from the customer's ERP, loaded at stations, reconciled, documented and answered."""
