"""Python imports this at its start, in a foreign program's environment: split, and record.

With PROGRAMS_LOG alone nothing happens; with PROGRAMS_ABOVE too, gpusplit is put under pyopencl,
and what was launched and not yet written is written when the process ends.
"""

import os
import traceback

if "PROGRAMS_LOG" in os.environ and "PROGRAMS_ABOVE" in os.environ:
    try:
        import gpusplit_programs_launches

        gpusplit_programs_launches.begin()
    except Exception:
        # Python would go on, and a run without gpusplit would pass for one with it.
        traceback.print_exc()
        os._exit(70)
