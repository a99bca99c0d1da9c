#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# gpu_bundle.sh BUILD OUT.tar.xz: programs, tests of the device, what they are linked
# with, Open MPI's launcher and plug-ins, in one archive that can be unpacked anywhere, for
# a GPU machine that has none of them.  The driver and cuBLASLt are that machine's own.
#
#   bin/      wrappers          libexec/  the programs
#   needed/   libraries, the dynamic linker among them      plugins/  Open MPI's
#   pmix/     PMIx's plug-ins   hwloc/    none
#   bare/     links to those that are not the C library's, for BUNDLE_BARE
#
# That machine may have an Open MPI and a C library of its own, of other versions.  Of the
# former nothing is opened: each of its three packages is told its folder of plug-ins.  And
# no program of the machine gets our C library: mpirun puts lib/ of its prefix before the
# LD_LIBRARY_PATH of all it starts, the shells of our wrappers too, so no folder of that
# name is here.  With BUNDLE_BARE in the environment a program runs by that machine's C
# library and linker, which must be as new as ours.
set -euo pipefail
build=$(cd "$1" && pwd)
out=$2
source=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
stage=$(mktemp -d)
trap 'rm -rf "$stage"' EXIT
root=$stage/vitbench-gpu
programs=(vitbench vittrain vitdata vitckpt tests/t200-dev tests/t205-dev-products
    tests/t210-dev-ops tests/t212-dev-pictures tests/t230-dev-adamw
    tests/t232-cuda-bf16 tests/t435-optim tests/t502-graph)

mkdir -p "$root"/{bin,needed,bare,libexec,plugins,pmix,hwloc,share}
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
    cp -nL "$library" "$root/needed/"
done
# The driver and cuBLASLt name these as well; the machine's own go with its own C library.
libc=$(ldd "$root/libexec/vitbench" | sed -n 's/.*libc\.so[^ ]* => \([^ ]*\).*/\1/p')
for name in libdl.so.2 libpthread.so.0 librt.so.1; do
    cp -nL "$(dirname "$libc")/$name" "$root/needed/"
done
linker=$(cd "$root/needed" && ls ld-linux*.so.* | head -n 1)
for file in "$root"/needed/*; do
    name=${file##*/}
    case $name in
    ld-linux* | lib[cm].so* | libdl.so* | librt.so* | libpthread.so* | libresolv.so* | \
        libutil.so* | libmvec.so* | libanl.so*) ;;
    *) ln -s "../needed/$name" "$root/bare/$name" ;;
    esac
done
find "$root/needed" "$root/plugins" "$root/pmix" -type f ! -name "$linker" -exec strip --strip-unneeded {} \; \
    2>/dev/null || true

for program in "$root"/libexec/*; do
    name=$(basename "$program")
    cat >"$root/bin/$name" <<EOF
#!/bin/sh
here=\$(cd "\$(dirname "\$0")/.." && pwd)
export OPAL_PREFIX="\$here" OPAL_DATADIR="\$here/share" OPAL_SYSCONFDIR="\$here/share"
export OMPI_MCA_mca_base_component_path="\$here/plugins"
export PMIX_PREFIX="\$here" PMIX_PKGLIBDIR="\$here/pmix" PMIX_PKGDATADIR="\$here/share"
export PMIX_DATADIR="\$here/share" PMIX_SYSCONFDIR="\$here/share"
export HWLOC_PLUGINS_PATH="\$here/hwloc"
export OMPI_MCA_orte_launch_agent="\$here/bin/orted" OMPI_MCA_plm_rsh_agent=sh
if [ -n "\${BUNDLE_BARE-}" ]; then
    export LD_LIBRARY_PATH="\$here/bare\${LD_LIBRARY_PATH:+:\$LD_LIBRARY_PATH}"
    exec "\$here/libexec/$name" "\$@"
fi
exec "\$here/needed/$linker" --library-path "\$here/needed\${LD_LIBRARY_PATH:+:\$LD_LIBRARY_PATH}" \\
    "\$here/libexec/$name" "\$@"
EOF
    chmod +x "$root/bin/$name"
done
cp "$source/tests/gpu.sh" "$source/bench/compare/compare.py" "$root/"
# Programs have the same kernels: what was in one is found again in the others.
tar -C "$stage" -cf - vitbench-gpu | xz --lzma2=preset=1,dict=64MiB >"$out"
size=$(stat -c %s "$out")
echo "$out: $((size / 1048576)) MiB"
[ "$size" -lt $((60 << 20)) ]
