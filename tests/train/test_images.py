"""Folders of images, MNIST, CIFAR, arrays of pixels: what is read, and what is refused."""

from __future__ import annotations

import gzip
import os
import struct
from pathlib import Path

import numpy as np
import pytest

from pellucid.train.images import (
    as_images,
    channel_scaling,
    images_of,
    load_cifar10,
    load_mnist,
    read_cifar,
    read_images,
)
from pellucid.train.tables import DataError

ROOT = Path(__file__).resolve().parents[2]
DATA = Path(os.environ.get("PELLUCID_DATA") or ROOT.parent / "shared" / "data")


@pytest.fixture
def folder(tmp_path):
    """Two classes, three images of one size, and a file that is none."""
    Image = pytest.importorskip("PIL.Image")
    rng = np.random.default_rng(0)
    kept = []
    for name, file in (("b", "2.png"), ("a", "1.PNG"), ("b", "1.png")):
        (tmp_path / name).mkdir(exist_ok=True)
        pixels = rng.integers(0, 256, (6, 9, 3)).astype(np.uint8)
        Image.fromarray(pixels).save(tmp_path / name / file)
        kept.append(pixels)
    (tmp_path / "b" / "notes.txt").write_text("no image")
    (tmp_path / ".hidden").mkdir()
    return tmp_path, [kept[1], kept[2], kept[0]]


def test_a_folder_for_each_class(folder):
    path, pixels = folder
    X, y, classes = read_images(path)
    assert (X.dtype, y.dtype, classes) == (np.float32, np.int32, ("a", "b"))
    assert y.tolist() == [0, 1, 1]
    np.testing.assert_allclose(X, np.stack(pixels) / 255, rtol=1e-6)
    assert read_images(path, classes=("b", "c", "a")).y.tolist() == [2, 0, 0]


def test_images_are_brought_to_a_size_and_to_gray(folder):
    path, pixels = folder
    X, _, _ = read_images(path, size=(3, 4), mode="L")
    assert X.shape == (3, 3, 4, 1)
    gray = np.stack(pixels) @ [0.299, 0.587, 0.114] / 255
    np.testing.assert_allclose(X.mean((1, 2, 3)), gray.mean((1, 2)), atol=0.03)
    assert read_images(path, size=5).X.shape == (3, 5, 5, 3)
    np.testing.assert_allclose(read_images(path, size=(6, 9)).X[0], pixels[0] / 255, rtol=1e-6)


def test_images_of_16_bits_keep_their_range(tmp_path):
    Image = pytest.importorskip("PIL.Image")
    pixels = np.array([[0, 256, 30_000], [40_000, 65_535, 128]], np.uint16)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    found = images_of([tmp_path / "a.png"], mode="L")[0, :, :, 0]
    np.testing.assert_allclose(found, pixels / 65_535, atol=1 / 255)
    Image.fromarray(np.ones((2, 3), np.float32)).save(tmp_path / "a.tif")
    with pytest.raises(DataError, match=r"a.tif has pixels of 32 bits: save it with 8 or 16"):
        images_of([tmp_path / "a.tif"])


def test_photos_stand_as_the_camera_was_held(tmp_path):
    Image = pytest.importorskip("PIL.Image")
    pixels = np.random.default_rng(0).integers(0, 256, (4, 6), np.uint8)
    image = Image.fromarray(pixels)
    exif = image.getexif()
    exif[0x0112] = 6  # to be turned a quarter clockwise
    image.save(tmp_path / "a.png", exif=exif)
    found = images_of([tmp_path / "a.png"], mode="L")[0, :, :, 0]
    np.testing.assert_allclose(found, np.rot90(pixels, -1) / 255, rtol=1e-6)


