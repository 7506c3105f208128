"""What a reader sees: a run's page, picture and tables, and what changed between two runs.

All of it is made from summary.json alone.
"""
