#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# vitfit as a user meets it: bad input ends with one sentence that names the place, good
# input with what was asked for, a plan can be written again and again, pictures appear.
vitfit=${top_builddir:-.}/vitfit
data=${srcdir:-.}/tests/data/chinchilla-isoflop.csv
case $vitfit in /*) ;; *) vitfit=$(pwd)/$vitfit ;; esac
# shellcheck source=tests/tap.sh
. "${srcdir:-.}/tests/tap.sh"

run() {
    "$vitfit" "$@" >"$folder/out" 2>"$folder/err" </dev/null
    status=$?
}

# refused STATUS WORDS ARGUMENT..
refused() {
    wanted=$1
    words=$2
    shift 2
    run "$@"
    [ $status -eq "$wanted" ] && [ "$(wc -l <"$folder/err")" -eq 1 ] &&
        [ ! -s "$folder/out" ] && grep -q -- "$words" "$folder/err"
    ok "ends with $wanted and says .. $words .."
}

# A star whose law is known: 0.1 of every term of eq. 2 in the middle; with 'joint' the
# sum of all dimensions' terms, eq. 3.
star() {
    ${AWK:-awk} -v is_joint="${1:-}" '
    function dim(k, x, f,   a) {
        a = 0.65 / s[k] / 2
        return 0.1 * (x / middle[k]) ^ -a + 0.1 * (x / middle[k]) ^ a * f
    }
    BEGIN {
        print "id,status,width,depth,mlp,compute,err_10shot"
        split("608 768 928 1088 1328 1648", x1); split("8 10 12 16 20 24", x2)
        split("1088 1360 1728 2160 2592 3072", x3)
        s[1] = 0.22; s[2] = 0.45; s[3] = 0.6
        middle[1] = 1000; middle[2] = 14; middle[3] = 1800
        for (k = 1; k <= 3; k++) {
            for (i = 1; i <= 6; i++) for (j = 0; j < 3; j++) {
                w = 1968; d = 40; m = 6144
                if (k == 1) w = x = x1[i]; else if (k == 2) d = x = x2[i]; else m = x = x3[i]
                t = d * (4 * w * w + 2 * w * m) * 3e10 * 2 ^ j
                f = (t / 2e19) ^ -0.65
                y = 0.1 * f + 0.1
                y += is_joint ? dim(1, w, f) + dim(2, d, f) + dim(3, m, f) : dim(k, x, f)
                printf "%d%d%d,done,%d,%d,%d,%.12g,%.12g\n", k, i, j, w, d, m, t, y
            }
        }
    }'
}
star >"$folder/star.csv"
star joint >"$folder/joint.csv"

# --- bad input ---------------------------------------------------------------------------

bad() {
    sed "$1" "$folder/star.csv" >"$folder/bad.csv"
}
refused 2 'is read, and would be written over' fit "$folder/joint.csv" "$folder/star.csv" \
    --json="$folder/./star.csv"
bad '5s/[0-9.]*$/nan/'
refused 2 'bad.csv: line 5, column err_10shot: .nan. is not a number' fit "$folder/bad.csv"
bad '6s/,[0-9]*,/,wide,/'
refused 2 'line 6, column width: .wide. is not a number' fit "$folder/bad.csv"
bad '7s/[0-9.]*$/-0.3/'
refused 2 'line 7, column err_10shot: -0.3 is not above 0' fit "$folder/bad.csv"
bad '8s/[0-9.]*$//'
refused 2 'line 8, column err_10shot: the value is missing; --skip-missing' fit "$folder/bad.csv"
bad '1s/compute/computed/'
refused 2 'line 1, column compute: there is no such column; --y, --dims and --compute' fit "$folder/bad.csv"
bad '9s/$/,1/'
refused 2 'line 9, column 8: more fields' fit "$folder/bad.csv"
printf '{"width":1,"err_10shot":NaN}\n{}\n' >"$folder/bad.jsonl"
refused 2 'line 1, column 2[0-9]: invalid token' fit "$folder/bad.jsonl"
refused 2 'nothing.csv cannot be read: No such file' fit "$folder/nothing.csv"
refused 2 'nothing.json cannot be read: No such file' shape --budget=1e20 \
    --fit="$folder/nothing.json"
refused 2 'jsonl cannot be read: No such file' plot design "$folder/nothing.jsonl" --out=x.gp
refused 3 'cannot be read: Is a directory' fit "$folder"
refused 2 'line 1, column err_10shot: there is no such column; --y, .* or --law, name' fit "$data"
refused 2 'needs a file' fit
refused 2 'which of plan' --y=loss
refused 2 "'fitt' is none of .*--help" fitt
refused 2 'did you mean --law' fit "$folder/star.csv" --lw=sovit
refused 2 "not for 'fit'" fit "$folder/star.csv" --budget=1e20
refused 2 'no dimension can be fitted; mlp: 0 rows are too few' fit "$folder/star.csv" --dims=mlp \
    --centre=6144 --hold-out=53
refused 2 'too few .* --hold-out took 54, --drop-highest 0' fit "$folder/star.csv" --joint \
    --hold-out=1000
refused 2 'too few .* --hold-out took 0, --drop-highest 243' fit "$data" --law=chinchilla \
    --drop-highest=243
refused 2 'give --centre, or --joint' fit "$folder/star.csv" --centre=1/2/3
refused 2 'parted by' fit "$folder/star.csv" --centre=1x2x3
refused 2 'needs --terms' fit "$folder/star.csv" --law=additive
refused 2 '--terms is for --law=additive' fit "$folder/star.csv" --terms=width
refused 2 '--flops is for --law=chinchilla' fit "$folder/star.csv" --flops=compute
refused 2 '--shared-c is for --law=sovit' fit "$data" --law=chinchilla --shared-c
refused 2 "not for 'plan'" plan --compute=flops
refused 2 "not for 'shape'" shape --budget=1e20 --centre=1968/40/6144
refused 2 '--beside is for plans that --out is to write' shape --budget=1e20 --beside=2/1/1
refused 2 '--seeds is for plans that --out is to write' shape --budget=1e20 --seeds=3
refused 2 "not for 'shape'" shape --budget=1e20 --level=0.5
refused 2 "not for 'pareto'" pareto "$folder/star.csv" --flops=flops
refused 2 "not for 'trial'" trial "$folder/star.csv" --dims=width
refused 2 '--centre is for --star' plan --grid --centre=1/2/3
refused 2 'expected whole numbers' plan --centre=1968/40.5/6144
refused 2 '--noise is for --star' plan --grid --noise=0.1
refused 2 '--delta is for --objective=huber' fit "$folder/star.csv" --delta=1
refused 2 '--compute is for other laws' fit "$data" --law=chinchilla --compute=flops
refused 2 'a law of one c' fit "$folder/star.csv" --joint --shared-c
refused 2 'needs --budget' shape
refused 2 'needs --machine' shape --budget=2e8s
refused 2 'budget=1e21,1e22: expected a number above 0' shape --budget=1e21,1e22
refused 2 'expected C/L/F@T0' shape --budget=1e20 --from=608/10/928
refused 2 'no model is that large: width' shape --budget=1e300
refused 2 'below that of the smallest shape: width 6.66' shape --budget=1e-8
refused 2 'below that of the smallest shape: depth 0.174' shape --budget=1e7
refused 2 'is for plans with --design=optimal' plan --budget=1e20
refused 2 'guess is for exponents of --fit' shape --budget=1e20 --guess
refused 2 'which cost more than that' plan --design=optimal --budget=1e18
refused 2 'add up to' shape --budget=1e20 --w=1,1,1
refused 2 'the values must rise' plan --width=700,600
refused 2 'leave nothing between' plan --steps=1K
refused 2 'cannot be divided into 16 heads' plan --width=600,601
refused 2 'one at a time' plan --star --grid
refused 2 'expected a name in' plot isoflop "$folder/star.csv" --out=x.pdf
refused 2 'expected isoflop' plot circles --out=x.svg
refused 2 'shape is for other pictures' plot pareto x.csv --shape=1/1/1 --out=x.svg
refused 2 'fit is for other pictures' plot curves x.csv --fit=x.json --out=x.svg
refused 2 'y is for other pictures' plot exponents --y=loss --out=x.svg
refused 2 'dims is for other pictures' plot isoflop x.csv --dims=width --out=x.svg
refused 2 'from vitfit fit --json' plot exponents --out="$folder/x.svg"
refused 2 "no line has both 'epoch' and 'loss'" plot curves "$data" --compute=epoch \
    --out="$folder/x.gp"
refused 3 'cannot be written' fit "$data" --law=chinchilla --bootstrap=0 --json=/nowhere/x.json

# --- fits --------------------------------------------------------------------------------

run fit "$folder/star.csv" --bootstrap=20 --json="$folder/fit.json"
[ $status -eq 0 ] && [ ! -s "$folder/err" ] &&
    grep -q '^s_width  *0.22 ' "$folder/out" && grep -q '^s_depth  *0.45 ' "$folder/out" &&
    grep -q '^s_mlp  *0.6 ' "$folder/out"
ok 'a planted star is found'
! grep -n '.\{81\}' "$folder/out" >>"$folder/err"
ok 'in 80 columns'
for member in law n objective objective_form floor terms dims s_k certificate hold_out; do
    grep -q "^  \"$member\":" "$folder/fit.json" || false
    ok "its JSON has '$member'"
done
grep -v ',40,[1-3]' "$folder/star.csv" >"$folder/two.csv"
run fit "$folder/two.csv" --centre=1968/40/6144 --bootstrap=0
[ $status -eq 0 ] && ! grep -n '.\{81\}' "$folder/out" &&
    grep -q '^s_mlp .*not identified: 0 rows' "$folder/out" &&
    grep -q '^s_depth  *0.45 ' "$folder/out" && ! grep -q '^[a-z]*_mlp  *0 ' "$folder/out"
ok 'a missing arm is not identified and has no constants, the others are and have'
grep -e id -e ',40,6144,' "$folder/star.csv" >"$folder/one.csv"
run fit "$folder/one.csv" --bootstrap=0 --json="$folder/one.json"
[ $status -eq 0 ] && grep -q 'of 18 runs' "$folder/out" && ! grep -q '^left out' "$folder/out" &&
    grep -q '^centre  *width - depth 40 mlp 6144$' "$folder/out" &&
    grep -q '^s_width  *0.22 ' "$folder/out" && ! grep -q alpha_mlp "$folder/one.json"
ok 'a star of one arm has all its runs on it'
run fit "$folder/one.csv" --dims=width --bootstrap=0
[ $status -eq 0 ] && grep -q 'of 18 runs' "$folder/out" && ! grep -q '^left out' "$folder/out"
ok 'also where no other dimension is named'
run fit "$folder/star.csv" --dims=width --bootstrap=0
[ $status -eq 0 ] && grep -q '^left out  *36 at the centre$' "$folder/out" &&
    grep -q '^centre  *width 1968$' "$folder/out" && grep -q '^s_width  *0.22 ' "$folder/out"
ok 'but not the runs of arms that are not named'
{ cat "$folder/star.csv" && echo '999,failed,608,40,6144,,'; } >"$folder/failed.csv"
run fit "$folder/failed.csv" --bootstrap=0 --hold-out=4
[ $status -eq 0 ] && grep -q '1 failed' "$folder/out" && grep -q 'held out  *4 runs' "$folder/out"
ok 'failed runs are left out, held-out ones predicted'
refused 2 "none of --terms is 'compute'" fit "$folder/star.csv" --law=additive --terms=width \
    --hold-out=4
run fit "$folder/joint.csv" --law=additive --terms=depth,compute --bootstrap=0 --hold-out=4 \
    --json="$folder/additive.json" # which tells what the runs of a depth share
[ $status -eq 0 ] && grep -q 'held out  *4 runs' "$folder/out" && grep -q '^  "shared": 0\.[0-9]' "$folder/additive.json"
ok 'of an additive law, too, if compute is among its terms'
# The first run of the star once more, looked at anew, and another that has its id.
awk -F, 'NR == 2 { $7 *= 1.1 } NR <= 2' OFS=, "$folder/star.csv" >"$folder/again.csv"
sed 's/,608,/,700,/' "$folder/again.csv" >"$folder/other.csv"
run fit "$folder/star.csv" "$folder/again.csv" --bootstrap=0 --no-profile
[ $status -eq 0 ] && grep -q '54 runs' "$folder/out" &&
    grep -q '^left out  *1 in two files$' "$folder/out" && grep -q '^width .*noise 0*[1-9]' "$folder/out"
ok 'of a run in two files the last line counts'
run fit "$folder/star.csv" "$folder/other.csv" --bootstrap=0 --no-profile
[ $status -eq 0 ] && grep -q '55 runs' "$folder/out" && ! grep -q '^left out' "$folder/out"
ok 'another run with its id is another run'
sed '1s/^/image,/; 2,$s/^/224,/' "$folder/star.csv" >"$folder/image.csv"
run fit "$folder/image.csv" --bootstrap=0 --no-profile
[ $status -eq 0 ] && [ ! -s "$folder/err" ] &&
    sed '9s/^224/384/' "$folder/image.csv" >"$folder/images.csv" &&
    run fit "$folder/images.csv" --bootstrap=0 --no-profile && [ $status -eq 0 ] &&
    grep -q "images.csv: the runs differ in 'image'" "$folder/err"
ok 'runs on images of two sizes are warned of'
sed '9s/,done,/,failed,/' "$folder/images.csv" >"$folder/image.csv"
run fit "$folder/image.csv" --bootstrap=0 --no-profile
[ $status -eq 0 ] && [ ! -s "$folder/err" ]
ok 'not if one of them failed'
sed '8s/[0-9.]*$//' "$folder/star.csv" >"$folder/missing.csv"
run fit "$folder/missing.csv" --bootstrap=0 --skip-missing
[ $status -eq 0 ] && grep -q '1 without err_10shot' "$folder/out"
ok 'runs without a metric are left out if that is asked for'
run fit "$data" --law=chinchilla --drop-highest=5 --bootstrap=20 --list-starts \
    --json="$folder/chinchilla.json"
[ $status -eq 0 ] && grep -q '^alpha  *0.3473' "$folder/out" &&
    [ "$(grep -c '^spread' "$folder/out")" -eq 16 ] && ! grep -n '.\{81\}' "$folder/out"
ok 'the Chinchilla runs, with their starts'
run fit --law chinchilla "$data" --bootstrap 0 --objective relative
[ $status -eq 0 ] && grep -q 'minimised  sum of (f / loss - 1)^2' "$folder/out"
ok 'options and files in any order'

# --- plans -------------------------------------------------------------------------------

run plan --out="$folder/sweep"
[ $status -eq 0 ] && grep -q '18 runs give 54 points' "$folder/out" &&
    [ "$(wc -l <"$folder/sweep/plan.jsonl")" -eq 18 ] &&
    grep -q '^#SBATCH --array=1-18$' "$folder/sweep/array.sbatch" &&
    bash -n "$folder/sweep/array.sbatch"
ok 'the default star: 18 runs, 54 points'
! grep -v '^wrote' "$folder/out" | grep -n '.\{81\}' >>"$folder/err" &&
    grep -q '^warning: s_mlp will not be identified' "$folder/out"
ok 'with its warnings in 80 columns'
# the number of that name in every line of plan.jsonl
planned() {
    sed "s/.*\"$1\": \([0-9.e+]*\).*/\1/" "$folder/sweep/plan.jsonl"
}
for name in flops_per_image examples compute examples_with_forks; do
    planned $name >"$folder/$name"
