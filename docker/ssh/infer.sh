#!/bin/bash
# Predict on machines that share a folder, by ssh: HOSTS='one two three' docker/ssh/infer.sh CONFIG CHECKPOINT SOURCE --out OUT [flags]
# and then denseformer merge OUT. A machine that failed is named; starting all of it again predicts what is missing.
# Each machine runs PROCESSES (1) processes, such as one per GPU, in the folder this is started in.
set -u
read -ra hosts <<<"${HOSTS:?names of machines}"
PROCESSES=${PROCESSES:-1}
count=$((${#hosts[@]} * PROCESSES))
flags=$(printf ' %q' "$@")

shard=0
declare -A started
for host in "${hosts[@]}"; do
    for ((local_rank = 0; local_rank < PROCESSES; local_rank++)); do
        ssh -o BatchMode=yes -o ServerAliveInterval=30 "$host" \
            "cd $(printf %q "$PWD") && LOCAL_RANK=$local_rank denseformer infer$flags --shard $shard/$count --resume" &
        started[$!]="$host, shard $shard/$count"
        shard=$((shard + 1))
    done
done

failed=0
for process in "${!started[@]}"; do
    wait "$process"
    status=$?
    if [ "$status" -gt 1 ]; then # 1: the shard is finished, and some images failed
        echo "${started[$process]}: status $status" >&2
        failed=1
    fi
done
exit "$failed"
