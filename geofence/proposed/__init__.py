"""What would follow from proposed territories: remarks, reports, and past scans judged again."""
