# shellcheck shell=bash
# The private virtual environment.  Sourced by pmaplab and test, which set
# `root` (the checkout, absolute) and `me` (the name for messages).
#
#   prepare_environment        .venv holds the project as pyproject.toml has it
#   prepare_environment dev    and the packages of the dev extra
#
# Nothing goes to stdout.  `.venv/pmaplab.stamp` and `.venv/pmaplab.dev` are
# written last, so an environment without them is never used.

# A closed stdin would give descriptor 0 to the next file that anybody opens.
if ! { : 3<&0; } 2>/dev/null; then
    exec </dev/null
fi

# The environment is private: nothing of the caller's Python belongs in it.
unset PYTHONHOME PYTHONPATH

: "${root:?}" "${me:?}"
venv=$root/.venv

say() {
    printf '%s: %s\n' "$me" "$1" >&2
}

die() {
    say "$1"
    shift
    (($# == 0)) || printf '    %s\n' "$@" >&2
    exit 2
}

# What an environment was made from.  Its scripts hold the path of the checkout,
# and its packages belong to one Python.
fingerprint() {
    local hash
    if command -v sha256sum >/dev/null; then
        hash=$(sha256sum <"$root/pyproject.toml")
    elif command -v shasum >/dev/null; then
        hash=$(shasum -a 256 <"$root/pyproject.toml")
    else
        hash=$(cksum <"$root/pyproject.toml")
    fi || return
    printf '%s\n' "$hash" "$root" "$(readlink -f "$venv/bin/python" 2>/dev/null)"
}

stamped() {
    [[ -x $venv/bin/python && -f $1 && $(<"$1") == "$(fingerprint)" ]]
}

# $2 is the fingerprint from before the installation: pyproject.toml may have
# changed meanwhile.
write_stamp() {
    { printf '%s\n' "$2" >"$1.new" && mv -f "$1.new" "$1"; } || die "cannot write to $venv"
}

environment_is_ready() {
    stamped "$venv/pmaplab.stamp" && { [[ $1 != dev ]] || stamped "$venv/pmaplab.dev"; }
}

# Sets `python` to one that is new enough and can make virtual environments.
find_python() {
    local name version old='' bare=''
    for name in python3.11 python3.12 python3.13 python3; do
        # A name that is found may still not run, so ask it.
        version=$("$name" -I -c 'import sys; print("%d.%d" % sys.version_info[:2])' \
            </dev/null 2>/dev/null) || continue
        if ! "$name" -I -c 'import sys; sys.exit(sys.version_info < (3, 11))' </dev/null; then
            old="$name is Python $version"
        elif ! "$name" -I -c 'import ensurepip, venv' </dev/null 2>/dev/null; then
            bare=${bare:-$version}
        else
            python=$name
            return
        fi
    done
    if [[ $bare ]]; then
        die "Python $bare is here, but not its modules venv and ensurepip" \
            "On Debian and Ubuntu: apt-get install python$bare-venv"
    fi
    die "Python 3.11 or newer is needed${old:+, and $old}" \
        "Looked for python3.11, python3.12, python3.13 and python3." \
        "On Debian and Ubuntu: apt-get install python3 python3-venv" \
        "On FreeBSD: pkg install python311"
}

# With Python's flock and not flock(1), which not every system has.  The lock
# belongs to descriptor 9: it stays when this helper ends, and goes when the
# shell and the installers that inherited it are gone, however they end.
lock_environment() {
    exec 9>>"$root/.venv.lock" || die "cannot write to $root"
    "$python" -I - "$me" <<'EOF' || die "cannot lock $root/.venv.lock"
import fcntl
import sys

try:
    fcntl.flock(9, fcntl.LOCK_EX | fcntl.LOCK_NB)
except BlockingIOError:
    print(f"{sys.argv[1]}: waiting for another installation", file=sys.stderr)
    fcntl.flock(9, fcntl.LOCK_EX)
EOF
}

# Empties .venv, but only one that we made.
discard_environment() {
    [[ -e $venv || -L $venv ]] || return 0
    rmdir "$venv" 2>/dev/null && return
    [[ -f $venv/pmaplab.ours ]] ||
        die "$venv is not an environment that this script made" "Move it away and try again."
    # The mark goes last, so that an interrupted removal can be taken up again.
    rm -f "$venv/pmaplab.stamp" "$venv/pmaplab.dev"
    find "$venv" -mindepth 1 -maxdepth 1 ! -name pmaplab.ours -exec rm -rf {} +
    rm -rf "$venv"
}

create_environment() {
    discard_environment || die "cannot remove $venv"
    say "making .venv with $python"
    { mkdir "$venv" && : >"$venv/pmaplab.ours"; } || die "cannot make $venv"
    "$python" -I -m venv "$venv" </dev/null >&2 || die "cannot make the virtual environment"
}

install() {
    # A user's pip settings must not send the packages elsewhere.
    (
        unset PIP_TARGET PIP_PREFIX PIP_ROOT PIP_DRY_RUN
        cd -- "$root" &&
            PIP_USER=0 exec "$venv/bin/python" -I -m pip --disable-pip-version-check --no-input \
                install --quiet "$@" </dev/null >&2
    ) || die "the installation failed" "It needs the Python package index; the error is above."
}

install_project() {
    local made_from
    # An environment that was complete once is brought up to date; any other
    # may hold half a package.
    if [[ ! -f $venv/pmaplab.stamp || ! -x $venv/bin/python ||
        $(tail -n +2 "$venv/pmaplab.stamp") != "$(fingerprint | tail -n +2)" ]]; then
        create_environment
    fi
    rm -f "$venv/pmaplab.stamp" "$venv/pmaplab.dev"
    say "installing pmaplab into .venv"
    made_from=$(fingerprint)
    install --editable '.[c]'
    write_stamp "$venv/pmaplab.stamp" "$made_from"
}

# Leaves the project itself alone: somebody may be starting it right now.
install_dev() {
    local made_from package packages=()
    made_from=$(fingerprint)
    while IFS= read -r package; do
        packages+=("$package")
    done < <("$venv/bin/python" -I -c '
import sys, tomllib
with open(sys.argv[1], "rb") as file:
    print(*tomllib.load(file)["project"]["optional-dependencies"]["dev"], sep="\n")
' "$root/pyproject.toml")
    ((${#packages[@]})) || die "cannot read the dev extra from pyproject.toml"
    say "installing the development tools into .venv"
    install "${packages[@]}"
    write_stamp "$venv/pmaplab.dev" "$made_from"
}

prepare_environment() {
    local extra=${1-} python
    environment_is_ready "$extra" && return
    find_python
    lock_environment
    # Somebody else may have done it while we waited.
    stamped "$venv/pmaplab.stamp" || install_project
    if [[ $extra == dev ]]; then
        stamped "$venv/pmaplab.dev" || install_dev
    fi
    exec 9>&-
}