done
(cd "$folder" && paste flops_per_image examples compute examples_with_forks) |
    awk '{ d = $1 * $2 / $3 - 1; if (d * d > 1e-20) exit 1; all += $1 * $4
            if ($4 - $2 != 2 * 50000 * 128) exit 1 } # two forks that cool down
        END { printf "cost: %.4g FLOP forward,", all }' >"$folder/cost"
grep -q -f "$folder/cost" "$folder/out"
ok 'compute is of the examples; with forks they come to the cost'
run plan --design=optimal --budget=1.2e21
[ $status -eq 0 ] && awk '/^cost: / { found = $2 <= 1.2e21 && $2 > 1e21 } END { exit !found }' \
    "$folder/out"
ok 'a budget is kept, and used'
cp "$folder/sweep/plan.jsonl" "$folder/before"
run plan --out="$folder/sweep"
cmp -s "$folder/before" "$folder/sweep/plan.jsonl"
ok 'written again it is the same'
sed -n '2p;4p' "$folder/sweep/plan.jsonl" |
    sed 's/.*"records": \[\([^]]*\)\].*/\1/; s/[", ][", ]*/\n/g' | sed '/^$/d' |
    sed 's/.*/{"id":"&","status":"done"}/' >"$folder/sweep/records.jsonl"
