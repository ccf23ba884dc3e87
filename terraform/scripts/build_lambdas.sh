#!/usr/bin/env bash
# Builds the functions' one program and packs it: target/lambda/bootstrap.zip. `build_lambdas.sh [x86_64|arm64]`, x86_64 by default.
# Needs Rust and Python; for another processor than this machine's, or an older C library, cargo-lambda does the same (docs/DEPLOYMENT.md).
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

readonly ARCHITECTURE=${1:-x86_64}
# Amazon Linux 2023 has this version of the C library; a program that needs a newer one does not start there.
readonly GLIBC_MINOR_MAX=34
# What Lambda takes without a bucket in between is 50 MB; ours is held to less, because each cold start reads it.
readonly PACKAGE_BYTES_MAX=10485760

say() { echo "[INFO] $*"; }
fail() {
  echo "[ERROR] $*" >&2
  exit 1
}

case $ARCHITECTURE in
  x86_64) triple=x86_64-unknown-linux-gnu ;;
  arm64) triple=aarch64-unknown-linux-gnu ;;
  *) fail "the architecture is x86_64 or arm64, not $ARCHITECTURE" ;;
esac
command -v cargo >/dev/null || fail "cargo is not on PATH: install Rust"
command -v python3 >/dev/null || fail "python3 is not on PATH"

target=${CARGO_TARGET_DIR:-target}
host=$(rustc --version --verbose | sed -n 's/^host: //p')
arguments=(--release --locked --package handlers --features aws --bin bootstrap)
folder=$target/release
# A build for this machine shares its folder with every other one.
if [ "$host" != "$triple" ]; then
  arguments+=(--target "$triple")
  folder=$target/$triple/release
fi
say "cargo build ${arguments[*]}"
cargo build "${arguments[@]}"
program=$folder/bootstrap
[ -x "$program" ] || fail "$program was not built"

# The newest version of the C library that the program asks for, as its text says it: no tool of another processor is needed.
needed=$(grep -aoE 'GLIBC_2\.[0-9]+' "$program" | sed 's/.*\.//' | sort -n | tail -1)
[ -z "$needed" ] || [ "$needed" -le "$GLIBC_MINOR_MAX" ] ||
  fail "the program needs glibc 2.$needed, the functions have 2.$GLIBC_MINOR_MAX: build on an older system or with cargo-lambda"

# Always here, wherever cargo builds: Terraform looks for it there.
mkdir -p target/lambda
package=target/lambda/bootstrap.zip
# The same program gives the same package, byte for byte, so that nothing is deployed again without a reason.
python3 - "$program" "$package" <<'PYTHON'
import os
import sys
import zipfile

program, package = sys.argv[1:]
entry = zipfile.ZipInfo("bootstrap", date_time=(1980, 1, 1, 0, 0, 0))
entry.create_system = 3
entry.external_attr = 0o100755 << 16
entry.compress_type = zipfile.ZIP_DEFLATED
with zipfile.ZipFile(package + ".part", "w") as packed, open(program, "rb") as source:
    packed.writestr(entry, source.read(), compresslevel=9)
os.replace(package + ".part", package)
PYTHON
size=$(wc -c <"$package")
[ "$size" -le "$PACKAGE_BYTES_MAX" ] || fail "$package has $size bytes, at most $PACKAGE_BYTES_MAX are right"
say "$package: $size bytes, $ARCHITECTURE, glibc 2.${needed:-none}"
