#!/bin/sh
# Resolve requirements.in into requirements.txt: exact pins with hashes, for CPython 3.10 and
# 3.11 on Linux x86_64, without index addresses. Needs `uv` on the PATH.
set -eu
cd "$(dirname "$0")/.."
upgrade=${1:-}
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

# What must not be installed, and versions that a tool's metadata asks for wrongly.
cat > "$folder/overrides.txt" <<'OVERRIDES'
# rknn-toolkit2 imports torch but never uses it on the ONNX route; 4.8 GB with CUDA
torch ; sys_platform == 'never'
# replaced by the headless build, which needs no libGL
opencv-python ; sys_platform == 'never'
opencv-contrib-python ; sys_platform == 'never'
# named by paddleclas 2.4.2, not used for classification or too old for Python 3.10
faiss-cpu ; sys_platform == 'never'
gast ; sys_platform == 'never'
# costs every process 2 s at import; only checks the format of addresses in Jupyter events
rfc3987-syntax ; sys_platform == 'never'
# paddle2onnx and rknn-toolkit2 name different ones, and some wheels of the latter old ones
onnxoptimizer==0.3.13
protobuf==4.25.4
onnx==1.17.0
onnxruntime==1.23.2
opencv-python-headless==4.11.0.86
OVERRIDES
cat > "$folder/pyproject.toml" <<'SETTINGS'
[project]
name = "lock"
version = "0"
requires-python = ">=3.10,<3.12"
[tool.uv]
environments = ["sys_platform == 'linux' and platform_machine == 'x86_64' and python_version < '3.12'"]
SETTINGS
cp requirements.in "$folder/requirements.in"
# What is pinned stays pinned; `scripts/lock.sh --upgrade` takes newer versions.
[ "$upgrade" = --upgrade ] || cp requirements.txt "$folder/requirements.txt"

cd "$folder"
uv pip compile requirements.in --override overrides.txt --universal \
    --python-version 3.10 --generate-hashes --no-emit-index-url --no-annotate --no-header \
    --output-file requirements.txt >/dev/null
{
    echo "# Made from requirements.in by \`make lock\`: the whole closure for CPython 3.10 and 3.11"
    echo "# on Linux x86_64. Install as docs/recipes.md says under \"Without make\"."
    cat requirements.txt
} > "$OLDPWD/requirements.txt"

# optional NAME TARGET [OPTION...]: docs/requirements-NAME.in, for those who want TARGET.
optional() {
    name=$1 target=$2
    shift 2
    cp "$OLDPWD/docs/requirements-$name.in" "$folder/$name.in"
    [ "$upgrade" = --upgrade ] || cp "$OLDPWD/docs/requirements-$name.txt" "$folder/$name.txt" 2>/dev/null || true
    uv pip compile "$name.in" --universal \
        --python-version 3.10 --generate-hashes --no-emit-index-url --no-annotate --no-header \
        --output-file "$name.txt" "$@" >/dev/null
    {
        echo "# Made from requirements-$name.in by \`make lock\`; installed by \`make $target\`."
        cat "$name.txt"
    } > "$OLDPWD/docs/requirements-$name.txt"
}
optional site site                               # an environment of its own
optional cluster cluster --constraint requirements.txt  # on top of the project's
optional search 15 --constraint requirements.txt  # on top of the project's
optional 16 16 --constraint requirements.txt --override overrides.txt  # on top of the project's
