#!/usr/bin/env bash
# Sourced by windows.sh: what it takes on a Debian host to build for 64-bit Windows and to run the result.
#
# rustup's prebuilt Windows standard library is not to be had everywhere that Debian's packages are, so the
# standard library is built from Debian's copy of its sources (cargo's -Zbuild-std), by the Debian compiler
# of the same version. MinGW links; Wine runs. Everything is unpacked below $1 and nothing replaces the
# host's own Rust.
#
# Exports WINDOWS_TARGET, WINDOWS_CARGO_FLAGS and WINE, and the variables that cargo and Wine read.

windows_toolchain="$1"
export WINEPREFIX="$windows_toolchain/wine" WINEDEBUG=-all
WINE=/usr/lib/wine/wine64

install_packages() {
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends gcc-mingw-w64-x86-64 wine64 >/dev/null
}

# The versioned packages that Debian's compiler needs at run time (its LLVM, its host libraries).
compiler_packages() {
  echo rustc-web rust-web-src
  apt-cache depends --recurse --no-recommends --no-suggests --no-conflicts --no-breaks --no-replaces --no-enhances rustc-web \
    | grep -E '^(libstd-rust-web|libllvm)' | sort -u
}

unpack_compiler() {
  local root="$windows_toolchain/root" sources llvm
  mkdir -p "$windows_toolchain/deb" "$root"
  # shellcheck disable=SC2046  # a list of package names
  (cd "$windows_toolchain/deb" && apt-get download -qq $(compiler_packages) 2>/dev/null)
  for package in "$windows_toolchain"/deb/*.deb; do dpkg -x "$package" "$root"; done
  rm -r "$windows_toolchain/deb"

  sources="$(echo "$root"/usr/src/rustc-*)"
  mkdir -p "$root/usr/lib/rustlib/src"
  ln -sfn "$sources" "$root/usr/lib/rustlib/src/rust"
  llvm="$(echo "$root"/usr/lib/llvm-*/lib)"
  cat >"$windows_toolchain/rustc.new" <<SH
#!/bin/sh
LD_LIBRARY_PATH=$root/usr/lib/x86_64-linux-gnu:$llvm exec $root/usr/bin/rustc "\$@"
SH
  chmod +x "$windows_toolchain/rustc.new"
  mv "$windows_toolchain/rustc.new" "$windows_toolchain/rustc"
}

# Debian's Wine has no bcryptprimitives.dll, which Rust's standard library imports for its random seeds.
prepare_wine() {
  "$WINE" wineboot --init >/dev/null 2>&1
  x86_64-w64-mingw32-gcc -shared -o "$WINEPREFIX/drive_c/windows/system32/bcryptprimitives.dll" -x c - -ladvapi32 <<'C'
#include <windows.h>
BOOLEAN NTAPI SystemFunction036(PVOID buffer, ULONG length);
__declspec(dllexport) BOOL WINAPI ProcessPrng(PBYTE buffer, SIZE_T length) {
  return SystemFunction036(buffer, (ULONG)length);
}
C
}

have_packages() { [ -x "$WINE" ] && command -v x86_64-w64-mingw32-gcc >/dev/null; }
have_compiler() { [ -x "$windows_toolchain/rustc" ]; }

if ! have_packages || ! have_compiler; then apt-get update -qq; fi
if ! have_packages; then install_packages; fi
if ! have_compiler; then unpack_compiler; fi
if [ ! -f "$WINEPREFIX/drive_c/windows/system32/bcryptprimitives.dll" ]; then prepare_wine; fi

export RUSTC="$windows_toolchain/rustc" RUSTC_BOOTSTRAP=1
export CARGO_TARGET_X86_64_PC_WINDOWS_GNU_LINKER=x86_64-w64-mingw32-gcc
export CC_x86_64_pc_windows_gnu=x86_64-w64-mingw32-gcc
WINDOWS_TARGET=x86_64-pc-windows-gnu
# shellcheck disable=SC2034,SC2054  # used by the script that sources this one; the comma is cargo's
WINDOWS_CARGO_FLAGS=(-Zbuild-std=std,panic_unwind --target "$WINDOWS_TARGET")
