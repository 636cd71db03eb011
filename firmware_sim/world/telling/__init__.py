"""What becomes known of a world: events of readers and phones, papers, and the truth, as files."""
