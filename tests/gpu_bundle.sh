#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# gpu_bundle.sh BUILD OUT.tar.xz: programs, tests of the device, what they are linked
# with, Open MPI's launcher and plug-ins, in one archive that can be unpacked anywhere, for
# a GPU machine that has none of them.  The driver and cuBLASLt are that machine's own.
#
#   bin/      wrappers          libexec/  the programs
#   lib/      libraries, the dynamic linker among them      plugins/  Open MPI's and PMIx's
set -euo pipefail
build=$(cd "$1" && pwd)
out=$2
source=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
stage=$(mktemp -d)
trap 'rm -rf "$stage"' EXIT
root=$stage/vitbench-gpu
programs=(vitbench vittrain vitdata vitckpt tests/t200-dev tests/t205-dev-products
    tests/t210-dev-ops tests/t230-dev-adamw tests/t232-cuda-bf16)

mkdir -p "$root"/{bin,lib,libexec,plugins,pmix,share}
for program in "${programs[@]}"; do
    file=$build/$program
    real=$(dirname "$file")/.libs/$(basename "$file")
    [ -x "$real" ] && file=$real
    [ -x "$file" ] || continue
    install -s "$file" "$root/libexec/"
done
install "$(readlink -f "$(command -v mpirun)")" "$root/libexec/mpirun"
install "$(command -v orted)" "$root/libexec/orted"

# Open MPI's plug-ins lie beside its library; those that cannot be of use are left out.
mpi=$(ldd "$root/libexec/vitbench" | sed -n 's/.*libmpi\.so[^ ]* => \([^ ]*\).*/\1/p')
for folder in "$(dirname "$(readlink -f "$mpi")")" /usr/lib/*/openmpi/lib /usr/lib/openmpi/lib; do
    for plugins in "$folder"/openmpi "$folder"/openmpi3; do
        [ -d "$plugins" ] || continue
        find "$plugins" -name 'mca_*.so' ! -name '*openib*' ! -name '*ofi*' \
            ! -name '*psm*' ! -name '*ucx*' ! -name '*ucc*' ! -name '*_usnic*' \
            -exec cp -n {} "$root/plugins/" \;
    done
done
find /usr/lib/*/pmix2 /usr/lib/*/pmix -name '*mca_*.so' -exec cp -n {} "$root/pmix/" \; \
    2>/dev/null || true
for file in /usr/share/openmpi/help-*; do
    [ -f "$file" ] && mkdir -p "$root/share/openmpi" && cp "$file" "$root/share/openmpi/"
done

# All libraries that any of these names, the C library and the linker too.
for file in "$root"/libexec/* "$root"/plugins/* "$root"/pmix/*; do
    ldd "$file" 2>/dev/null | sed -n -e 's/.* => \(\/[^ ]*\).*/\1/p' -e 's/^\t\(\/[^ ]*\).*/\1/p'
done | sort -u | while read -r library; do
    cp -nL "$library" "$root/lib/"
done
linker=$(cd "$root/lib" && ls ld-linux*.so.* | head -n 1)
find "$root/lib" "$root/plugins" "$root/pmix" -type f ! -name "$linker" -exec strip --strip-unneeded {} \; \
    2>/dev/null || true

for program in "$root"/libexec/*; do
    name=$(basename "$program")
    cat >"$root/bin/$name" <<EOF
#!/bin/sh
here=\$(cd "\$(dirname "\$0")/.." && pwd)
export OPAL_PREFIX="\$here" PMIX_PREFIX="\$here" OPAL_DATADIR="\$here/share"
export OMPI_MCA_mca_base_component_path="\$here/plugins"
export PMIX_MCA_mca_base_component_path="\$here/pmix"
export OMPI_MCA_orte_launch_agent="\$here/bin/orted" OMPI_MCA_plm_rsh_agent=sh
exec "\$here/lib/$linker" --library-path "\$here/lib\${LD_LIBRARY_PATH:+:\$LD_LIBRARY_PATH}" \\
    "\$here/libexec/$name" "\$@"
EOF
    chmod +x "$root/bin/$name"
done
cp "$source/tests/gpu.sh" "$source/bench/compare/compare.py" "$root/"
tar -C "$stage" -cf - vitbench-gpu | xz -1 -T0 >"$out"
size=$(stat -c %s "$out")
echo "$out: $((size / 1048576)) MiB"
[ "$size" -lt $((60 << 20)) ]
