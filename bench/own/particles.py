"""110,592 charged particles move, OpenMM on OpenCL: python particles.py.

Prints a line each ten steps, and runs on.
"""

import openmm

SIDE, APART = 48, 0.34  # particles on each side of a cube, nm between them

force = openmm.NonbondedForce()
force.setNonbondedMethod(openmm.NonbondedForce.PME)
force.setCutoffDistance(0.9)
system = openmm.System()
length = SIDE * APART
system.setDefaultPeriodicBoxVectors(
    openmm.Vec3(length, 0, 0), openmm.Vec3(0, length, 0), openmm.Vec3(0, 0, length)
)
positions = []
for at in range(SIDE**3):
    system.addParticle(18.0)
    force.addParticle(0.2 if at % 2 else -0.2, 0.3, 0.65)
    x, y, z = at // SIDE**2, at // SIDE % SIDE, at % SIDE
    positions.append(openmm.Vec3(x * APART, y * APART, z * APART))
system.addForce(force)
integrator = openmm.LangevinMiddleIntegrator(300, 1.0, 0.002)
context = openmm.Context(system, integrator, openmm.Platform.getPlatformByName("OpenCL"))
context.setPositions(positions)
while True:
    integrator.step(10)
    print(context.getState(getEnergy=True).getPotentialEnergy(), flush=True)
