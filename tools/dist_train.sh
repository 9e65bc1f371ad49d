#!/usr/bin/env bash
# Train on several processes of this machine, or of several machines:
#   tools/dist_train.sh CONFIG PROCESSES [options of tools/train.py]
# One process a GPU; without a GPU the processes share the CPU. On several machines, run it on each with torchrun's
# own variables: NNODES (machines), NODE_RANK (0, 1, ...), MASTER_ADDR and MASTER_PORT (of machine 0).
set -euo pipefail
[ $# -ge 2 ] || { sed -n '2,5s/^# \?//p' "$0" >&2; exit 2; }
where=(--standalone)
if [ "${NNODES:-1}" != 1 ]; then
    where=(--nnodes "$NNODES" --node-rank "${NODE_RANK:?}" --master-addr "${MASTER_ADDR:?}" --master-port "${MASTER_PORT:-29500}")
fi
exec python -m torch.distributed.run "${where[@]}" --nproc-per-node "$2" \
    "$(dirname "$0")/train.py" "$1" "${@:3}" --launcher pytorch
