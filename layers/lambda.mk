# The Makefiles of the layer and of the functions share this: the project's folder, Python 3.13, and compiling with it.
# SAM copies only the sources to a scratch folder. But it runs the Makefile in the project, which includes this file, so
# this file's path leads to the project.
project := $(abspath $(dir $(lastword $(MAKEFILE_LIST)))/..)

# Lambda's own minor version of Python, because bytecode works with one version only. PYTHON313 names the program.
# Otherwise search PATH and the folders of pyenv and uv. Use the program itself and not pyenv's python3.13, which runs
# only in folders whose .python-version names that version.
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
	  'Install it (uv python install 3.13, pyenv install 3.13) or set PYTHON313=/path/to/python3.13' >&2; exit 1; }
	@$(PYTHON313) -c 'import sys; sys.exit(sys.version_info[:2] != (3, 13))' || { \
	  echo 'PYTHON313=$(PYTHON313) is not Python 3.13' >&2; exit 1; }

# $(call compile,/folder/in/lambda): make bytecode that Python never checks against the source, because Lambda's folders
# are read-only and cannot store newer bytecode. The hash seed and the times are fixed, so that equal sources give equal
# bytes. The modes are fixed too, so that Lambda can read files that were built with a umask of 077.
define compile
	@find "$(ARTIFACTS_DIR)" -type d -name __pycache__ -prune -exec rm -rf {} +
	@PYTHONHASHSEED=0 $(PYTHON313) -m compileall -q --invalidation-mode unchecked-hash \
	  -s "$(ARTIFACTS_DIR)" -p $(1) "$(ARTIFACTS_DIR)"
	@chmod -R u=rwX,go=rX "$(ARTIFACTS_DIR)"
	@find "$(ARTIFACTS_DIR)" -exec touch -h -t 198001020000 {} +
endef
