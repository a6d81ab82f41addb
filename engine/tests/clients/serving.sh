# shellcheck shell=bash
# For the scripts beside it: a folder for one run, and a `habitue serve` that ends with the script.
#
#   source serving.sh PATH_OF_THE_HABITUE_PROGRAM
#
# sets habitue, here, cache and folder.

habitue=$(realpath "$1")
here=$(realpath "$(dirname "${BASH_SOURCE[0]}")")
# shellcheck disable=SC2034 # Used by who sources this.
cache="${HABITUE_CLIENTS:-${XDG_CACHE_HOME:-$HOME/.cache}/habitue/clients}"
folder=$(mktemp -d)
servers=()
# shellcheck disable=SC2329 # Called by the trap.
end_servers() {
    for server in "${servers[@]}"; do
        { kill "$server" && wait "$server"; } 2>/dev/null || true
    done
    rm -rf "$folder"
}
trap end_servers EXIT

# A virtual environment for Python with the packages of a file, made anew when the file changes.
python_with() {
    local venv=$1 requirements=$2
    if ! cmp -s "$requirements" "$venv/requirements.txt"; then
        mkdir -p "$(dirname "$venv")"
        python3 -m venv --clear "$venv"
        "$venv/bin/pip" install --quiet --disable-pip-version-check -r "$requirements"
        cp "$requirements" "$venv/requirements.txt"
    fi
}

# Starts a server: serve NAME_OF_ITS_OUTPUT ARGUMENTS…; its protocols listen at any free port.
serve() {
    local output="$folder/$1.txt"
    shift
    "$habitue" serve "$@" >"$output" 2>&1 &
    servers+=($!)
    for _ in $(seq 100); do
        ! grep -q '^listening\.' "$output" || return 0
        sleep 0.1
    done
    cat "$output" >&2
    return 1
}

# Where a server listens: address_of NAME_OF_ITS_OUTPUT PROTOCOL.
address_of() {
    local found
    for _ in $(seq 50); do
        found=$(sed -n "s/^listening\. protocol=$2 address=\([^ ]*\).*/\1/p" "$folder/$1.txt")
        [ -z "$found" ] || { echo "$found"; return 0; }
        sleep 0.1
    done
    return 1
}
