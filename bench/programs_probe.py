"""Whole programs whose waits are measured: python programs_probe.py NAME [flag]; prints JSON.

Of each kind of step the median time in us and the part of a core that it took.  With `flag` CUDA's
contexts wait by sleeping, which is CUDA's own remedy (CU_CTX_SCHED_BLOCKING_SYNC).
"""

from __future__ import annotations

import json
import multiprocessing
import os
import random
import resource
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

#: Seconds for which steps of a kind are made, how many there are at least, and those before that
#: are not counted.
SECONDS, LEAST, WARM_UP = 3.0, 5, 3

Row = tuple[str, dict[str, float]]


def cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def steps(step: Callable[[], Any], parts: int = 1) -> dict[str, float]:
    """Median time of a step's part in us, and the part of a core that all took."""
    for _ in range(WARM_UP):
        step()
    took: list[float] = []
    used, began = cpu(), time.perf_counter()
    while len(took) < LEAST or time.perf_counter() < began + SECONDS:
        start = time.perf_counter()
        step()
        took.append(time.perf_counter() - start)
    spent = (cpu() - used) / (time.perf_counter() - began)
    return {"us": statistics.median(took) / parts * 1e6, "cpu": spent}


def ask_for_blocking_waits() -> None:
    """Before any other use of the device."""
    from bench.waits_probe import BLOCKING
    from gpusplit.cuda import Driver

    Driver().call("cuDevicePrimaryCtxSetFlags_v2", 0, BLOCKING)


def torch_products() -> Iterator[Row]:
    """A product of 8192 x 8192, waited for in three ways, and the training of bench/own."""
    import torch

    a, b = (torch.randn(8192, 8192, device="cuda") for _ in range(2))
    event = torch.cuda.Event()
    yield "product, synchronize()", steps(lambda: (a @ b, torch.cuda.synchronize()))
    yield "product, .item()", steps(lambda: float((a @ b)[0, 0].item()))
    yield (
        "product, event.synchronize()",
        steps(lambda: (a @ b, event.record(), event.synchronize())),
    )
    layers = [torch.nn.Sequential(torch.nn.Linear(4096, 4096), torch.nn.ReLU()) for _ in range(12)]
    network = torch.nn.Sequential(*layers).cuda()
    batch = torch.randn(4096, 4096, device="cuda")
    yield "training step", steps(_training(network, lambda: network(batch).square().mean(), 1e-4))


def _training(network: Any, loss: Callable[[], Any], rate: float) -> Callable[[], float]:
    import torch

    optimizer = torch.optim.SGD(network.parameters(), lr=rate)

    def step() -> float:
        optimizer.zero_grad()
        now = loss()
        now.backward()
        optimizer.step()
        return float(now.item())

    return step


def resnet() -> Iterator[Row]:
    """ResNet-50 learns 64 pictures."""
    import torch
    import torchvision  # type: ignore[import-not-found]

    network = torchvision.models.resnet50().cuda()
    pictures = torch.randn(64, 3, 224, 224, device="cuda")
    classes = torch.randint(0, 1000, (64,), device="cuda")
    loss = torch.nn.CrossEntropyLoss()
    yield (
        "ResNet-50, b64",
        steps(_training(network, lambda: loss(network(pictures), classes), 0.01)),
    )


