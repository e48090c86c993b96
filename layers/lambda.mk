# What the Makefiles of the layer and of the functions share: the project's folder, Python 3.13, and compiling with it.
# SAM copies only the sources to a scratch folder, but names this folder's Makefile, so that the project is found from it.
project := $(abspath $(dir $(lastword $(MAKEFILE_LIST)))/..)

# Lambda's own minor version, because bytecode belongs to one. PYTHON313 names it. Otherwise the folders of pyenv and uv
# are searched. The program itself is used: pyenv's python3.13 runs only in folders with a fitting .python-version.
ifndef PYTHON313
  python313_candidates := python3.13 $(wildcard \
    $(or $(PYENV_ROOT),$(HOME)/.pyenv)/versions/3.13.*/bin/python3.13 \
    $(HOME)/.local/share/uv/python/cpython-3.13*/bin/python3.13)
  PYTHON313 := $(firstword $(foreach python,$(python313_candidates),\
    $(shell $(python) -c 'import sys; print(sys.executable if sys.version_info[:2] == (3, 13) else "")' 2>/dev/null)))
endif

.PHONY: python313
python313:
	@test -n '$(PYTHON313)' || { echo 'Python 3.13 is needed to compile for Lambda and was not found.' \
	  'Install it (uv python install 3.13, pyenv install 3.13) or say PYTHON313=/path/to/python3.13' >&2; exit 1; }
	@$(PYTHON313) -c 'import sys; sys.exit(sys.version_info[:2] != (3, 13))' || { \
	  echo 'PYTHON313=$(PYTHON313) is not Python 3.13' >&2; exit 1; }

# $(call compile,/path/in/lambda): bytecode that is never checked against the source, because Lambda's folders are
# read-only and could not store new bytecode. The hash seed, times and modes are fixed, so equal sources give equal
# bytes, and a umask of 077 does not lock Lambda out.
define compile
	@find "$(ARTIFACTS_DIR)" -type d -name __pycache__ -prune -exec rm -rf {} +
	@PYTHONHASHSEED=0 $(PYTHON313) -m compileall -q --invalidation-mode unchecked-hash \
	  -s "$(ARTIFACTS_DIR)" -p $(1) "$(ARTIFACTS_DIR)"
	@chmod -R u=rwX,go=rX "$(ARTIFACTS_DIR)"
	@find "$(ARTIFACTS_DIR)" -exec touch -h -t 198001020000 {} +
endef
