"""Has OpenMM build its OpenCL kernels: charged particles, several forces and integrators.

An argument names one non-bonded method: then the same particles' forces are printed, and where a
few steps lead.
"""

from __future__ import annotations

import hashlib
import sys

import numpy as np
import openmm
from openmm import unit

SIDE = 12  # particles in a row
BOX_NM = 3.6


def make_system(method: int) -> openmm.System:
    """Particles with charges, bonds, angles, torsions and two custom forces."""
    system = openmm.System()
    system.setDefaultPeriodicBoxVectors((BOX_NM, 0, 0), (0, BOX_NM, 0), (0, 0, BOX_NM))
    nonbonded = openmm.NonbondedForce()
    nonbonded.setNonbondedMethod(method)
    nonbonded.setCutoffDistance(1.0)
    custom = openmm.CustomNonbondedForce("1/(r+1)^4")
    custom.setNonbondedMethod(openmm.CustomNonbondedForce.CutoffPeriodic)
    bonds, angles = openmm.HarmonicBondForce(), openmm.HarmonicAngleForce()
    torsions = openmm.PeriodicTorsionForce()
    outside = openmm.CustomExternalForce("0.01*(x^2+y^2)")
    count = SIDE**3
    for i in range(count):
        system.addParticle(18.0)
        nonbonded.addParticle(0.1 if i % 2 else -0.1, 0.2, 0.1)
        custom.addParticle()
        outside.addParticle(i)
    for i in range(0, count - 4, 4):
        bonds.addBond(i, i + 1, 0.3, 1000)
        angles.addAngle(i, i + 1, i + 2, 2.0, 100)
        torsions.addTorsion(i, i + 1, i + 2, i + 3, 2, 1.0, 3)
        system.addConstraint(i + 2, i + 3, 0.3)
    for force in (nonbonded, custom, bonds, angles, torsions, outside):
        system.addForce(force)
    return system


def positions() -> list[openmm.Vec3]:
    """A grid."""
    step = BOX_NM / SIDE
    return [
        openmm.Vec3(x * step, y * step, z * step)
        for x in range(SIDE)
        for y in range(SIDE)
        for z in range(SIDE)
    ]


def show(method: str) -> None:
    """Digests of forces and positions, before and after five steps, and energies.

    Forces and positions are the same in every run, to the last bit.  Energies are not, since their
    parts are added as they come: three digits of them.
    """
    platform = openmm.Platform.getPlatformByName("OpenCL")
    system = make_system(getattr(openmm.NonbondedForce, method))
    context = openmm.Context(system, openmm.VerletIntegrator(1e-5), platform)
    context.setPositions(positions())
    for steps in (0, 5):
        context.getIntegrator().step(steps)
        state = context.getState(energy=True, forces=True, positions=True)
        for values in (state.getForces(asNumpy=True), state.getPositions(asNumpy=True)):
            print(hashlib.sha256(np.ascontiguousarray(values).tobytes()).hexdigest())
        print(f"{state.getPotentialEnergy().value_in_unit(unit.kilojoule_per_mole):.3g} kJ/mol")


def main() -> int:
    """A few steps of everything."""
    if sys.argv[1:]:
        show(*sys.argv[1:])
        return 0
    platform = openmm.Platform.getPlatformByName("OpenCL")
    for method in (openmm.NonbondedForce.PME, openmm.NonbondedForce.CutoffPeriodic):
        for integrator in (
            openmm.VerletIntegrator(0.001),
            openmm.LangevinMiddleIntegrator(300 * unit.kelvin, 1, 0.001),
            openmm.BrownianIntegrator(300, 1, 0.001),
            openmm.VariableVerletIntegrator(0.001),
        ):
            system = make_system(method)
            system.addForce(openmm.MonteCarloBarostat(1, 300, 1))
            context = openmm.Context(system, integrator, platform)
            context.setPositions(positions())
            integrator.step(2)
            print(
                method,
                type(integrator).__name__,
                context.getState(energy=True).getPotentialEnergy(),
            )
    return 0


if __name__ == "__main__":
    sys.exit(main())
