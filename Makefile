# A fresh clone needs nothing but `make demo`. PYTHON=python3.12 and CC=clang are respected.

# A compiler that is here goes before the one that Python was built with, which may not be.
ifeq ($(origin CC),default)
CC := $(firstword $(foreach name,cc gcc clang,$(if $(shell command -v $(name)),$(name))) cc)
endif
export CC

BIN := .venv/bin
NATIVE := setup.py pyproject.toml $(wildcard csrc/*.[ch] src/fastput/native/*.p[xy][xd])
C_TESTS := $(patsubst csrc/tests/%.c,build/sanitize/%,$(wildcard csrc/tests/*.c))

.DEFAULT_GOAL := help
.PHONY: help venv build demo test test-stores lint bench bench-links faults sanitize clean FORCE

help: ## list these targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-11s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

venv: .venv/pyvenv.cfg ## make .venv, or say what the machine lacks for it

build: build/installed-test ## install fastput and what its tests need into .venv

demo: build/installed-test ## upload a file (FILE=path, or a made one) to a real S3 server here and compare
	@$(BIN)/python -m bench.demo $(if $(FILE),"$$FILE")

# Most tests wait for a server, a process or a deadline: four at a time use two cores well.
test: build/installed-test ## run the tests (ARGS="-k word" is handed to pytest)
	@$(BIN)/python -m pytest -n 4 --dist worksteal -m "not ceph" $(ARGS)

test-stores: build/installed-test ## run the tests that need Ceph, a real cluster (as root it is installed first)
	@missing="$$($(BIN)/python -c 'from bench.servers import ceph; print(*ceph.missing_packages())')" && \
	if [ -n "$$missing" ]; then \
	    if [ "$$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then \
	        echo "test-stores needs Ceph: apt-get install --no-install-recommends $$missing (Debian, Ubuntu)" >&2; \
	        exit 1; \
	    fi; \
	    echo "installing $$missing" && apt-get -qq update && \
	    DEBIAN_FRONTEND=noninteractive apt-get -qq install -y --no-install-recommends $$missing >/dev/null || \
	    { echo "test-stores: Ceph could not be installed: $$missing" >&2; exit 1; }; \
	fi
	@$(BIN)/python -m pytest -m ceph $(ARGS)

lint: build/installed-test,lint ## check style, types and the direction of imports
	@PATH="$(CURDIR)/$(BIN):$$PATH"; ruff check . && mypy && cython-lint src && lint-imports

bench: build/installed-test,bench ## measure fastput beside other clients (ARGS are handed over)
	@$(BIN)/python -m bench $(ARGS)

bench-links: build/installed-test,bench ## the autotuner on links and stores with known limits, some two hours (as root; ARGS are handed over)
	@$(BIN)/python -m bench.links $(ARGS)

faults: build/installed-test ## 2,000 uploads under random faults; prints the table (ARGS are handed over)
	@$(BIN)/python -m bench.faults $(ARGS)

sanitize: $(C_TESTS) build/installed-test ## run the C tests and those of the extensions with the sanitizers
	@for program in $(C_TESTS); do echo $$program && ./$$program || exit 1; done
	@.ci/sanitized $(BIN)/python -n 4 --dist worksteal -m "not ceph" tests/native/test_crc.py tests/native/test_slicer.py tests/native/test_put.py tests/native/test_landing.py \
	    tests/native/test_pack.py \
	    tests/tree/test_walk.py tests/tree/test_survey.py tests/source tests/engine tests/transport tests/store tests/client $(ARGS)

clean: ## remove all that was made, .venv too
	rm -rf .venv build src/*.egg-info src/fastput/native/*.so src/fastput/native/*.c

# Looked at every time; what stands on it is made anew only if it was.
.venv/pyvenv.cfg: FORCE
	@.ci/venv

build/installed-%: .venv/pyvenv.cfg $(NATIVE)
	@echo "installing fastput [$*] into .venv"
	@$(BIN)/python -m pip install --disable-pip-version-check -qq -e ".[$*]"
	@mkdir -p $(@D) && touch $@

build/sanitize/%: csrc/tests/%.c $(wildcard csrc/tests/*.h csrc/*.[ch])
	@mkdir -p $(@D)
	@$(CC) -std=c11 -D_GNU_SOURCE -g -O1 -Wall -Wextra -Icsrc -fsanitize=address,undefined \
	    -fno-sanitize-recover=all -o $@ $< $(filter-out $<,$(filter %.c,$^)) -pthread
