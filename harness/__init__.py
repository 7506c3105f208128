"""The harness: measures gpusplit in the lab, judges what it claims, and draws it.

`pytest harness/` runs it. experiments -> lab -> measure -> evaluate -> claims -> report.
"""
