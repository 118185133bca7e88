#!/bin/sh
# Starts Redis in its container, with the passwords that it is told: `sh start_redis.sh redis.conf [options]`.
#
#   REDIS_PASSWORD or REDIS_PASSWORD_FILE   one password for all, who may then do everything (requirepass)
#   REDIS_ACL_FILE                          a file of `make acl`: a user for each process (aclfile)
#
# Both together are refused: a server that has an ACL file ignores requirepass. Nothing of them is a word of a command
# line, which all processes of the host may read: the server reads them from its standard input.
set -eu

refuse() {
    echo "start_redis: $1" >&2
    exit 2
}

# Whether a file says something to this directive, beside an empty text.
says() { grep -Eiq "^[[:space:]]*$2[[:space:]]+[\"']?[^[:space:]\"']" "$1"; }

[ $# -gt 0 ] && [ -r "$1" ] || refuse "the first argument must be the server's configuration"
conf=$1
shift

password=${REDIS_PASSWORD:-}
if [ -n "${REDIS_PASSWORD_FILE:-}" ]; then
    [ -z "$password" ] || refuse "REDIS_PASSWORD and REDIS_PASSWORD_FILE are both set: leave one of them out"
    [ -r "$REDIS_PASSWORD_FILE" ] || refuse "REDIS_PASSWORD_FILE: $REDIS_PASSWORD_FILE cannot be read"
    password=$(cat "$REDIS_PASSWORD_FILE")
    # As the services read it: the newline may be one of Windows, and a byte order mark is no part of a password.
    password=${password%"$(printf '\r')"}
    case $password in "$(printf '\357\273\277')"*)
        refuse "REDIS_PASSWORD_FILE: $REDIS_PASSWORD_FILE begins with a byte order mark: save it as UTF-8 without one" ;;
    esac
    [ -n "$password" ] || refuse "REDIS_PASSWORD_FILE: $REDIS_PASSWORD_FILE is empty"
fi
acl=${REDIS_ACL_FILE:-}
if [ -n "$acl" ]; then
    [ -r "$acl" ] || refuse "REDIS_ACL_FILE: $acl cannot be read"
    [ "$(head -n 1 "$acl")" = "user default off" ] ||
        refuse "REDIS_ACL_FILE: $acl must begin with the line: user default off (make acl writes such files)"
fi
if [ -n "$acl" ] || says "$conf" aclfile || says "$conf" user; then
    if [ -n "$password" ] || says "$conf" requirepass; then
        refuse "requirepass (REDIS_PASSWORD) and an ACL file (REDIS_ACL_FILE) are both set: a server ignores requirepass then; leave one of them out"
    fi
fi

# A text in double quotes, as the configuration takes it.
quoted() { printf '"%s"' "$(printf %s "$1" | sed 's/[\\"]/\\&/g')"; }

given=$(
    [ -z "$password" ] || printf 'requirepass %s\n' "$(quoted "$password")"
    [ -z "$acl" ] || printf 'aclfile %s\n' "$(quoted "$acl")"
)
unset password REDIS_PASSWORD

# The image's entry point knows who the server runs as.
entry=$(command -v docker-entrypoint.sh || true)
exec ${entry:+"$entry"} "${REDIS_SERVER:-redis-server}" "$conf" "$@" - <<END
$given
END
