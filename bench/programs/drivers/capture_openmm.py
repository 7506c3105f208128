"""Has OpenMM build its OpenCL kernels: charged particles, several forces and integrators."""

from __future__ import annotations

import sys

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


def main() -> int:
    """A few steps of everything."""
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
