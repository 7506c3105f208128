"""Python imports this at its start, in a foreign program's environment: split, and record.

With GPUSPLIT_PROGRAMS_LOG alone nothing happens; with GPUSPLIT_POLICY too, gpusplit is put under
pyopencl, and what was launched and not yet written is written when the process ends.
"""

import os

if "GPUSPLIT_PROGRAMS_LOG" in os.environ and "GPUSPLIT_POLICY" in os.environ:
    import gpusplit_programs_launches

    gpusplit_programs_launches.begin()
