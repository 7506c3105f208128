"""A host in virtual time: Xen's schedulers, VMs that compute, and a GPU VM whose driver waits.

`machine` has CPUs, virtual CPUs and the order of events; `credit` and `credit2` are the schedulers;
`driver` is what a GPU driver does while it waits; `host` puts one host together and runs it.
Everything is a function of its arguments and of a seed.  docs/simulation.md says what was taken
from Xen's sources, what was left out, and what was compared with measurements.
"""
