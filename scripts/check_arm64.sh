#!/bin/sh
# Decodes the golden files and a photo as Linux on ARM64 would, under emulation.
#
#     apt-get install qemu-user-static debootstrap
#     scripts/check_arm64.sh FOLDER [PROCESSOR]
#
# FOLDER gets a Debian tree for ARM64 and the wheels of that platform (1 GB); a later run goes on with
# what is there. PROCESSOR is one that qemu knows: cortex-a72 (a Raspberry Pi 4) by default. Run as
# root, with vaecodec installed in the python3 of the PATH, which encodes the photo. Takes some ten
# minutes, most of them for the photo. Exits 1 where anything fails or differs.
set -eu
folder=$1
processor=${2:-cortex-a72}
checkout=$(cd "$(dirname "$0")/.." && pwd)
tree=$folder/tree
site=$folder/site
mkdir -p "$folder"

# Only unpacked, not set up: programs of the tree run one by one, without chroot or binfmt_misc.
if [ ! -e "$tree/usr/bin/python3.11" ]; then
    debootstrap --arch=arm64 --foreign --variant=minbase --include=python3 bookworm "$tree"
    for package in "$tree"/var/cache/apt/archives/*.deb; do
        dpkg-deb -x "$package" "$tree"
    done
fi
# ONNX Runtime reads the processor from here, and crashes on what it finds of the real one.
mkdir -p "$tree/proc"
{
    printf 'processor\t: 0\nFeatures\t: fp asimd evtstrm crc32 cpuid\nCPU implementer\t: 0x41\n'
    printf 'CPU architecture: 8\nCPU variant\t: 0x0\nCPU part\t: 0xd08\nCPU revision\t: 3\n\n'
} >"$tree/proc/cpuinfo"

emulated() {
    PYTHONPATH=$site:$checkout PYTHONDONTWRITEBYTECODE=1 OMP_NUM_THREADS=1 \
        qemu-aarch64-static -cpu "$processor" -L "$tree" "$tree/usr/bin/python3.11" "$@"
}
fetch() {
    python3 -m pip install --quiet --upgrade --target "$site" --no-deps --python-version 3.11 \
        --platform manylinux_2_28_aarch64 --platform manylinux2014_aarch64 \
        --only-binary=:all: "$@"
}

# What pip would ask for there: the requirements whose markers hold on that platform. torch is left
# out, as decoding needs none; it brings 2 GB.
fetch packaging
emulated - "$checkout/setup.cfg" >"$folder/requirements.txt" <<'EOF'
import configparser
import sys

from packaging.requirements import Requirement

config = configparser.ConfigParser()
config.read(sys.argv[1])
lines = config["options"]["install_requires"] + config["options.extras_require"]["crypto"]
for line in filter(None, map(str.strip, lines.splitlines())):
    requirement = Requirement(line)
    wanted = requirement.marker is None or requirement.marker.evaluate()
    if wanted and requirement.name != "torch":
        print(requirement.name, requirement.specifier, sep="")
EOF
echo "on this platform pip is asked for: $(tr '\n' ' ' <"$folder/requirements.txt")and torch"
# The last four are what ONNX Runtime and cryptography need themselves.
fetch -r "$folder/requirements.txt" packaging flatbuffers protobuf cffi

emulated -W ignore "$checkout/scripts/check_golden.py"

python3 -m vaecodec encode "$checkout/tests/photos/bay.jpg" -o "$folder/bay.vae" -f --quiet
python3 -m vaecodec decode "$folder/bay.vae" -o "$folder/here.png" -f --verbose
emulated -m vaecodec decode "$folder/bay.vae" -o "$folder/there.png" -f --verbose
python3 - "$folder/here.png" "$folder/there.png" <<'EOF'
import sys

import numpy as np
from PIL import Image

here, there = (np.asarray(Image.open(name)).astype(int) for name in sys.argv[1:])
off = np.abs(here - there)
print(f"the photo: {(off > 0).mean():.4%} of samples differ, by at most {off.max()} of 255")
sys.exit(int(off.max() > 1))
EOF
