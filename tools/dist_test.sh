#!/usr/bin/env bash
# Test on several processes of this machine, or of several machines:
#   tools/dist_test.sh CONFIG CHECKPOINT PROCESSES [options of tools/test.py]
# The scores are those of one process. On several machines, see dist_train.sh.
set -euo pipefail
[ $# -ge 3 ] || { sed -n '2,4s/^# \?//p' "$0" >&2; exit 2; }
where=(--standalone)
if [ "${NNODES:-1}" != 1 ]; then
    where=(--nnodes "$NNODES" --node-rank "${NODE_RANK:?}" --master-addr "${MASTER_ADDR:?}" --master-port "${MASTER_PORT:-29500}")
fi
exec python -m torch.distributed.run "${where[@]}" --nproc-per-node "$3" \
    "$(dirname "$0")/test.py" "$1" "$2" "${@:4}" --launcher pytorch
