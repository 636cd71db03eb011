"""What pages and interfaces share: sessions, guards, errors, templates, live updates, assets, alerts in words."""
