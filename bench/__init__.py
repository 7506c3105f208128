"""Speed of gpusplit itself on whatever OpenCL device is there."""