sed -n 5p "$folder/sweep/plan.jsonl" |
    sed 's/.*"id": "\([^"]*\)".*/{"id":"\1","status":"failed"}/' >>"$folder/sweep/records.jsonl"
run plan --out="$folder/sweep"
[ $status -eq 0 ] && grep -q '6 done, 16 runs to do' "$folder/out" &&
    grep -q '^#SBATCH --array=1,3,5-18$' "$folder/sweep/array.sbatch"
ok 'finished runs are kept, failed ones run again'
[ ! -s "$folder/err" ] && run plan --out="$folder/sweep" --train-args=--lr=0.1 &&
    [ $status -eq 0 ] && grep -q '0 done, 18 runs to do' "$folder/out" &&
    grep -q 'records.jsonl: 6 records are of no run of this plan' "$folder/err"
ok 'those of a plan that was another are warned of'
run plan --out="$folder/sweep"
cat >"$folder/srun" <<'EOF'
#!/bin/sh
echo "$@" >>calls
exit 75
EOF
chmod +x "$folder/srun"
jobs=${top_builddir:-.}/jobs
case $jobs in /*) ;; *) jobs=$(pwd)/$jobs ;; esac
(cd "$folder" && VIT_JOBS=$jobs VIT_LAUNCHER=$folder/srun sh sweep/array.sbatch 7)
[ $? -eq 75 ] && grep -q 'vittrain --shape=1968/8/6144/16 --steps=2000000 --cooldown-at=450000,950000' \
    "$folder/sweep/calls"
ok 'a task starts its run and passes its status on'
run plan --out="$folder/a friend's sweep"
VIT_JOBS=$jobs VIT_LAUNCHER=$folder/srun sh "$folder/a friend's sweep/array.sbatch" 7
[ $? -eq 75 ] && [ -s "$folder/a friend's sweep/calls" ]
ok 'whatever its folder is called'
run plan --out="$folder/sweep" --y=err_10shot
[ $status -eq 0 ] && grep -q ' 0 done, 18 runs to do' "$folder/out"
ok 'a run without the metric that is asked for is not done'
run plan --out="$folder/sweep" --probe-args=--shots=10
[ $status -eq 0 ] && grep -q ' 0 done, 18 runs to do' "$folder/out" &&
    grep -q 'launch vitprobe' "$folder/sweep/array.sbatch" && sh -n "$folder/sweep/array.sbatch"
ok 'nor one that is still to be probed'
run plan --width=700,800,900 --heads=10 --seeds=2 --out="$folder/seeds"
[ $status -eq 0 ] && grep -q '6 runs give 18 points' "$folder/out" &&
    [ "$(sed 's/.*"id": "\([^"]*\)".*/\1/' "$folder/seeds/plan.jsonl" | sort -u | wc -l)" -eq 6 ]
