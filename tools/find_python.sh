#!/bin/sh
# Print the path of a Python that Scipion and the core both support (3.11 before 3.10, one with tkinter first, since
# Scipion's windows need it).  Every candidate is run, because a pyenv shim exists also where it leads nowhere.
# Usage: find_python.sh [PYTHON]

rank='
import sys
version = sys.version_info[:2]
if version not in ((3, 10), (3, 11)):
    sys.exit(1)
import ensurepip, venv
try:
    import tkinter
except ImportError:
    tkinter = None
print(11 - version[1], int(tkinter is None), sys.executable)
'

candidates() {
    if [ -n "$1" ]; then
        echo "$1"
        return
    fi
    printf '%s\n' python3.11 python3.10 python3 python
    for found in "${PYENV_ROOT:-$HOME/.pyenv}"/versions/3.1[01].*/bin/python3; do
        echo "$found"
    done
}

best=$(candidates "$1" | while IFS= read -r candidate; do
    "$candidate" -c "$rank" 2>/dev/null </dev/null
done | sort -s -n -k 1,1 -k 2,2 | head -n 1 | cut -d ' ' -f 3-)

if [ -z "$best" ]; then
    echo "${1:+$1: }no Python 3.11 or 3.10 with its venv module, which Scipion needs, was found:" \
        "install one (pyenv install 3.11, or apt-get install python3.11 python3.11-venv python3-tk)" \
        "or name it: make PYTHON=/path/to/python3.11" >&2
    exit 1
fi
echo "$best"
