#!/usr/bin/env bash
# Sourced by every gate: where things are made, with which Python, and the few steps that gates share.
# Everything that is made goes to .build; the user's HOME is never written to.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd -P)
build=$root/.build
tree=$build/tree/ansible_collections/bigfile/oci
user_home=${BIGFILE_USER_HOME:-$HOME}

# The tools keep caches below HOME. Of the user's own files they need one: how pip reaches its index.
mkdir -p "$build/home/.config/pip" "$build/logs" "$build/tmp"
if [[ -r $user_home/.config/pip/pip.conf ]]; then
    ln -sfn "$user_home/.config/pip/pip.conf" "$build/home/.config/pip/pip.conf"
fi

unset VIRTUAL_ENV PYTHONHOME PYTHONPATH "${!ANSIBLE_@}"
export BIGFILE_USER_HOME=$user_home
export HOME=$build/home XDG_CACHE_HOME=$build/home/.cache XDG_CONFIG_HOME=$build/home/.config XDG_DATA_HOME=$build/home/.local/share
export PYTHONDONTWRITEBYTECODE=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore
export ANSIBLE_HOME=$HOME/.ansible ANSIBLE_COLLECTIONS_PATH=$build/tree ANSIBLE_NOCOLOR=1 NO_COLOR=1
# For ansible's local connection ~ is what the user database says, whatever HOME is.
export ANSIBLE_REMOTE_TEMP=$HOME/.ansible/tmp ANSIBLE_ASYNC_DIR=$HOME/.ansible_async
export LC_ALL=${LC_ALL:-C.UTF-8}

say() { printf '%s\n' "$*" >&2; }
die() { say "$*"; exit 1; }