ok 'every shape with as many seeds as are asked for, each a run of its own'
run plan --width=608,800,1968
[ $status -eq 0 ] && grep -q '2 runs give 6 points' "$folder/out"
ok 'but not the centre, which is held out'
run plan --grid
[ $status -eq 0 ] && grep -q '64 runs give 64 points' "$folder/out"
ok 'the default grid: 64 runs'
# The standard error of s_depth in the JSON of a plan.
expected() {
    sed -n '/"depth": *{/,/}/s/.*"error": *\([^,]*\).*/\1/p' "$1"
}
run plan
grep -q '^if the points of a shape share 50 % of the noise' "$folder/out"
ok 'points of a shape share half of the noise in a plan'
sed 's/^  "shared": .*,/  "shared": 0,/' "$folder/fit.json" >"$folder/none.json"
sed 's/^  "shared": .*,/  "shared": 0.9,/' "$folder/fit.json" >"$folder/most.json"
for share in none most; do
    run plan --noise=0.01 --fit="$folder/$share.json" --json="$folder/plan-$share.json"
done
[ $status -eq 0 ] && grep -q '^if the points of a shape share 90 % of the noise' "$folder/out" &&
    holds "$(expected "$folder/plan-most.json") > 1.05 * $(expected "$folder/plan-none.json")"