def llm() -> Iterator[Row]:
    """A language model of 1.1 billion parameters reads eight texts, and writes them on."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    # As in bench/own/generate.py, which has to run alone where it is copied to.
    config = LlamaConfig(
        hidden_size=2048, intermediate_size=5632, num_hidden_layers=22, num_attention_heads=32,
        num_key_value_heads=4, vocab_size=32000,
    )  # fmt: skip
    with torch.device("cuda"):
        model = LlamaForCausalLM(config).half().eval()
        prompt = torch.randint(0, config.vocab_size, (8, 512))
    tokens = 12
    with torch.inference_mode():
        yield "prefill, 8 x 512", steps(lambda: float(model(prompt).logits[0, 0, 0].item()))
        write = partial(model.generate, prompt, do_sample=False, pad_token_id=0)
        yield "generate, a token", steps(lambda: write(max_new_tokens=tokens).tolist(), tokens)


def openmm(side: int) -> Iterator[Row]:
    """side^3 charged particles on OpenCL; the energy is read each step, or ten, or hundred."""
    import openmm as mm

    apart = 0.34  # nm
    force, system = mm.NonbondedForce(), mm.System()
    force.setNonbondedMethod(mm.NonbondedForce.PME)
    force.setCutoffDistance(0.9)
    system.setDefaultPeriodicBoxVectors(*(mm.Vec3(*row) * side * apart for row in _unit()))
    positions = []
    for at in range(side**3):
        system.addParticle(18.0)
        force.addParticle(0.2 if at % 2 else -0.2, 0.3, 0.65)
        place = (at // side**2, at // side % side, at % side)
        positions.append(mm.Vec3(*place) * apart)
    system.addForce(force)
    integrator = mm.LangevinMiddleIntegrator(300, 1.0, 0.002)
    integrator.setRandomNumberSeed(1)
    context = mm.Context(system, integrator, mm.Platform.getPlatformByName("OpenCL"))
    context.setPositions(positions)

    def go(count: int) -> None:
        integrator.step(count)
        context.getState(getEnergy=True).getPotentialEnergy()

    go(200)
    for count in (1, 10, 100):
        yield f"OpenMM, {side**3}, {count} a read", steps(partial(go, count), count)


def _unit() -> tuple[tuple[int, int, int], ...]:
    return (1, 0, 0), (0, 1, 0), (0, 0, 1)


def opencl_product(n: int) -> Iterator[Row]:
    """The product of bench.split_overhead, unsplit."""
    import numpy as np
    import pyopencl as cl

    from bench.split_probe import SOURCE, TILE

    context = cl.create_some_context(interactive=False)
    queue = cl.CommandQueue(context)
    flags = cl.mem_flags.READ_WRITE | cl.mem_flags.COPY_HOST_PTR
    host = np.random.default_rng(1).random((n, n), np.float32)
    kernel = cl.Program(context, SOURCE).build().product
    buffers = [cl.Buffer(context, flags, hostbuf=host) for _ in range(3)]
    kernel.set_args(*buffers, np.int32(n))

    def step() -> None:
        cl.enqueue_nd_range_kernel(queue, kernel, (n, n), (TILE, TILE))
        queue.finish()

    yield f"OpenCL product, N = {n}", steps(step)


def two_lengths() -> Iterator[Row]:
    """Kernels of 6 and 0.6 ms, one name and grid, in turn and at random."""
    from bench.waits_probe import Gpu

    gpu, lengths = Gpu(flag=False), (6.0, 0.6)
    draw = random.Random(1)
    orders: dict[str, list[float]] = {
        "in turn": [*lengths] * 300,
        "at random": [draw.choice(lengths) for _ in range(600)],
    }
    for name, order in orders.items():
        took: dict[float, list[float]] = {length: [] for length in lengths}
        used, began = cpu(), time.perf_counter()
        for length in order:
            start = time.perf_counter()
            gpu.launch(length)
            gpu.wait_stream()
            took[length].append(time.perf_counter() - start)
        spent = (cpu() - used) / (time.perf_counter() - began)
        for length, each in took.items():
            found = statistics.median(each[WARM_UP:]) * 1e6
            yield f"{length:g} ms, {name}", {"us": found, "cpu": spent}


def beside() -> Iterator[Row]:
    """Kernels of 10 and 1 ms, and on the same CPU a program that computes without a pause.

    `neighbour` is that program's speed, as a part of its speed alone.
    """
    from bench.waits_probe import Gpu

    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    gpu = Gpu(flag=False)  # main() has asked for it
    counted = multiprocessing.Value("q", 0, lock=False)
    burner = multiprocessing.Process(target=_burn, args=(counted,), daemon=True)
    burner.start()

    def speed(begun: float, before: int) -> float:
        return float(counted.value - before) / (time.perf_counter() - begun)

    time.sleep(0.5)  # it starts
    began, before = time.perf_counter(), counted.value
    time.sleep(SECONDS)  # and has the CPU alone
    alone = speed(began, before)
    for milliseconds in (10.0, 1.0):

        def step(length: float = milliseconds) -> None:
            gpu.launch(length)
            gpu.wait_stream()

        step()
        began, before = time.perf_counter(), counted.value
        found = steps(step)
        name = f"{milliseconds:g} ms beside a busy program"
        yield name, found | {"neighbour": speed(began, before) / alone}
    burner.kill()


def _burn(counted: Any) -> None:
    while True:
        counted.value += sum(range(1000)) > 0


PROGRAMS: dict[str, Callable[[], Iterator[Row]]] = {
    "torch": torch_products,
    "resnet": resnet,
    "llm": llm,
    "openmm-24": partial(openmm, 24),
    "openmm-48": partial(openmm, 48),
    "product-10240": partial(opencl_product, 10240),
    "product-5120": partial(opencl_product, 5120),
    "lengths": two_lengths,
    "beside": beside,
}


def main() -> None:
    """Measure one program; it ends as programs do, since the library reports at its end."""
    name, *flag = sys.argv[1:]
    if flag:
        ask_for_blocking_waits()
    print(json.dumps(dict(PROGRAMS[name]())), flush=True)


if __name__ == "__main__":
    main()