# find_python X.Y: prints the interpreter, which must be able to make virtual environments.
find_python() {
    local candidate found
    while IFS= read -r candidate; do
        [[ -x $candidate ]] || continue
        found=$(HOME=$user_home "$candidate" -c '
import ensurepip, sys, venv
print(sys.executable if "%d.%d" % sys.version_info[:2] == sys.argv[1] else "")' "$1" 2>/dev/null) || continue
        [[ -z $found ]] || { printf '%s\n' "$found"; return; }
    done < <(type -ap "python$1" python3; printf '%s\n' "${PYENV_ROOT:-$user_home/.pyenv}"/versions/"$1".*/bin/python)
    return 1
}

# The Python that the gates run on: the one asked for, else the first that is new enough.
base_python() {
    local candidate
    for candidate in ${PYTHON:+"$PYTHON"} python3 python3.{11,12,13,14}; do
        HOME=$user_home "$candidate" -c '
import ensurepip, sys, venv
sys.version_info >= (3, 11) or sys.exit(1)
print(sys.executable)' 2>/dev/null && return
        [[ $candidate != "${PYTHON-}" ]] || break
    done
    die "Python 3.11 or later with venv is needed (PYTHON=... names one)."
}

# in_turn NAME COMMAND...: gates may run abreast; what they share they make one at a time.
in_turn() {
    local turn
    mkdir -p "$build/turns"
    exec {turn}>"$build/turns/$1"
    flock "$turn"
    "${@:2}"
    exec {turn}>&-
}

# need_venv NAME PYTHON PIP-ARGUMENT...: makes .build/venv/NAME, unless it is there and made from the same requirements.
need_venv() { in_turn "venv-$1" make_venv "$@"; }
make_venv() {
    local venv=$build/venv/$1 python=$2 want
    shift 2
    want=$("$python" -VV; cd "$root/tests/requirements" && sha256sum "$root/requirements.txt" ./*.txt \
        "$root/roles/oracle_assembler/files/requirements.txt"; printf '%s\n' "$@")
    if [[ $(cat "$venv/.ready" 2>/dev/null) != "$want" ]]; then
        say "making .build/venv/${venv##*/}"
        need_uv
        rm -rf "$venv"
        (cd "$root/tests/requirements" && { make_with_uv "$@" || make_with_pip "$@"; })
        printf '%s\n' "$want" >"$venv/.ready"
    fi
}
make_with_pip() {
    rm -rf "$venv"
    "$python" -m venv "$venv"
    "$venv/bin/python" -m pip install -qq --require-virtualenv "$@"
}

# uv takes a third of the time, but does not read where pip is told to look for packages: where that is not PyPI, pip does it.
make_with_uv() {
    [[ -x $build/uv/bin/uv ]] && ! "$build/uv/bin/python" -m pip config list | grep -qE '\.(index-url|no-index)=' || return 1
    "$build/uv/bin/uv" venv --quiet --seed --python "$python" "$venv" &&
        "$build/uv/bin/uv" pip install --quiet --compile-bytecode --python "$venv/bin/python" "$@"
}
need_uv() { in_turn uv fetch_uv; }
fetch_uv() {
    [[ ! -x $build/uv/bin/uv ]] || return 0
    rm -rf "$build/uv"
    "$(base_python)" -m venv "$build/uv"
    "$build/uv/bin/python" -m pip install -qq -r "$root/tests/requirements/uv.txt" || say "uv is not to be had: pip does it"
}

# use_venv NAME: the environment described by tests/requirements/NAME.txt, on the base Python, first on PATH.
use_venv() {
    local python
    python=$(base_python)
    need_venv "$1" "$python" -r "$1.txt"
    export PATH=$build/venv/$1/bin:$PATH
}

# need_posix: the collection ansible.posix alone, in .build/posix, by the Python in use; the package that brings it has all others, too.
need_posix() { in_turn posix fetch_posix; }
fetch_posix() {
    local wanted=$root/tests/requirements/posix.txt
    ! cmp -s "$wanted" "$build/posix/.ready" || return 0
    say "fetching ansible.posix"
    rm -rf "$build/posix" "$build/tmp/posix"
    python -m pip download -qq --no-deps --dest "$build/tmp/posix" -r "$wanted"
    python -c '
import sys, zipfile
package = zipfile.ZipFile(sys.argv[1])
package.extractall(sys.argv[2], [name for name in package.namelist() if name.startswith("ansible_collections/ansible/posix/")])' \
        "$build"/tmp/posix/ansible-*.whl "$build/posix"
    rm -r "$build/tmp/posix"
    cp "$wanted" "$build/posix/.ready"
}

# stage: brings the copy of the collection up to date; ansible and its tools find collections only below such a path.
stage() { HOME=$user_home in_turn stage "$(base_python)" "$root/tests/gates/stage.py" "$root" "$tree"; }

# run_pytest LABEL ARGUMENT...: pytest of the environment in use, in the staged tree, with all its output below .build.
run_pytest() {
    local label=$1
    shift
    mkdir -p "$build/tmp/$label"
    (cd "$tree" && TMPDIR=$build/tmp/$label PYTHONPATH=$build/tree:$tree/roles/oracle_assembler/files BIGFILE_BUILD=$build \
        python -m pytest -o "cache_dir=$build/pytest/$label" "--basetemp=$build/tmp/$label/pytest" "$@")
}

# bootstrap_ansible_test: ansible-test wants to download a script that puts pip into its environments; Python brings one along.
bootstrap_ansible_test() {
    local version
    version=$(python -c '
from types import SimpleNamespace
from ansible_test._internal.python_requirements import get_venv_packages
print(get_venv_packages(SimpleNamespace(version="3.11"))["pip"])')
    mkdir -p "$HOME/.ansible/test/cache"
    printf 'import ensurepip\nensurepip.bootstrap()\n' >"$HOME/.ansible/test/cache/get_pip_${version//./_}.py"
}

# run_sanity X.Y...: ansible-test sanity of the environment in use, on these target Pythons. Where one is missing that is
# said, and in CI it is a failure. ansible-test looks interpreters up by name, the environment's own before all others.
run_sanity() {
    local log=$build/logs/ansible-test.txt version python path found=() only=()
    path=$(dirname "$(type -P python)")
    for version in "$@"; do
        if python=$(find_python "$version"); then
            found+=("$version")
            path+=:$(dirname "$python")
        elif [[ ${CI-} == true ]]; then
            die "Python $version is not on this machine."
        else
            say "Python $version is not on this machine: not checked."
        fi
    done
    bootstrap_ansible_test
    [[ -z $(compgen -G "$tree/tests/sanity/ignore*") ]] || die "tests/sanity has ignore files."
    (($# > 1)) || only=(--python "$1")
    (cd "$tree" && env "PATH=$path:$PATH" ansible-test sanity --color no "${only[@]}" 2>&1) | tee "$log"

    # A test that could not run is a warning to ansible-test, not a failure. (Pythons beyond those asked for may be missing.)
    if grep -v 'because it could not be found' "$log" | grep -iE '^WARNING: .*(skipp|not found|unavailable)' >&2; then
        die "ansible-test left something out."
    fi
    for version in "${found[@]}"; do
        grep -qF "Running sanity test \"import\" on Python $version" "$log" || die "ansible-test left Python $version out."
    done
}
