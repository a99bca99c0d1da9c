# shellcheck shell=sh
# SPDX-License-Identifier: BSD-3-Clause
# What mutate.sh makes of kernels, in a build whose accesses to memory are watched: each
# barrier, and each end of and wait for a group of copies, is left out, and each wait is
# for one group less.

# barriers FILE TEST ..: those of FILE, all of which one of the TESTs sees.
barriers() {
    of=$1
    shift
    for line in $(grep -nE '(__sync(threads|warp)|copies_close|copies_wait<.>)\(\);' \
        "$source/$of" | cut -d: -f1); do
        what=$(sed -n "${line}s/^ *//p" "$source/$of")
        mutant "$what of line $line left out" "$of" "${line}d" "$@"
        case $what in
        *wait*)
            mutant "$what of line $line for one less" "$of" \
                "${line}{s/<1>/<2>/;s/<0>/<1>/;}" "$@"
            ;;
        esac
    done
}

barriers src/dev/cuda_attn.cu t242-cuda-ops
barriers src/dev/cuda_attn_f32.cu t242-cuda-ops
barriers src/dev/cuda_attn_tile.cuh t244-cuda-bf16
barriers src/dev/cuda_attn_bf16.cu t244-cuda-bf16
barriers src/dev/cuda_norm.cu t242-cuda-ops t244-cuda-bf16
barriers src/dev/cuda_norm_head.cu t242-cuda-ops t244-cuda-bf16
barriers src/dev/cuda_norm_row.cu t242-cuda-ops t244-cuda-bf16
barriers src/dev/cuda_picture.cu t243-cuda-pictures
barriers src/dev/cuda_sums.cu t242-cuda-ops
barriers src/dev/cuda_update.cu t247-cuda-optim
barriers src/dev/cuda_view.cuh t242-cuda-ops
