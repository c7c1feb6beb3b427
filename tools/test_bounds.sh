#!/bin/sh
# Run the tests that touch the core's libraries, and whole runs, on the oldest or the newest packages that pyproject.toml admits.
# Usage: test_bounds.sh oldest|newest TORCH     (TORCH: what pip is asked for, such as torch==2.13.0)
# The environment holds no Scipion. It is .venv-oldest or .venv-newest, and is made again when pyproject.toml has changed.
# With CI set it is deleted afterwards: where the index has only torch with CUDA it takes 5 GB, and two filled a disk.

set -u
which=$1
torch=$2
extras=core,report,simulate,test
venv=.venv-$which
log=$venv.log
unreachable='ConnectionError|NewConnection|ReadTimeout|timed out|Temporary failure|Name or service|Max retries|ProxyError'
unreachable="$unreachable|SSLError|IncompleteRead|Connection (refused|reset|aborted)|HTTP error 5|Network is|from versions: none"

# Releases older than a Python have no wheels for it, so each end has its own.
case $which in
oldest) pythons="3.10 3.11 3.12" ;;
newest) pythons="3.13 3.12 3.11" ;;
*) echo "$0: oldest or newest?" >&2; exit 2 ;;
esac

if [ -n "${CI:-}" ]; then
    trap 'rm -rf "$venv"' EXIT
fi

# Every candidate is run, because a pyenv shim exists also where it leads nowhere.
find_python() {
    for version in $pythons; do
        for candidate in "python$version" "${PYENV_ROOT:-$HOME/.pyenv}"/versions/"$version".*/bin/python3; do
            "$candidate" -c 'import ensurepip, sys, venv; print(sys.executable)' 2>/dev/null </dev/null && return
        done
    done
    echo "No Python $(echo "$pythons" | sed 's/ /, /g') with its venv module was found." >&2
    return 1
}

build() {
    "$python" -m venv "$venv" &&
        "$python" tools/lower_bounds.py $(echo "$extras" | tr , ' ') >"$venv/lowest.txt" &&
        if [ "$which" = newest ]; then echo "$torch" >"$venv/lowest.txt"; fi &&
        "$venv/bin/python" -m pip install "$torch" &&
        "$venv/bin/python" -m pip install -c "$venv/lowest.txt" -e ".[$extras]" &&
        touch "$venv/.complete"
}

if [ ! -f "$venv/.complete" ] || [ pyproject.toml -nt "$venv/.complete" ]; then
    python=$(find_python) || exit 1
    rm -rf "$venv"
    echo "Building $venv with $python"
    if ! build >"$log" 2>&1; then
        if grep -qE "$unreachable" "$log"; then
            echo "$which: NETWORK: the package index could not be reached, nothing was tested (see $log)." >&2
        else
            echo "$which: the environment could not be built (see $log):" >&2
            grep -v '^WARNING' "$log" | tail -n 5 >&2
        fi
        exit 1
    fi
    rm -f "$log"
fi

"$venv/bin/python" -m pip list --format=freeze 2>/dev/null |
    grep -iE '^(torch|numpy|mrcfile|pandas|safetensors|pillow|gemmi|pytest|pytest-randomly|hypothesis|starfile)==' |
    tr '\n' ' ' | sed "s/^/$which, $("$venv/bin/python" -V): /; s/ $//"
echo
# Threads that wait for each other cost more than they bring on sets so small.
export OMP_NUM_THREADS="${OMP_NUM_THREADS:-1}"
"$venv/bin/python" -m pytest -q -p no:cacheprovider \
    tests/state/test_tensor_store.py tests/io/test_stacks.py tests/io/test_particle_set.py tests/io/test_star_files.py \
    tests/project/test_settings.py tests/results/test_result_files.py tests/simulation/test_simulate.py tests/simulation/test_specimens.py \
    tests/report/test_report.py tests/report/test_report_page.py tests/report/test_report_cli.py \
    tests/results/test_class_table.py tests/runtime/test_progress.py tests/io/test_atomic_files.py \
    tests/commands/test_command_line.py
