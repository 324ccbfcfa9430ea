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
.PHONY: help venv build demo test lint bench sanitize clean FORCE

help: ## list these targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

venv: .venv/pyvenv.cfg ## make .venv, or say what the machine lacks for it

build: build/installed-test ## install fastput and what its tests need into .venv

demo: build/installed-test ## upload a file (FILE=path, or a made one) to a real S3 server here and compare
	@$(BIN)/python -m bench.demo $(if $(FILE),"$$FILE")

test: build/installed-test ## run the tests (ARGS="-k word" is handed to pytest)
	@$(BIN)/python -m pytest $(ARGS)

lint: build/installed-test,lint ## check style, types and the direction of imports
	@PATH="$(CURDIR)/$(BIN):$$PATH"; ruff check . && mypy && cython-lint src && lint-imports

bench: build/installed-test,bench ## measure fastput beside other clients (ARGS are handed over)
	@$(BIN)/python -m bench $(ARGS)

sanitize: $(C_TESTS) ## run the C tests with the address and undefined-behaviour sanitizers
	@for program in $^; do echo $$program && ./$$program || exit 1; done

clean: ## remove all that was made, .venv too
	rm -rf .venv build src/*.egg-info src/fastput/native/*.so src/fastput/native/*.c

# Looked at every time; what stands on it is made anew only if it was.
.venv/pyvenv.cfg: FORCE
	@.ci/venv

build/installed-%: .venv/pyvenv.cfg $(NATIVE)
	@echo "installing fastput [$*] into .venv"
	@$(BIN)/python -m pip install --disable-pip-version-check -qq -e ".[$*]"
	@mkdir -p $(@D) && touch $@

build/sanitize/%: csrc/tests/%.c $(wildcard csrc/*.[ch])
	@mkdir -p $(@D)
	@$(CC) -std=c11 -D_GNU_SOURCE -g -O1 -Wall -Wextra -Icsrc -fsanitize=address,undefined \
	    -fno-sanitize-recover=all -o $@ $< $(filter-out $<,$(filter %.c,$^)) -pthread
