#!/usr/bin/env bash
# Train the recipes below one after the other, in pieces that resume, test each and write its row into its metafile:
#   tools/train_zoo.sh [--minutes M] [--pieces N] [--out DIR] [--list FILE] [--replace] [--no-check] [--cpu] [CONFIG ...]
# Start it again after any end: it goes on where it was. Trainings whose row is there are done.
#   --minutes M   of a piece, 9 unless given: with its start and its end it stays below 10. It ends with a checkpoint
#                 after the iteration under way. A piece that is killed loses what it did after its last checkpoint
#                 (default_hooks.checkpoint.interval of the config).
#   --pieces N    end after N pieces: exit status 75 says that more are left. Not cut into pieces: the test at the end.
#   --out DIR     where the trainings lie, DIR/<folder>/<config>; work_dirs/zoo unless given
#   --list FILE   other recipes, as lines of the form of those below
#   --replace     test again those that have a row, and write it anew; trains them first where --out does not have them
#   --no-check    leave out tools/check_device.py
#   --cpu         no GPU is needed: to try this script
#   CONFIG        of the list, such as diskmask/bbbc010; all unless given
# Exit status 0: all rows are written; 1: a recipe failed, or its data or the GPU are missing; 2: wrong options;
# 75: pieces are left.
set -euo pipefail

# config|data (a folder of $CELLMM_DATA or data/)|trained on|tested on|options of `cellmm train`, OUT is --out;
# the most valuable hour first. Mask R-CNN starts from weights in the cache of torchvision, see configs/maskrcnn/README.md.
recipes='
diskmask/bbbc010|bbbc010|BBBC010, 45 wells|BBBC010, 47 wells|
sparseseunet/bbbc010|bbbc010|BBBC010, 50 wells|BBBC010, 47 wells|
queryseunet/bbbc010|bbbc010|BBBC010, 50 wells|BBBC010, 47 wells|
maskrcnn/bbbc010|bbbc010|BBBC010, 50 wells|BBBC010, 47 wells|
unet/three_class_paper|dsb2018|Data Science Bowl 2018, 399 images|Data Science Bowl 2018, 132 images|
maskrcnn/dsb2018|dsb2018|Data Science Bowl 2018, 399 images|Data Science Bowl 2018, 132 images|
glas/unet|glas|GlaS, 42 images|GlaS, 40 images|
sparseseunet/brightfield_multi_level||simulated scenes, 18 images|simulated scenes, 5 images|
queryseunet/brightfield||simulated scenes, 18 images|simulated scenes, 5 images|
seunet/four_heads_paper||simulated scenes, 18 images|simulated scenes, 5 images|
seunet/overlap_v4_paper||simulated scenes, 18 images|simulated scenes, 5 images|
unet/boundary_paper|dsb2018|Data Science Bowl 2018, 399 images|Data Science Bowl 2018, 132 images|
unet/regression_paper|dsb2018|Data Science Bowl 2018, 399 images|Data Science Bowl 2018, 132 images|
glas/unet_second|glas|GlaS, 42 images|GlaS, 40 images|--from OUT/glas/unet
sparseseunet/livecell|livecell|LIVECell|LIVECell|
diskmask/bbbc010_paper|bbbc010|BBBC010, 50 wells|BBBC010, 23 wells|
'

root=$(cd "$(dirname "$0")/.." && pwd)
minutes=9 pieces=-1 out=work_dirs/zoo replace='' check=gpu
usage() {
    [ $# -eq 0 ] || echo "train_zoo: $*" >&2
    sed -n '2,/^set/{/^#/s/^# \?//p;}' "$0" >&2
    exit 2
}
while [[ ${1:-} == -* ]]; do
    option=$1
    shift
    case $option in
        --replace) replace=yes ;;
        --no-check) check=no ;;
        --cpu) check=cpu ;;
        --minutes | --pieces | --out | --list)
            [ $# -ge 1 ] || usage
            case $option in
                --minutes) minutes=$1 ;;
                --pieces) pieces=$1 ;;
                --out) out=$1 ;;
                --list) recipes=$(< "$1") ;;
            esac
            shift
            ;;
        *) usage ;;
    esac
