"""What a reader sees of a run: summary.json, the picture, the table."""