ok 'or as much as a fit has found, and tell less of the depth'
sed 's/^  "shared": .*,/  "shared": 1.9,/' "$folder/fit.json" >"$folder/more.json"
refused 2 "more.json: 'shared' is missing or not what" plan --fit="$folder/more.json"
run plan --depth=10,20 --mlp=1000,2000,3000,4000 --noise=0.05
[ $status -eq 0 ] && grep -q "with 2 values of depth" "$folder/out" &&
    grep -q 's_mlp will not be identified' "$folder/out"
ok 'what a plan cannot tell is said before'
run plan --fit="$folder/fit.json" --width=64,96,128,160 --steps=500K,1M,2M
grep -q 'the optimal width is .* outside' "$folder/out"
ok 'an optimum beyond the edge is said before'
run plan --grid --fit="$folder/fit.json" --depth=60,80,100
[ $status -eq 0 ] && grep -q 'the optimal depth is .* outside' "$folder/out"
ok 'of a grid, too'

cat >"$folder/machine.json" <<'EOF'
{"name": "small", "cores": 4, "memory_bytes": 4000000000, "peak": {"f32": 1e11},
 "mem_bw": 1e10, "kernels": [{"op": "gemm", "dtype": "f32", "shape": [2048, 1152, 4304],
 "rate": 8e10}], "links": [], "nodes": 2, "ranks_per_node": 4,
 "topology": {"kind": "shared", "parameters": {}}, "progress": "poll", "source": "a test"}
EOF
run plan --grid --width=416,4096 --machine="$folder/machine.json"
[ $status -eq 0 ] && grep -q '^dropped 4096/12/1360: does not fit' "$folder/out" &&
    grep -q 'device-seconds' "$folder/out"
ok 'what does not fit into a machine is dropped'
# A model whose parameters weigh more than its activations, on a thousand nodes.
sed 's/"nodes": 2/"nodes": 1000/' "$folder/machine.json" >"$folder/large.json"
set -- --grid --width=416,2048 --depth=40 --mlp=1360 --heads=1 --image=28 --steps=100K \
    --machine="$folder/large.json"
run plan "$@" --batch=128
grep -q '^dropped 2048/40/1360: does not fit' "$folder/out"
ok '128 images cut parameters over 16 of its ranks, which is too few'
run plan "$@" --batch=32K
[ $status -eq 0 ] && ! grep -q '^dropped' "$folder/out"
ok 'more images over more of them'

# --- shapes ------------------------------------------------------------------------------

run shape --budget=8.8e21 --json="$folder/shape.json"
[ $status -eq 0 ] && grep -q '"shape": "1040/30/4080/16"' "$folder/shape.json" &&
    grep -q 'tau^w  as printed' "$folder/out"
ok 'a shape for a budget, with both readings of the rule'
run shape --budget=1e20 --machine="$folder/machine.json" --json="$folder/flop.json"
seconds=$(sed -n 's/.*"device_seconds": \([0-9.e+]*\).*/\1/p' "$folder/flop.json")
run shape --budget="${seconds}s" --machine="$folder/machine.json" --json="$folder/time.json"
[ $status -eq 0 ] && grep -q node-hours "$folder/out" &&
    grep -q '2 x 4 ranks, mesh 4x2$' "$folder/out" && grep -q 'with 32 images a step' "$folder/out" &&
    [ "$(grep '"shape"' "$folder/flop.json")" = "$(grep '"shape"' "$folder/time.json")" ]
ok 'a budget in device-seconds gives the same shape as its FLOPs'
grep -q '^on this mesh   n/a' "$folder/out"
ok 'without links nobody knows what messages take'
sed 's/"links": \[\]/"links": [{"level": "core", "alpha_s": 0, "beta_s_per_byte": 1e-7}]/' \
    "$folder/machine.json" >"$folder/slow.json"
run shape --budget=1e20 --machine="$folder/slow.json" --json="$folder/slow.out"
hours=$(sed -n 's/.*"hours": \([0-9.e+]*\).*/\1/p' "$folder/slow.out")
[ $status -eq 0 ] && awk "BEGIN { exit !(3600 * 8 * $hours > 3 * $seconds) }" &&
    grep -q "^on this mesh   .* s a step with messages: .* hours, " "$folder/out"
ok 'over slow links a mesh takes longer than its devices do'
# figure NAME FILE: the value of the first member of that name.
figure() {
    sed -n "s/.*\"$1\": \([0-9.e+-]*\).*/\1/p" "$2" | head -n 1
}

# agrees OPTION..: a shape for $folder/own.json is predicted as vitbench predicts it.
agrees() {
    run shape --budget=1e20 --machine="$folder/own.json" --json="$folder/own.out"
    "${vitfit%fit}bench" --dry-run --machine="$folder/own.json" --overlap=ring \
        --shape="$(sed -n 's/^shape .*=//p' "$folder/out")" \
        --mesh="$(sed -n 's/^machine .* mesh //p' "$folder/out")" \
        --batch="$(sed -n 's/.* with \([0-9]*\) images.*/\1/p' "$folder/out")" \
        --json="$folder/plan.out" "$@" >"$folder/dry" 2>&1
    for name in bytes_per_rank step_s; do
        one=$(figure $name "$folder/own.out") other=$(figure $name "$folder/plan.out")
        [ -n "$one" ] && [ "$one" = "$other" ] || echo "# $name: $one, $other"
    done
}
sed 's/"cores"/"packs": 2, "cores"/' "$folder/slow.json" >"$folder/own.json"
[ -z "$(agrees --dtype=f32)" ]
ok 'memory and time of a machine that packs weights are those of vitbench'
sed 's/"cores"/"gpus": 4, "cores"/; s/f32/bf16/g' "$folder/slow.json" >"$folder/own.json"
[ -z "$(agrees --dtype=bf16)" ]
ok 'and of one with GPUs'
run plan --grid --width=416,1024 --depth=10 --mlp=1360 --heads=1 --image=28 --steps=100K \
    --machine="$folder/own.json" --batch=8
