"""From MQTT to the landing tables: commit first, then acknowledge."""
