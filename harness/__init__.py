"""The harness: measures gpusplit in the lab, judges what it claims, and draws it.

`pytest harness/` runs it. The rooms stand in the order plan, lab, judge, keep, measure, report:
each imports only from those before it. `whole_run` goes through all of them.
"""
