"""A GPU program like many: a grid is relaxed step by step, and each step is waited for.

python3 relax.py WIDTH STEPS; 0 steps: on and on. It prints a line a step.
"""

import sys
import time

import numpy as np
import pyopencl as cl

SOURCE = """
__kernel void relax(__global const float *before, __global float *after, int width) {
    const int x = get_global_id(0), y = get_global_id(1);
    const int left = max(x - 1, 0), right = min(x + 1, width - 1);
    after[y * width + x] = 0.5f * (before[y * width + left] + before[y * width + right]);
}
"""
width, steps = int(sys.argv[1]), int(sys.argv[2])
context = cl.create_some_context(interactive=False)
queue = cl.CommandQueue(context)
kernel = cl.Kernel(cl.Program(context, SOURCE).build(), "relax")
grid = [cl.Buffer(context, cl.mem_flags.READ_WRITE, 4 * width * width) for _ in range(2)]
cl.enqueue_fill_buffer(queue, grid[0], np.float32(1), 0, 4 * width * width)
queue.finish()
step, began = 0, time.monotonic()
while steps == 0 or step < steps:
    kernel(queue, (width, width), (16, 16), grid[step % 2], grid[1 - step % 2], np.int32(width))
    queue.finish()
    step += 1
    print(f"step {step}: {time.monotonic() - began:.3f} s", flush=True)
