"""The judge: may the kernels of a program be split, and what makes them safe.

A program of its own (`python -I -m gpusplit.judge`), one-shot and without state: a request.Request
as JSON on standard input, an answer.Answer as JSON on standard output.  Nothing in here knows of
OpenCL's host side or of pyopencl; libclang reads OpenCL C (docs/decisions/verdict.md).
"""