grep -q '^dropped 1024/10/1360: does not fit' "$folder/out" && ! grep -q '^dropped 416' "$folder/out"
ok 'a rank has the memory of its own GPU'
run fit "$folder/joint.csv" --bootstrap=0 --joint --json="$folder/joint.json"
[ $status -eq 0 ] && grep -q '^s_depth  *0.45 ' "$folder/out" && grep -q '^eps  *0.1 ' "$folder/out"
ok 'one law of all dimensions is found'
run fit "$folder/joint.csv" --bootstrap=0 --joint --centre=608/8/1088 --json="$folder/small.json"
for fit in joint small; do
    run plan --noise=0.003 --fit="$folder/$fit.json" && sed -n '/^depth /p' "$folder/out" >"$folder/$fit"
done
[ -s "$folder/joint" ] && cmp -s "$folder/joint" "$folder/small"
ok 'and plans a star around its own centre, whatever that of the fit'
run shape --budget=2e19 --from=1000/14/1808@2e19 --fit="$folder/joint.json"
[ $status -eq 0 ] && grep -q '^predicted  *err_10shot 0.8' "$folder/out" &&
    grep -q 'rounding costs' "$folder/out"
ok 'and predicts the metric of a shape: eight terms of 0.1'
grep -E '^(width|depth|MLP|predicted) ' "$folder/out" >"$folder/in-order"
run fit "$folder/joint.csv" --bootstrap=0 --joint --dims=mlp,width,depth --json="$folder/turned.json"
run shape --budget=2e19 --from=1000/14/1808@2e19 --fit="$folder/turned.json"
[ $status -eq 0 ] && grep -E '^(width|depth|MLP|predicted) ' "$folder/out" |
    cmp -s - "$folder/in-order" && grep -q '^predicted' "$folder/in-order"
ok 'in whatever order --dims had them'
sed '1s/depth/layers/' "$folder/joint.csv" >"$folder/layers.csv"
run fit "$folder/layers.csv" --bootstrap=0 --joint --dims=width,layers,mlp --json="$folder/layers.json"
refused 2 'no fit of --law=sovit by width, depth and mlp' shape --budget=2e19 \
    --fit="$folder/layers.json"
run shape --budget=2e20 --from=1000/14/1808@2e19 --fit="$folder/joint.json" --out="$folder/trial" \
    --batch=256 --seeds=2 --warmup-steps=10 --cooldown-steps=10
[ $status -eq 0 ] && [ "$(wc -l <"$folder/trial/plan.jsonl")" -eq 6 ] &&
    sed 's/.*"compute": \([0-9.e+]*\).*/\1/' "$folder/trial/plan.jsonl" |
    awk '{ d = $1 / 2e20 - 1; if (d * d > 1e-6) exit 1 }'
ok 'others beside it have the same compute'
! grep -v '^wrote' "$folder/out" | grep -n '.\{81\}' >>"$folder/err"
ok 'in 80 columns'
refused 2 'is there twice' shape --budget=1e20 --beside=1.001/1/1 --out="$folder/trial"
refused 2 'expected three factors' shape --budget=1e20 --beside=2 --out="$folder/trial"
cat >"$folder/trial.csv" <<'EOF'
width,depth,mlp,compute,err_10shot
1000,20,2000,2e20,0.31
1500,20,2000,2e20,0.33
1000,20,2000,2e20,0.30
1500,20,2000,2e20,0.34
EOF
run trial "$folder/trial.csv" --fit="$folder/joint.json" --json="$folder/trial.json"
[ $status -eq 0 ] && ! grep -n '.\{81\}' "$folder/out" >>"$folder/err" &&
    grep -q '^1500/20/2000 *2  *2e+20  *0.335 *0.005 *+9.84 % *+4.2' "$folder/out"
ok 'a trial compares means with their errors'
refused 2 'no run of the shape 1/2/3' trial "$folder/trial.csv" --shape=1/2/3
echo '{"x0": {"shape": [1000, 14, 1808], "t0": 2e19}}' >"$folder/x0.json"
run shape --budget=2e19 --from="$folder/x0.json" --fit="$folder/joint.json"
[ $status -eq 0 ] && grep -q '^From 1000/14/1808 at t0 = 2e+19' "$folder/out"
ok 'x0 may come from a file'
echo '{"x0": null}' >"$folder/x0.json"
refused 2 'it has no x0' shape --budget=2e19 --from="$folder/x0.json"
sed 's/"identified": true/"identified": false/' "$folder/fit.json" >"$folder/guess.json"
refused 2 'not identified: give --exponents yourself, or --guess' shape --budget=1e20 \
    --fit="$folder/guess.json"
