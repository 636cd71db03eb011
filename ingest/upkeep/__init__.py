"""What is done beside storing: rollups, gaps asked for, what is old removed."""
