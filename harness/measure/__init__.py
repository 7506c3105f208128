"""Measuring: the jobs of a run, one point, the timeline, all that a run has to measure.

What comes next may depend on what was found, so this room asks the judging one; it knows of no
report.
"""