run shape --budget=1e20 --fit="$folder/guess.json" --guess
[ $status -eq 0 ] && [ "$(grep -c 'not identified: a guess' "$folder/out")" -eq 3 ]
ok 'unless a guess is asked for'
run shape --budget=1e20 --fit="$folder/fit.json"
[ $status -eq 0 ] && grep -q '^s = 0.22/0.45/0.6' "$folder/out"
ok 'exponents come from a fit'
sed '/"s_k"/,/"certificate"/ { s/"lo": .*/"lo": 0.2,/; s/"hi": .*/"hi": 0.3,/; }' "$folder/fit.json" \
    >"$folder/wide.json"
run shape --budget=5.4e21 --from=608/10/928@5.4e18 --fit="$folder/wide.json" # tau^w = 10
[ $status -eq 0 ] && grep -q '^  at the ends of the 80 % intervals of s:$' "$folder/out" &&
    grep -q '^    width 963.6 .. 1213, depth 15.85 .. 19.95, MLP 1471 .. 1852$' "$folder/out"
ok 'and sizes from the ends of their intervals'
run shape --budget=5.4e15 --from=608/10/928@5.4e18 --fit="$folder/wide.json"
[ $status -eq 0 ] && grep -q '^    width 304.7 .. 383.6, ' "$folder/out"
ok 'below t0 in order, too'
run shape --budget=1e20 --fit="$folder/wide.json" --exponents=0.2/0.4/0.5
[ $status -eq 0 ] && ! grep -q 'intervals of s' "$folder/out"
ok 'of other exponents none'

{
    echo width,depth,mlp,compute,err_10shot,seed
    for shape in 1,1,1 2,2,2 3,3,3; do
        echo "$shape,1e9,0.5,0"
        echo "$shape,1e9,0.5,1"
        echo "$shape,1e10,0.1,0"
        echo "$shape,1e10,0.${shape%%,*},1"
    done
} >"$folder/seeds.csv"
run pareto "$folder/seeds.csv"
[ $status -eq 0 ] && grep -q '^12 runs of 3 shapes' "$folder/out" &&
    grep -q '1/1/1 .* 0.5  no' "$folder/out" && ! grep -q 2/2/2 "$folder/out" &&
    ! grep -q 'left out' "$folder/out"
ok 'the metric of several seeds is their mean'
{
    sed -e 's/$/,done/' -e '1s/done/status/' -e '2s/done/failed/' "$folder/seeds.csv"
    echo 3,3,3,1e10,,2,done
} >"$folder/parts.csv"
run pareto --skip-missing "$folder/parts.csv"
[ $status -eq 0 ] && sed -n 1,2p "$folder/out" | tr '\n' ' ' |
    grep -q '^11 runs of 3 shapes.* left out: 1 failed, 1 without err_10shot $'
ok 'runs that have none are not among them, and it says so'
sed 1,5d "$folder/parts.csv" | sed '1i width,depth,mlp,compute,err_10shot,seed,status' \
    >"$folder/some.csv"
run trial --skip-missing "$folder/some.csv"
[ $status -eq 0 ] && sed -n 1,2p "$folder/out" | tr '\n' ' ' |
    grep -q '^8 runs of 2 shapes.* left out: 1 without err_10shot $'
ok 'so does a trial'

# The example's records, which the guide draws its conclusions from.
desk=${srcdir:-.}/jobs/desk
run fit --config="$desk/sweep.conf" --joint "$desk/sweep.csv" "$desk/grid.csv" --bootstrap=0 \
    --json="$folder/desk.json"
[ $status -eq 0 ] && grep -q '^s_width  *0.18755 .* yes$' "$folder/out" &&
    [ "$(grep -c '^s_.* not identified$' "$folder/out")" -eq 2 ]
ok "the desk's runs identify how the width grows, and no more"
grep -q '240 runs' "$folder/out" && grep -q '^left out  *9 in two files$' "$folder/out"
ok 'runs of the star that are of the grid, too, count once'
run pareto --config="$desk/grid.conf" "$desk/grid.csv"
[ $status -eq 0 ] && grep -q '^x0 is 32/2/32' "$folder/out" && ! grep -n '.\{81\}' "$folder/out"
ok 'their grid has an x0'
run trial --config="$desk/trial.conf" --shape=32/2/36 --fit="$folder/desk.json" "$desk/trial.csv"
[ $status -eq 0 ] && grep -q '^32/2/36  *3  *3e+11  *0.2217' "$folder/out" &&
    ! grep -n '.\{81\}' "$folder/out"
ok 'and the shape that they predict was trained beside others'

# --- pictures ----------------------------------------------------------------------------

