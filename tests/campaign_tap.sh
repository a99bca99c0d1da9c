# shellcheck shell=sh disable=SC2016
# SPDX-License-Identifier: BSD-3-Clause
# A sweep for tests of campaigns, and a trainer that needs no time; sourced.

# make_trainer FILE: it finds what a law says, and leaves a record of each fork and of the
# whole.  Where there is a file "slow" it takes a second, or as many as that says, and saves
# when it is told to.
make_trainer() {
    cat >"$1" <<'EOF'
#!/bin/sh
for option in "$@"; do
    case $option in
    --shape=*) shape=${option#*=} ;;
    --steps=*) steps=${option#*=} ;;
    --cooldown-at=*) forks=${option#*=} ;;
    --cooldown-steps=*) cooldown=${option#*=} ;;
    --batch=*) batch=${option#*=} ;;
    --records=*) records=${option#*=} ;;
    --id=*) id=${option#*=} ;;
    --seed=*) seed=${option#*=} ;;
    esac
done
[ ! -f slow ] || trap 'kill $!; echo saved; exit 75' USR1
echo "$id" >>begun
if [ -f slow ]; then
    seconds=$(cat slow)
    sleep "${seconds:-1}" &
    wait $!
fi
for fork in $(echo "$forks" | tr ',' ' ') end; do
    echo "$shape/$steps/${fork:-end}" | awk -F/ -v id="$id" -v batch="$batch" \
        -v cooldown="$cooldown" -v seed="$seed" '{
        n = $6 == "end" ? $5 : $6 + cooldown
        t = n * batch * $1 * $2 * (4 * $1 + 2 * $3) * 2
        y = 0.03 + 2 * $1 ^ -0.6 + 0.3 * $2 ^ -0.8 + 1.5 * $3 ^ -0.7
        y += (40 * $1 ^ 0.7 + 200 * $2 ^ 0.5 + 30 * $3 ^ 0.6) * t ^ -0.36
        y *= 1 + 0.001 * seed
        printf "{\"id\": \"%s%s\", \"status\": \"done\", \"width\": %d, \"depth\": %d, " \
            "\"mlp\": %d, \"compute\": %.15g, \"err_10shot\": %.12g}\n", id,
            ($6 == "end" ? "" : "." $6), $1, $2, $3, t, y }' >>"$records"
done
EOF
    chmod +x "$1"
}

# make_sweep FOLDER: a star of nine shapes.
make_sweep() {
    mkdir -p "$1"
    cat >"$1/sweep.conf" <<'EOF'
star = true
centre = 192/8/384
width = 64,96,128
depth = 2,3,5
mlp = 96,160,256
steps = 1000,2000,4000,8000
batch = 64
warmup-steps = 100
cooldown-steps = 100
heads = 4
patch = 4
image = 32
classes = 10
y = err_10shot
bootstrap = 20
budget = 1e18
from = 96/3/160@1e14
EOF
}

# make_grid FOLDER: small shapes, the best of them inside; and a trial of the shape.
make_grid() {
    sed -e 's/^star/grid/' -e '/^from/d' -e 's/^width.*/width = 32,64,128/' \
        -e 's/^depth.*/depth = 3,6,12/' -e 's/^mlp.*/mlp = 48,96,192/' \
        "$1/sweep.conf" >"$1/grid.conf"
    {
        sed -e '/^star/d' -e '/^from/d' -e 's/^budget.*/budget = 1e13/' "$1/sweep.conf"
        printf 'seeds = 2\nmultiple = 4/1/4\nbeside = 2/1/1,1/0.5/1\n'
    } >"$1/trial.conf"
}
