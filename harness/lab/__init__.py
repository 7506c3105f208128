"""What is measured in: the lab's state on disk, its hosts over SSH, Xen in dom0.

The lab is built by the playbooks. The harness only reads what they leave in the lab's
folder (`.lab`), and talks to the hosts that stand there.
"""
