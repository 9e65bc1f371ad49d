#!/usr/bin/env bash
# Predict the pieces of `cellmm tiles plan` in a Slurm job array:
#   cellmm tiles plan IMAGES --config C --checkpoint W --pieces 64 --out DIR
#   sbatch --array=0-15 --cpus-per-task 8 --gpus-per-task 1 integrations/slurm/predict_array.sh DIR 4 [options of tiles run]
#   cellmm tiles merge DIR --out RESULTS
# 4: pieces per process, so that 16 jobs of one process take all 64. With --ntasks 4 each job has four processes, also on
# several machines, and 4 jobs (--array=0-3) are enough. After a failure submit the same again: what is finished stays.
#SBATCH --job-name=cellmm
set -euo pipefail
[ $# -ge 2 ] || { sed -n '2,7s/^# \?//p' "$0" >&2; exit 2; }
: "${SLURM_ARRAY_TASK_ID:?is set in a job array; submit this file with sbatch --array}"
export OMP_NUM_THREADS=${SLURM_CPUS_PER_TASK:-1}
# shellcheck disable=SC2016  # SLURM_PROCID is another one in each process
exec srun --cpus-per-task "$OMP_NUM_THREADS" bash -c '
    first=$(((SLURM_ARRAY_TASK_ID * ${SLURM_NTASKS:-1} + SLURM_PROCID) * $2))
    exec python -m cellmm.commands.cli tiles run "$1" --piece "$first-$((first + $2 - 1))" "${@:3}"
' predict_array "$@"
