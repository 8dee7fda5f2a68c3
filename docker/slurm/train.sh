#!/bin/bash
# Train on a Slurm cluster, as long as it takes: sbatch docker/slurm/train.sh CONFIG [flags of `denseformer train`]
# Many runs: sbatch --array=1-3 docker/slurm/train.sh RUNS [flags], where line n of the file RUNS is task n's CONFIG [flags].
# A run that is out of time or pre-empted saves, leaves with status 75, and is queued again; see docs/cluster.md.
#SBATCH --job-name=denseformer
#SBATCH --nodes=1
#SBATCH --ntasks-per-node=4
#SBATCH --gpus-per-node=4
#SBATCH --cpus-per-task=8
#SBATCH --time=24:00:00
#SBATCH --signal=USR1@300
#SBATCH --requeue
#SBATCH --open-mode=append
#SBATCH --output=%x_%j.log
set -u
MAX_RESTARTS=${MAX_RESTARTS:-100}

# A pre-empting SIGTERM reaches this shell too, which has to outlive the tasks to queue the job again.
trap : TERM USR1

if [ -n "${SLURM_ARRAY_TASK_ID:-}" ]; then
    read -ra run < <(sed -n "${SLURM_ARRAY_TASK_ID}p" "$1")
    if [ "${#run[@]}" -eq 0 ]; then
        echo "$1 has no line $SLURM_ARRAY_TASK_ID: --array counts its lines from 1." >&2
        exit 2
    fi
    set -- "${run[@]}" "${@:2}"
fi

MASTER_ADDR=$(scontrol show hostnames "$SLURM_JOB_NODELIST" | head -n 1)
MASTER_PORT=$((20000 + SLURM_JOB_ID % 20000))
export MASTER_ADDR MASTER_PORT

srun --kill-on-bad-exit=0 denseformer train "$@" --launcher slurm --resume &
tasks=$!
wait "$tasks"
status=$?
while kill -0 "$tasks" 2>/dev/null; do # a signal ended the wait, not the tasks
    wait "$tasks"
    status=$?
done

if [ "$status" -eq 75 ] && [ "${SLURM_RESTART_COUNT:-0}" -lt "$MAX_RESTARTS" ]; then
    echo "Stopped and saved; job $SLURM_JOB_ID is queued again."
    scontrol requeue "$SLURM_JOB_ID"
fi
exit "$status"
