"""`import gpusplit.auto` installs gpusplit with the options of the environment."""

from gpusplit.patch import install

install()
