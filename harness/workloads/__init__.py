"""What runs in the guests: a GPU job and a CPU job, each a program of its own.

They talk to the harness by lines on their standard input and output, and import nothing of
it: gpu_matmul.py is a user of gpusplit like any other, cpu_matmul.c a static binary.
"""
