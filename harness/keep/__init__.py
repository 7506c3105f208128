"""What of a run stays on disk: its folder, how it began (run.json), its numbers (summary.json)."""
