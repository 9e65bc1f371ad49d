#!/usr/bin/env bash
# Predict in a Slurm job array, each task its share of the pieces that `cellmm tiles plan` made:
#   cellmm tiles plan IMAGES --config C --checkpoint W --pieces 256 --out PIECES
#   sbatch --array=0-15 --cpus-per-task 8 --gpus-per-node 1 integrations/slurm/predict_array.sh PIECES [options of cellmm tiles run]
#   cellmm tiles merge PIECES --out RESULTS
# A task may use several GPUs or machines: --ntasks 4 --gpus-per-task 1 starts four processes, each with pieces of its
# own. What a killed task had finished stays: submit the same array again, and only the rest is predicted.
#SBATCH --job-name=cellmm
set -euo pipefail
[ $# -ge 1 ] || { sed -n '2,7s/^# \?//p' "$0" >&2; exit 2; }
export OMP_NUM_THREADS=${OMP_NUM_THREADS:-${SLURM_CPUS_PER_TASK:-1}}
: "${SLURM_ARRAY_TASK_ID:?is set in a job array; submit this file with sbatch --array}"
# every process takes the pieces SHARE, SHARE + SHARES, ...; an array that does not begin at 0 is numbered from 0
SHARES=$((SLURM_ARRAY_TASK_COUNT * ${SLURM_NTASKS:-1}))
export SHARES
# shellcheck disable=SC2016  # SLURM_PROCID differs from process to process
exec srun bash -c '
    number=$(((SLURM_ARRAY_TASK_ID - SLURM_ARRAY_TASK_MIN) / ${SLURM_ARRAY_TASK_STEP:-1}))
    share=$((number * ${SLURM_NTASKS:-1} + SLURM_PROCID))
    exec python -m cellmm.commands.cli tiles run "$@" --share "$share/$SHARES"
' predict_array "$@"