def test_folders_and_images_that_are_refused(folder, tmp_path):
    Image = pytest.importorskip("PIL.Image")
    path, _ = folder
    with pytest.raises(DataError, match=r"has class 'a'; the model knows b"):
        read_images(path, classes=("b",))
    with pytest.raises(ValueError, match="mode must be 'RGB' or 'L'"):
        read_images(path, mode="CMYK")
    with pytest.raises(ValueError, match="size must be height and width"):
        read_images(path, size=(3, 4, 5))
    with pytest.raises(DataError, match="received none"):
        images_of([])
    Image.new("RGB", (8, 6)).save(path / "b" / "3.png")
    with pytest.raises(DataError, match=r"3.png is 8 pixels wide and 6 high, those before"):
        read_images(path)
    (path / "b" / "0.jpg").write_bytes(b"\xff\xd8 no image")
    with pytest.raises(DataError, match=r"0.jpg cannot be read as an image"):
        read_images(path, size=4)
    (path / "c").mkdir()
    with pytest.raises(DataError, match=r"c holds no images"):
        read_images(path)
    with pytest.raises(DataError, match="holds no folders: expected one for each class"):
        read_images(path / "a")
    with pytest.raises(DataError, match="it is no folder"):
        read_images(path / "none")


def test_without_pillow_the_error_says_what_to_install(folder, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "PIL", None)
    with pytest.raises(ImportError, match=r'needs Pillow: pip install "pellucid\[images\]"'):
        read_images(folder[0])


# -- CIFAR ----------------------------------------------------------------------------------


def record(*labels: int, image: np.ndarray) -> bytes:
    return bytes(labels) + np.moveaxis(image, -1, 0).tobytes()


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_cifar_has_planes_of_colors(tmp_path, pack):
    images = np.random.default_rng(0).integers(0, 256, (3, 32, 32, 3)).astype(np.uint8)
    path = tmp_path / "batch.bin"
    ten = [record(k, image=x) for k, x in zip((3, 1, 9), images, strict=True)]
    path.write_bytes(pack(b"".join(ten)))
    X, y = read_cifar(path)
    np.testing.assert_array_equal(X, images)
    assert (y.tolist(), y.dtype) == ([3, 1, 9], np.int32)
    hundred = [record(2, k, image=x) for k, x in zip((30, 99, 0), images, strict=True)]
    path.write_bytes(pack(b"".join(hundred)))
    assert read_cifar(path, labels=2)[1].tolist() == [30, 99, 0]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "holds 0 bytes"),
        (bytes(3072), "holds 3072 bytes, expected records of 3073"),
        (gzip.compress(bytes(3073), mtime=0)[:-4], "cut short or damaged"),
    ],
    ids=["nothing", "half a record", "half a file"],
)
def test_files_that_are_not_cifars(tmp_path, content, message):
    path = tmp_path / "batch.bin"
    path.write_bytes(content)
    with pytest.raises(DataError, match=message):
        read_cifar(path)
    with pytest.raises(DataError, match="cannot read"):
        read_cifar(tmp_path / "none")


def test_labels_that_no_cifar_has(tmp_path):
    path = tmp_path / "batch.bin"
    path.write_bytes(bytes(3073) + bytes([10]) + bytes(3072))
    with pytest.raises(DataError, match=r"no file of CIFAR-10: record 1 has the label 10, .* 0 to"):
        read_cifar(path)


def test_a_folder_of_cifar10(tmp_path):
    image = np.full((32, 32, 3), 255, np.uint8)
    (tmp_path / "data_batch_1.bin").write_bytes(record(1, image=image) * 2)
    (tmp_path / "data_batch_2.bin.gz").write_bytes(gzip.compress(record(2, image=image)))
    (tmp_path / "data_batch_1.bin.gz").write_bytes(gzip.compress(record(1, image=image) * 2))
    with pytest.raises(DataError, match=r"holds no file test_batch\*.bin"):
        load_cifar10(tmp_path)
    (tmp_path / "test_batch.bin").write_bytes(record(3, image=image))
    found = load_cifar10(tmp_path)
    assert (found.y.tolist(), found.y_test.tolist()) == ([1, 1, 2], [3])
    assert found.X.dtype == np.float32 and (found.X == 1).all()


def test_the_real_cifar10():
    if not (DATA / "cifar10").is_dir():
        pytest.skip(f"no CIFAR-10 in {DATA}")
    X, y = read_cifar(DATA / "cifar10" / "test_batch_first1000.bin.gz")
    assert (X.shape, y[:5].tolist()) == ((1000, 32, 32, 3), [3, 8, 8, 0, 6])
    np.testing.assert_allclose(X.mean((0, 1, 2)) / 255, [0.491, 0.482, 0.447], atol=0.02)


# -- MNIST ----------------------------------------------------------------------------------


