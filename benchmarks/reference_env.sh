#!/bin/bash
# An environment with parler-tts 0.2.3, the original that the benchmarks and round trips compare with.
#
#     benchmarks/reference_env.sh FOLDER
#     python benchmarks/generation.py --reference FOLDER/bin/python
#
# Its codec packages want protobuf < 3.20 and torchaudio, which has no CPU build for this torch: they are installed without
# dependencies beside the few they import, and an empty `torchaudio` satisfies their import. The model runs no code of it.
set -euo pipefail
here="${1:?the folder to make the environment in}"
uv="$(dirname "$0")/../.venv/bin/uv"
links="${UV_FIND_LINKS:-${PIP_FIND_LINKS:-}}"

"$uv" venv --quiet --allow-existing --python 3.11 "$here"
install() { UV_FIND_LINKS="$links" UV_COMPILE_BYTECODE=1 "$uv" pip install --quiet --python "$here/bin/python" "$@"; }
install torch==2.13.0 transformers==4.46.1 sentencepiece protobuf "numpy<2.4" \
    accelerate datasets tqdm \
    flatten-dict julius ffmpy importlib-resources tensorboard randomname fire termcolor einops argbind soundfile scipy rich
install --no-deps parler-tts==0.2.3 descript-audio-codec==1.0.0 descript-audiotools==0.7.2
site="$("$here/bin/python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')"
mkdir -p "$site/torchaudio"
touch "$site/torchaudio/__init__.py"
"$here/bin/python" -c 'import parler_tts; print("parler-tts", parler_tts.__version__)'