run plot exponents --fit="$folder/fit.json" --out="$folder/x.gp"
[ $status -eq 0 ] && grep -q xerrorbars "$folder/x.gp"
ok 'a script for gnuplot elsewhere'
# marks WORDS LEAST MOST: of compute between these, on the axis of a picture.
marks() {
    printf 'width,depth,mlp,compute,err_10shot\n1,1,1,%s,0.5\n1,1,1,%s,0.4\n' "$2" "$3" \
        >"$folder/short.csv"
    run plot pareto "$folder/short.csv" --out="$folder/x.gp"
    [ $status -eq 0 ] && grep -q -- "$1" "$folder/x.gp"
    ok "from $2 to $3 the axis has $1"
}
marks "set format x '10^{%T}'" 2e8 3e11
marks "'10^{9}' 1e+09, '2·10^{9}' 2e+09, '5·10^{9}' 5e+09, '10^{10}' 1e+10" 6e8 1.2e10
marks "'2·10^{9}' 2e+09, '3·10^{9}' 3e+09, '5·10^{9}' 5e+09, ''" 1.8e9 6e9
marks "'2·10^{9}' 2e+09, '2.5·10^{9}' 2.5e+09, '3·10^{9}' 3e+09" 2e9 3e9
marks "'2·10^{9}' 2[.0-9]*e+09, '2.01·10^{9}'" 2e9 2.02e9
marks "'700' 700, '1000' 1000, '1500' 1500" 608 1648
marks "'20' 20, '30' 30, '50' 50" 18 60
(PATH=/nowhere && "$vitfit" plot exponents --fit="$folder/fit.json" --out="$folder/x.svg" \
    >"$folder/out" 2>"$folder/err")
[ $? -eq 3 ] && grep -q 'gnuplot is missing' "$folder/err"
ok 'without gnuplot that is said'
if command -v gnuplot >/dev/null 2>&1; then
    "$vitfit" pareto "$folder/star.csv" >"$folder/out" 2>"$folder/err"
    ok 'pareto runs on any runs'
    # picture KIND WORDS ARGUMENT..: as SVG and PNG, nothing on stderr.
    picture() {
        kind=$1
        words=$2
        shift 2
        run plot "$kind" "$@" --out="$folder/$kind.svg"
        [ $status -eq 0 ] && [ ! -s "$folder/err" ] && grep -q "$words" "$folder/$kind.svg" &&
            run plot "$kind" "$@" --out="$folder/$kind.png" && [ $status -eq 0 ] &&
            head -c 4 "$folder/$kind.png" | grep -q PNG
        ok "a picture: $kind"
    }
    picture isoflop 'IsoFLOP curves' "$folder/star.csv" --fit="$folder/fit.json"
    picture isoflop 'loss' "$data" --fit="$folder/chinchilla.json"
    picture exponents 'Growth exponents' --fit="$folder/fit.json"
    picture frontier 'Compute-optimal' "$folder/star.csv" --fit="$folder/fit.json"
    picture pareto 'Pareto' "$folder/star.csv"
    picture curves 'width 1968' "$folder/star.csv"
    picture trial 'beside others' "$folder/trial.csv" --fit="$folder/joint.json"
    run fit "$folder/two.csv" --centre=1968/40/6144 --bootstrap=0 --json="$folder/two.json"
    for kind in isoflop exponents frontier; do
        run plot $kind "$folder/two.csv" --fit="$folder/two.json" --out="$folder/two.svg"
        [ $status -eq 0 ] && [ ! -s "$folder/err" ]
        ok "a picture of $kind where an arm is missing"
    done
    run plot isoflop "$folder/one.csv" --fit="$folder/one.json" --out="$folder/x.gp"
    [ $status -eq 0 ] && grep -q 'size, 18 runs' "$folder/x.gp"
    ok 'and of the only arm of a star'
    { cat "$folder/star.csv" && echo '998,done,700,9,6144,1e19,0.4'; } >"$folder/off.csv"
    run plot isoflop "$folder/off.csv" --fit="$folder/fit.json" --out="$folder/x.gp"
    [ $status -eq 0 ] && grep -q 'size, 54 runs' "$folder/x.gp"
    ok 'whose title counts the runs that are in it'
    # a full disk, here a limit on the size of files
    for end in svg png gp; do
        echo old >"$folder/old.$end"
        (
            trap '' XFSZ
            ulimit -f 1
            run plot pareto "$folder/star.csv" --out="$folder/old.$end"
            [ $status -eq 3 ] && grep -q "old.$end cannot be written: File too large" \
                "$folder/err" && [ "$(wc -l <"$folder/err")" -eq 1 ]
        ) && [ "$(cat "$folder/old.$end")" = old ] &&
            [ "$(find "$folder" -name 'old*' | wc -l)" -eq 1 ]
        ok "where there is no room, the old .$end stays"
        rm "$folder/old.$end"
    done
    printf '{"program":"x"}\n{"step":1,"loss":3}\n{"step":2,"loss":2,"lr":1}\n' >"$folder/log.jsonl"
    picture curves 'log.jsonl' "$folder/log.jsonl"
    picture design 'Planned points' "$folder/sweep/plan.jsonl"
    run plot design "$folder/sweep/plan.jsonl" --out="$folder/x.gp"
    grep -q "'8' 8, '10' 10, '12' 12, '16' 16, '20' 20, '24' 24)" "$folder/x.gp"
    ok 'with marks at the sizes'
    run plot frontier "$folder/star.csv" --fit="$folder/fit.json" --out="$folder/x.gp"
    [ "$(grep -o '(.1 < [0-9.e+]* || .1 > [0-9.e+]* ? .2 : 1/0) with lines lw 3 dt 2' \
        "$folder/x.gp" | wc -l)" -eq 3 ]
    ok 'the frontier is broken below the compute of the runs and above'
else
    echo "# gnuplot is missing (Debian: gnuplot-nox): no pictures"
fi

finish
