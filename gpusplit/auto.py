"""`import gpusplit.auto` installs gpusplit with the options of the environment."""

from gpusplit.inprocess import install

install()