def idx(array: np.ndarray) -> bytes:
    lengths = struct.pack(f">{array.ndim}I", *array.shape)
    return bytes([0, 0, 8, array.ndim]) + lengths + array.astype(np.uint8).tobytes()


@pytest.fixture
def mnist(tmp_path):
    """Five images to train on and two to test on; some files are packed, some are not."""
    pixels = np.random.default_rng(0).integers(0, 256, (7, 28, 28))
    (tmp_path / "train-images-idx3-ubyte.gz").write_bytes(gzip.compress(idx(pixels[:5])))
    (tmp_path / "train-labels-idx1-ubyte").write_bytes(idx(np.arange(5)))
    (tmp_path / "t10k-images.idx3-ubyte").write_bytes(idx(pixels[5:]))
    (tmp_path / "t10k-labels-idx1-ubyte.gz").write_bytes(gzip.compress(idx(np.array([9, 0]))))
    return tmp_path, pixels


def test_a_folder_of_mnist(mnist):
    folder, pixels = mnist
    X, y, X_test, y_test = load_mnist(folder)
    np.testing.assert_allclose(np.concatenate([X, X_test])[..., 0], pixels / 255, rtol=1e-6)
    assert (X.dtype, y.dtype, y.tolist(), y_test.tolist()) == (
        np.float32, np.int32, [0, 1, 2, 3, 4], [9, 0],
    )  # fmt: skip
    (folder / "train-images-idx3-ubyte").write_bytes(idx(pixels[:5]))  # unpacked beside it
    np.testing.assert_array_equal(load_mnist(folder).X, X)


def test_folders_that_are_no_mnist(mnist):
    folder, pixels = mnist
    (folder / "t10k-labels-idx1-ubyte.gz").write_bytes(gzip.compress(idx(np.arange(5))))
    with pytest.raises(DataError, match=r"t10k-labels.* do not belong .*\(2, 28, 28\) and \(5,\)"):
        load_mnist(folder)
    (folder / "train-images-idx3-ubyte.gz").write_bytes(gzip.compress(idx(pixels[:5])[:-1]))
    with pytest.raises(DataError, match="train-images-idx3-ubyte.gz is cut short"):
        load_mnist(folder)
    (folder / "train-images-idx3-ubyte.gz").unlink()
    with pytest.raises(DataError, match=r"holds no file train-images\*"):
        load_mnist(folder)
    with pytest.raises(DataError, match=r"holds no file"):
        load_mnist(folder / "none")


@pytest.mark.parametrize("name", ["mnist", "fashion-mnist"])
def test_the_real_mnist(name):
    if not (DATA / name).is_dir():
        pytest.skip(f"no {name} in {DATA}")
    X, y, X_test, y_test = load_mnist(DATA / name)
    assert (X.shape, X_test.shape) == ((60_000, 28, 28, 1), (10_000, 28, 28, 1))
    assert (X.min(), X.max()) == (0, 1)
    assert np.bincount(y_test).min() > 800
    assert y[:5].tolist() == {"mnist": [5, 0, 4, 1, 9], "fashion-mnist": [9, 0, 0, 3, 0]}[name]


# -- arrays ---------------------------------------------------------------------------------


def test_arrays_become_images():
    pixels = np.random.default_rng(0).integers(0, 256, (4, 6, 5)).astype(np.uint8)
    np.testing.assert_allclose(as_images(pixels)[..., 0], pixels / 255, rtol=1e-6)
    color = pixels.astype(np.float64).reshape(4, 2, 3, 5)
    np.testing.assert_array_equal(as_images(color), color.astype(np.float32))
    with pytest.raises(DataError, match=r"received \(4, 30\)"):
        as_images(pixels.reshape(4, 30))


def test_channels_are_scaled_alike_everywhere():
    X = np.random.default_rng(0).normal([5, -3], [2, 0.1], (50, 8, 7, 2)).astype(np.float32)
    X = np.concatenate([X, np.ones((50, 8, 7, 1), np.float32)], -1)
    scaling = channel_scaling(X)
    scaled = scaling.apply(X).astype(np.float64)
    np.testing.assert_allclose(scaled.mean((0, 1, 2)), 0, atol=1e-5)
    np.testing.assert_allclose(scaled.std((0, 1, 2)), [1, 1, 0], atol=1e-5)
    assert scaling.apply(X[:3]).dtype == np.float32
