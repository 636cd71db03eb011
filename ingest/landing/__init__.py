"""From bytes to rows: decode, decide purely what is new, and store it in the one transaction that is acknowledged."""
