#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# What the objects of the library and of vitbench refer to: BLIS is called by its own
# device alone, HDF5 and ScaLAPACK by nothing here, so that all else links without them.
build=${top_builddir:-.}
if ! command -v nm >/dev/null 2>&1; then
    echo "1..0 # SKIP nm is missing"
    exit 0
fi

# references SYMBOLS: the objects that refer to a symbol of the pattern SYMBOLS.
references() {
    for archive in "$build"/.libs/libvit.a "$build"/.libs/libbench.a; do
        nm -A "$archive" 2>/dev/null
    done | sed -n "s/.*[:(]\([^:(]*\.o\)[:)]* *U \($1\).*/\1/p" | sort -u
}

# only NUMBER NAME SYMBOLS OBJECTS
only() {
    others=$(references "$3" | grep -vE "$4")
    if [ -z "$others" ]; then
        echo "ok $1 - $2 is called only where it belongs"
    else
        echo "not ok $1 - $2 is called only where it belongs"
        echo "$others" | sed 's/^/# in /'
    fi
}

if references 'err_keep' | grep -q .; then
    echo "ok 1 - the libraries have symbols"
else
    echo "not ok 1 - the libraries have symbols"
fi
only 2 BLIS 'bli_' '^(cpu_)?blis'
only 3 oneDNN 'dnnl_' '^cpu_onednn'
only 4 HDF5 'H5' '^$'
only 5 ScaLAPACK 'Cblacs_\|p[sd][a-z]*_$' '^$'
only 6 'a BLAS' 'cblas_\|[sd]ge[a-z]*_$\|[sd]po[a-z]*_$' '^$'
echo "1..6"
