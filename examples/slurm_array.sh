#!/bin/bash
# Tracks a data set with an array of SLURM jobs that share nothing but OUT:
#
#     sbatch --array=0-15 examples/slurm_array.sh CLIPS OUT --grid 20 --states
#
# Every job takes its share of the videos. A job that failed or ran out of time: the same line again does what is missing.
#SBATCH --job-name=pointtrack
#SBATCH --cpus-per-task=4
#SBATCH --mem=12G
#SBATCH --time=12:00:00
set -euo pipefail
source=$1 out=$2
shift 2
code=0
srun pointtrack batch "$source" --out "$out" --shard "$SLURM_ARRAY_TASK_ID/$SLURM_ARRAY_TASK_COUNT" \
    --workers "$SLURM_CPUS_PER_TASK" "$@" || code=$?
# 3: all was done, and some videos were put aside, which `pointtrack batch OUT --status` lists. That is no failed job.
[ "$code" -eq 3 ] || exit "$code"
