#!/bin/sh
# Install AlignPCA-2D into a new Scipion as a user does, and run the tests that the documents name there: first from a
# clone with `installp -p CLONE --devel`, then from a wheel.
# Usage: test_scipion.sh [PYTHON]
# Everything lies in .venv-scipion and is deleted at the end: 2 GB, or 6 where the index has only torch with CUDA.  What
# is committed is tested.  Where the index has no Scipion this says so and succeeds.

set -u
root=$(cd "$(dirname "$0")/.." && pwd)
home=$root/.venv-scipion
clone=$home/scipion-em-alignpca2d # the folder's name is that of the distribution: Scipion looks for no other
scipion=$home/scipion/scipion3
program=$home/scipion/software/em/alignpca2d-*
unreachable='ConnectionError|NewConnection|ReadTimeout|Temporary failure|Max retries|ProxyError|SSLError|IncompleteRead'
unreachable="$unreachable|Connection (refused|reset|aborted)|HTTP error 5|Network is"
tests=alignpca2d_plugin.tests.test_protocol_alignpca2d

python=$(sh "$root/tools/find_python.sh" "${1:-}") || exit 1
unset ALIGNPCA2D_PYTHON PYTHONPATH PYTHONHOME VIRTUAL_ENV
export SCIPION_USER_DATA="$home/data" SCIPION_NOTIFY=False SCIPION_TEST_NOSYNC=True OMP_NUM_THREADS=1

trap 'rm -rf "$home"' EXIT
trap 'exit 130' INT TERM
rm -rf "$home"
mkdir -p "$home"

# step NAME COMMAND...: what a command prints is shown only if it fails.
step() {
    name=$1
    shift
    start=$(date +%s)
    if ! (cd "$home" && "$@") >"$home/$name.log" 2>&1; then
        if grep -qE "$unreachable" "$home/$name.log"; then
            tail -n 5 "$home/$name.log" >&2
            fail "NETWORK: the package index could not be reached"
        fi
        if grep -q "No matching distribution found for scipion" "$home/$name.log"; then
            echo "test-scipion: SKIPPED: the package index has no Scipion:" \
                "$(grep -m 1 "No matching distribution found" "$home/$name.log")"
            exit 0
        fi
        tail -n 40 "$home/$name.log" >&2
        fail "$name went wrong"
    fi
    echo "test-scipion: $name: $(($(date +%s) - start)) s"
}

fail() {
    echo "test-scipion: $1." >&2
    exit 1
}

# The environment that installp or installb makes, with the program of this installation in it.
check_program() {
    # shellcheck disable=SC2086  # the version is not known here
    core=$(cd "$home" && $program/env/bin/python -c 'import alignpca2d_core as core, torch; print(*core.__path__)') ||
        fail "the program's environment was not built"
    case $(readlink -f "$core") in
    "$1"/*) ;;
    *) fail "the program in its environment is $(readlink -f "$core"), which is not in $1" ;;
    esac
}

run_tests() {
    step "$1" "$scipion" tests "$2"
    passed=$(grep -c "RUN   OK" "$home/$1.log")
    [ "$passed" -ge "$3" ] || fail "only $passed tests were run"
    total=$((${total:-0} + passed))
}

step make-installer "$python" -m venv "$home/installer"
PATH=$home/installer/bin:$PATH # Scipion's launcher wants a `python`
step get-installer python -m pip install scipion-installer
step install-scipion python -m scipioninstaller -venv -noAsk -n environment -python "$python" "$home/scipion"
step clone git clone -q "$root" "$clone"

step installp "$scipion" installp -p "$clone" --devel
check_program "$clone"
run_tests tests-of-clone $tests 10

# The same from a wheel, with the environment that is there already.
step build-wheel python -m pip wheel --no-deps --wheel-dir "$home" "$clone"
step remove-clone "$scipion" pip uninstall -y scipion-em-alignpca2d
rm -rf "$clone" $program/core-installed
step install-wheel "$scipion" pip install "$(ls "$home"/*.whl)"
step installb "$scipion" installb alignpca2d
check_program "$home/scipion/environment"
run_tests tests-of-wheel $tests.TestAlignPCA2DPhaseFlipped 1

echo "test-scipion: $total passed, 0 failed"
