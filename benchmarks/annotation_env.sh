#!/bin/bash
# An environment with penn 0.0.14, pyannote.audio 4.0.7, torchaudio 2.11 and DataSpeech's other originals: what
# annotation is compared with.
#
#     benchmarks/annotation_env.sh FOLDER
#     FOLDER/bin/python -m benchmarks.annotation speed
#     FOLDER/bin/python -m benchmarks.parity_penn        (and parity_viterbi, parity_brouhaha, parity_squim)
#
# torchaudio has no CPU build for this torch. What is needed of it (resampling, SQUIM) is Python: its compiled parts,
# which want CUDA, are removed. penn's package lists far more than its network needs, hence --no-deps.
set -euo pipefail
here="${1:?the folder to make the environment in}"
uv="$(dirname "$0")/../.venv/bin/uv"
links="${UV_FIND_LINKS:-${PIP_FIND_LINKS:-}}"

"$uv" venv --quiet --allow-existing --python 3.11 "$here"
install() { UV_FIND_LINKS="$links" UV_COMPILE_BYTECODE=1 "$uv" pip install --quiet --python "$here/bin/python" "$@"; }
install torch==2.13.0 "numpy<2.4" soundfile soxr scipy pyarrow pydantic pyyaml filelock tqdm safetensors \
    huggingface-hub matplotlib praat-parselmouth \
    asteroid-filterbanks einops lightning pytorch-metric-learning torchmetrics pyannote.core pyannote.database \
    pyannote.pipeline pyannote.metrics opt-einsum rich torch-audiomentations yapecs requests psutil tensorboard apprise
install --no-deps librosa numba llvmlite lazy_loader msgpack pooch joblib audioread decorator standard-aifc \
    standard-sunau scikit-learn threadpoolctl platformdirs
install --no-deps pyannote.audio==4.0.7 torchaudio==2.11.0 penn==0.0.14 torchutil
site="$("$here/bin/python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')"
rm -f "$site"/torchaudio/lib/*.so