done

[[ $minutes =~ ^[0-9]*[.]?[0-9]+$ ]] || usage "--minutes $minutes: give a number above 0"
[[ $pieces =~ ^(-1|[0-9]+)$ ]] || usage "--pieces $pieces: give a whole number"
for config; do
    grep -qxF "$config" <<< "$(cut -d '|' -f 1 <<< "$recipes")" || usage "$config: not in the list; its recipes are
$(cut -d '|' -f 1 <<< "$recipes" | grep .)"
done

row() {
    python "$root/tools/zoo_row.py" "$@"
}

# The checkpoint of the most iterations in folder $1.
newest() {
    local files=("$1"/iter_*.pth)
    printf '%s\n' "${files[@]}" | sort -V | tail -n 1
}

# Train config $1 in work dir $2, with further options, to its end. Status 75: no piece is left for it.
train() {
    local config=$1 work=$2 before ended
    shift 2
    while true; do
        ended=0
        row "$config" "$work" --ended || ended=$?
        [ "$ended" -ne 0 ] || return 0
        [ "$ended" -eq 3 ] || return "$ended"
        [ "$pieces" -ne 0 ] || return 75
        pieces=$((pieces - 1))
        before=$(newest "$work")
        python "$root/tools/train.py" "$config" --work-dir "$work" --resume --pause-after "$minutes" "$@" || return
        if [ "$(newest "$work")" = "$before" ]; then
            echo "train_zoo: no new checkpoint in $work" >&2
            return 1
        fi
    done
}

# What comes after the training of config $1 in work dir $2: test set $4, training set $3.
test_and_write() {
    python "$root/tools/test.py" "$1" "$2" --work-dir "$2" || return
    row "$1" "$2" --trained-on "$3" --tested-on "$4" ${replace:+--replace}
}

case $check in
    gpu) python "$root/tools/check_device.py" ;;
    cpu) python "$root/tools/check_device.py" --cpu ;;
esac

status=0
while IFS='|' read -r name data trained_on tested_on options <&3; do
    [ -n "$name" ] || continue
    [ $# -eq 0 ] || [[ " $* " == *" $name "* ]] || continue
    config=$name
    [[ $name == *.py ]] || config=$root/configs/$name.py
    work=$out/$(basename "$(dirname "$config")")/$(basename "$config" .py)
    has=0
    row "$config" --has || has=$?
    if [ "$has" -ne 0 ] && [ "$has" -ne 3 ]; then # it has said why
        status=1
        continue
    fi
    if [ -z "$replace" ] && [ "$has" -eq 0 ]; then
        echo "train_zoo: $name: its row is there"
        continue
    fi
    if [ -n "$data" ] && [ ! -d "${CELLMM_DATA:-data}/$data" ]; then
        echo "train_zoo: $name: ${CELLMM_DATA:-data}/$data is missing; put the data there (configs/_base_/datasets)" >&2
        status=1
        continue
    fi
    if [[ $options == *OUT/* ]]; then
        first=${options##*OUT/}
        if ! row "$root/configs/$first.py" "$out/$first" --ended; then
            echo "train_zoo: $name starts from $out/$first, which is not at its end; train $first first" >&2
            status=1
            continue
        fi
    fi
    read -r -a options <<< "${options//OUT/$out}"
    failed=0
    train "$config" "$work" "${options[@]}" || failed=$?
    [ "$failed" -ne 0 ] || test_and_write "$config" "$work" "$trained_on" "$tested_on" || failed=$?
    case $failed in
        0) ;;
        75)
            echo "train_zoo: $name is not at its end yet; the same command goes on"
            exit 75
            ;;
        130) exit 130 ;; # Ctrl-C
        *)
            echo "train_zoo: $name failed; the same command tries it again" >&2
            status=1
            ;;
    esac
done 3<<< "$recipes"
echo "train_zoo: python docs/tables.py writes the tables anew"
exit $status
