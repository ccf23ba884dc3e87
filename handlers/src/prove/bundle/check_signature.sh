#!/bin/sh
# Verifies the Ed25519 signature of the checkpoint of a proof bundle with OpenSSL 3.0 or newer. Nothing of medimg is used.
#
# Usage: sh check_signature.sh [--vkey KEY] [--checkpoint FILE] [--witness KEY]...
#   --vkey KEY         the verifier key that you got from outside; without it the file `vkey` of the bundle, which proves nothing
#                      about who signed, only that the bundle fits together
#   --checkpoint FILE  another checkpoint than that of the bundle
#   --witness KEY      verifier key of a witness whose cosignature must be there too
# Exit: 0 every signature asked for is right; 1 one is wrong or missing; 2 it could not be checked.
# OPENSSL names another openssl than the first in PATH.
set -u

here=$(dirname -- "$0")
openssl=${OPENSSL:-openssl}
checkpoint=$here/checkpoint
key='' witnesses=''

unable() {
  echo "NOT CHECKED: $*"
  exit 2
}

refuse() {
  echo "REFUSED: $*"
  exit 1
}

while [ $# -gt 0 ]; do
  case $1 in
    --vkey | --checkpoint | --witness) [ $# -ge 2 ] || unable "$1 takes a value" ;;
    *) unable "there is no option $1; see the first lines of this script" ;;
  esac
  case $1 in
    --vkey) key=$2 ;;
    --checkpoint) checkpoint=$2 ;;
    --witness) witnesses="$witnesses $2" ;;
  esac
  shift 2
done

command -v "$openssl" >/dev/null || unable "there is no openssl; name one with OPENSSL=..."
[ -r "$checkpoint" ] || unable "the checkpoint cannot be read"
work=$(mktemp -d) || unable "no temporary folder"
trap 'rm -rf "$work"' EXIT

from_outside=yes
if [ -z "$key" ]; then
  key=$(cat "$here/vkey") || unable "the file vkey cannot be read"
  from_outside=no
fi

hex() { od -An -v -tx1 | tr -d ' \n'; }
decode() { "$openssl" base64 -d -A; }

# The text that was signed: origin, size and root, each with its LF. Behind it an empty line and the signature lines.
sed -n '1,3p' "$checkpoint" >"$work/text"
[ "$(wc -l <"$work/text")" -eq 3 ] || refuse "the checkpoint has no three lines"
[ -z "$(sed -n '4p' "$checkpoint")" ] || refuse "the checkpoint has more lines than origin, size and root"
sed '1,4d' "$checkpoint" >"$work/signatures"
origin=$(sed -n '1p' "$work/text")

# Takes KEY apart and writes the public key as SubjectPublicKeyInfo (RFC 8410): a fixed prefix and the 32 bytes.
take_key() { # KEY TYPE
  case $1 in *+*+*) ;; *) unable "that is no verifier key: NAME+ID+BASE64" ;; esac
  name=${1%%+*}
  rest=${1#*+}
  id=${rest%%+*}
  printf '%s' "${rest#*+}" | decode >"$work/blob" 2>/dev/null
  [ "$(wc -c <"$work/blob")" -eq 33 ] || unable "the verifier key of $name is no Ed25519 key"
  [ "$(dd if="$work/blob" bs=1 count=1 2>/dev/null | hex)" = "$2" ] || unable "the verifier key of $name is of another kind"
  { printf '%s\n' "$name"; cat "$work/blob"; } | "$openssl" dgst -sha256 -binary >"$work/id" || unable "openssl cannot hash"
  [ "$(dd if="$work/id" bs=4 count=1 2>/dev/null | hex)" = "$id" ] || unable "the verifier key of $name does not have its key id"
  { printf '\060\052\060\005\006\003\053\145\160\003\041\000'; tail -c 32 "$work/blob"; } >"$work/key.der"
  "$openssl" pkey -pubin -inform DER -in "$work/key.der" -noout 2>/dev/null || unable "this openssl knows no Ed25519: take 3.0 or newer"
}

# Finds the signature line of the key just taken, SIZE bytes with its key id, and leaves it decoded.
find_signature() { # SIZE
  while IFS= read -r line; do
    case $line in "— $name "*) ;; *) continue ;; esac
    printf '%s' "${line##* }" | decode >"$work/line" 2>/dev/null
    [ "$(dd if="$work/line" bs=4 count=1 2>/dev/null | hex)" = "$id" ] || continue
    [ "$(wc -c <"$work/line")" -eq "$1" ] || continue
    tail -c 64 "$work/line" >"$work/signature"
    return 0
  done <"$work/signatures"
  return 1
}

verify() { # MESSAGE
  "$openssl" pkeyutl -verify -pubin -keyform DER -inkey "$work/key.der" -rawin -in "$1" -sigfile "$work/signature" >/dev/null 2>&1
}

take_key "$key" 01
[ "$name" = "$origin" ] || refuse "the key is that of the log $name, the checkpoint is of $origin"
find_signature 68 || refuse "the checkpoint carries no signature of this key"
verify "$work/text" || refuse "the signature of the checkpoint is not that of this key"
echo "ok    the checkpoint of $origin, size $(sed -n '2p' "$work/text"), was signed by $name+$id"

# A witness signs the same text behind two lines of its own (c2sp.org/tlog-cosignature).
for witness in $witnesses; do
  take_key "$witness" 04
  find_signature 76 || refuse "the checkpoint carries no cosignature of $name"
  time=$(dd if="$work/line" bs=1 skip=4 count=8 2>/dev/null | hex)
  time=$((0x$time))
  { printf 'cosignature/v1\ntime %s\n' "$time"; cat "$work/text"; } >"$work/message"
  verify "$work/message" || refuse "the cosignature is not that of $name"
  echo "ok    the witness $name+$id saw this checkpoint at $time (seconds since 1970)"
done

if [ "$from_outside" = no ]; then
  echo "note  the key came with the bundle: compare it with one from outside, or give that one with --vkey"
fi
echo "HOLDS: the signature is right."
