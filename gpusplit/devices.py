"""What an OpenCL device says about its size."""

from __future__ import annotations

import pyopencl as cl

#: Cores of cards that say too little about themselves, by a part of CL_DEVICE_NAME.
KNOWN_CARDS = {"HD 6570": 480}

#: NVIDIA: FP32 cores per multiprocessor by compute capability ("CUDA C++ Programming Guide",
#: appendix "Compute Capabilities", row of FP32 lanes).  The newest is taken for later ones.
NVIDIA_CORES = {
    (2, 0): 32, (2, 1): 48, (3, 0): 192, (5, 0): 128, (6, 0): 64, (6, 1): 128,
    (7, 0): 64, (8, 0): 64, (8, 6): 128, (8, 9): 128, (9, 0): 128,
}  # fmt: skip

#: A compute unit of an unknown GPU has at least one vector of this many lanes (AMD's GCN: four
#: times 16; Intel reports each execution unit as a compute unit, of 8 lanes).
LEAST_LANES = 8

_cache: dict[int, int] = {}


def nvidia_cores(capability: tuple[int, int]) -> int:
    """FP32 cores of one multiprocessor of compute *capability* (major, minor).

    >>> nvidia_cores((9, 0)), nvidia_cores((8, 7)), nvidia_cores((12, 0))
    (128, 128, 128)
    """
    known = [entry for entry in NVIDIA_CORES if entry <= capability]
    return NVIDIA_CORES[max(known)] if known else 8


def cores(device: cl.Device) -> int:
    """How many work-items *device* computes at once: its cores, or fewer where it does not say.

    Too small a number only makes more launches worth splitting; the paper's exception for small
    kernels then is a little narrower than it could be.
    """
    # Never dropped by OpenCL while a context lives, so the address names the device.
    key = device.int_ptr
    if key not in _cache:
        _cache[key] = max(1, _cores(device))
    return _cache[key]


def _cores(device: cl.Device) -> int:
    for part, count in KNOWN_CARDS.items():
        if part in device.name:
            return count
    units = device.max_compute_units
    if not device.type & cl.device_type.GPU:
        return units
    try:
        capability = (device.compute_capability_major_nv, device.compute_capability_minor_nv)
        return units * nvidia_cores(capability)
    except (cl.Error, AttributeError):
        pass
    try:
        # AMD: 1 x 16 x 5 on the HD 6570's generation, 4 x 16 x 1 on GCN.
        return int(
            units
            * device.simd_per_compute_unit_amd
            * device.simd_width_amd
            * device.simd_instruction_width_amd
        )
    except (cl.Error, AttributeError):
        return units * LEAST_LANES
