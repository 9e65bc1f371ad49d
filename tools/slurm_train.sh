#!/usr/bin/env bash
# Train in a Slurm job, on all of its machines:
#   sbatch --nodes 2 --gpus-per-node 4 --cpus-per-task 32 tools/slurm_train.sh CONFIG PROCESSES [options of tools/train.py]
# PROCESSES: on each machine, one a GPU. Slurm starts one torchrun a machine, torchrun the processes. A job that is
# killed for its time goes on exactly where it was: put --resume among the options and submit it again.
#SBATCH --ntasks-per-node=1
set -euo pipefail
[ $# -ge 2 ] || { sed -n '2,5s/^# \?//p' "$0" >&2; exit 2; }
# a batch script runs as a copy elsewhere: the tools are found from the folder that it was submitted in
tools=${SLURM_SUBMIT_DIR:?is set in a Slurm job; submit this file with sbatch}/tools
NNODES=$SLURM_NNODES
MASTER_ADDR=$(scontrol show hostnames "$SLURM_JOB_NODELIST" | head -n 1)
MASTER_PORT=${MASTER_PORT:-$((20000 + SLURM_JOB_ID % 20000))}
export NNODES MASTER_ADDR MASTER_PORT
# shellcheck disable=SC2016  # SLURM_NODEID is another one on each machine
exec srun --ntasks-per-node=1 --kill-on-bad-exit=1 \
    bash -c 'NODE_RANK=$SLURM_NODEID exec "$0" "$@"' "$tools/dist_train.sh" "$@"
