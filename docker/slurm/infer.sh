#!/bin/bash
# Predict on a Slurm cluster: sbatch --array=0-63 docker/slurm/infer.sh CONFIG CHECKPOINT SOURCE --out OUT [flags of `denseformer infer`]
# and, when all tasks are done, denseformer merge OUT. Without --array, on several nodes at once: sbatch --nodes=8 ...
# Tasks that are submitted again: SHARDS=64 sbatch --array=3,17 ..., with the number of all tasks; see docs/cluster.md.
#SBATCH --job-name=denseformer-infer
#SBATCH --nodes=1
#SBATCH --ntasks-per-node=1
#SBATCH --gpus-per-task=1
#SBATCH --cpus-per-task=4
#SBATCH --time=8:00:00
#SBATCH --signal=TERM@60
#SBATCH --requeue
#SBATCH --open-mode=append
#SBATCH --output=%x_%A_%a.log
set -u
MAX_RESTARTS=${MAX_RESTARTS:-100}
INTERRUPTED=130

# A pre-empting SIGTERM reaches this shell too, which has to outlive the task to queue it again.
trap : TERM

srun --kill-on-bad-exit=0 denseformer infer "$@" --shard "auto${SHARDS:+/$SHARDS}" --resume &
tasks=$!
wait "$tasks"
status=$?
while kill -0 "$tasks" 2>/dev/null; do # a signal ended the wait, not the tasks
    wait "$tasks"
    status=$?
done

if [ "$status" -eq 1 ]; then
    echo 'The shard is finished; some images failed, and its record says why.'
    exit 0
fi
if [ "$status" -eq "$INTERRUPTED" ] && [ "${SLURM_RESTART_COUNT:-0}" -lt "$MAX_RESTARTS" ]; then
    job=${SLURM_ARRAY_JOB_ID:+${SLURM_ARRAY_JOB_ID}_$SLURM_ARRAY_TASK_ID}
    echo "Stopped; ${job:=$SLURM_JOB_ID} is queued again."
    scontrol requeue "$job"
fi
exit "$status"
