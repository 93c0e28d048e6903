"""Images in: folders with one class each, MNIST's and CIFAR's files, arrays of pixels.

What is read lies channels last, (rows, height, width, channels), float32 from 0 to 1.
Pillow is needed for folders only: `pip install "pellucid[images]"`.
"""

from __future__ import annotations

import gzip
import os
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from .datasets import Labeled, Split, read_idx
from .tables import DataError, Scaling, indices_of

ENDINGS = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".tif", ".tiff", ".webp", ".ppm", ".pgm")
"""How the names of images end; other files of a folder are left alone."""

MODES = {"RGB": 3, "L": 1}
"""Color and gray: Pillow's names, and how many channels there are."""


def read_images(
    folder: str | os.PathLike[str],
    size: int | Sequence[int] | None = None,
    mode: str = "RGB",
    classes: Sequence[str] | None = None,
) -> Labeled:
    """The images of a folder that has one folder for each class.

        flowers/rose/1.jpg  flowers/rose/2.jpg  flowers/tulip/1.jpg ...

    Args:
        folder: holds the folders of the classes, in the order of their names.
        size: height and width to bring all images to; one number for both. By default
            all must be of one size already.
        mode: "RGB" for color, 3 channels; "L" for gray, 1 channel.
        classes: names of the classes in the order wanted, as of the images trained on.

    Returns:
        X float32 (rows, height, width, channels) from 0 to 1, y int32 (rows,), the classes.

    Raises:
        DataError: the folder holds no classes or no images, an image is damaged or of
            another size, or a class is not among those given.
        ImportError: Pillow is not installed.

    Example:
        >>> import os, tempfile
        >>> import numpy as np
        >>> from PIL import Image
        >>> from pellucid.train.images import read_images
        >>> folder = tempfile.mkdtemp()
        >>> for name in ("dark", "light"):
        ...     os.mkdir(os.path.join(folder, name))
        ...     pixels = np.full((4, 6, 3), 255 * (name == "light"), np.uint8)
        ...     Image.fromarray(pixels).save(os.path.join(folder, name, "1.png"))
        >>> X, y, classes = read_images(folder)
        >>> X.shape, y.tolist(), classes
        ((2, 4, 6, 3), [0, 1], ('dark', 'light'))
    """
    files, names = _files(Path(folder))
    known = tuple(sorted(set(names))) if classes is None else tuple(classes)
    y = indices_of(names, known, folder)
    return Labeled(images_of(files, size, mode), y, known)


def images_of(
    files: Sequence[str | os.PathLike[str]],
    size: int | Sequence[int] | None = None,
    mode: str = "RGB",
) -> np.ndarray:
    """The images of some files.

    Args:
        files: at least one.
        size: height and width to bring all images to, as for `read_images`.
        mode: "RGB" or "L".

    Returns:
        float32 (files, height, width, channels) from 0 to 1.

    Raises:
        DataError: an image is damaged, or of another size than the first one.
        ImportError: Pillow is not installed.
    """
    if mode not in MODES:
        raise ValueError(f"mode must be 'RGB' or 'L', received {mode!r}")
    if not len(files):
        raise DataError("expected the names of images, received none")
    wanted = _size(size)
    shape = None if wanted is None else (len(files), *wanted, MODES[mode])
    X = None if shape is None else np.empty(shape, np.float32)  # refused now, if it is too large
    for row, file in enumerate(files):
        pixels = _pixels(file, mode, wanted)
        if X is None:
            X = np.empty((len(files), *pixels.shape), np.float32)
        if pixels.shape != X.shape[1:]:
            raise DataError(
                f"{file} is {pixels.shape[1]} pixels wide and {pixels.shape[0]} high, those before "
                f"it {X.shape[2]} and {X.shape[1]}; give a size to bring all images to"
            )
        np.divide(pixels, np.float32(255), out=X[row])
    assert X is not None
    return X


def files_of(folder: str | os.PathLike[str]) -> list[Path]:
    """The images that lie in a folder itself, by name."""
    return sorted(f for f in Path(folder).iterdir() if f.suffix.lower() in ENDINGS)


def _size(size: Any) -> tuple[int, int] | None:
    if size is None:
        return None
    given = tuple(size) if isinstance(size, tuple | list) else (size, size)
    if len(given) != 2 or not all(isinstance(n, int | np.integer) and n > 0 for n in given):
        raise ValueError(f"size must be height and width in pixels, received {size!r}")
    return int(given[0]), int(given[1])


def _files(folder: Path) -> tuple[list[Path], list[str]]:
    """The images of all classes, and the name of the class of each."""
    if not folder.is_dir():
        raise DataError(f"cannot read {folder}: it is no folder")
    kinds = sorted(f for f in folder.iterdir() if f.is_dir() and not f.name.startswith("."))
    if not kinds:
        raise DataError(f"{folder} holds no folders: expected one for each class, with its images")
    files, names = [], []
    for kind in kinds:
        found = files_of(kind)
        if not found:
            raise DataError(f"{kind} holds no images ({', '.join(ENDINGS)})")
        files += found
        names += [kind.name] * len(found)
    return files, names


def _pixels(file: str | os.PathLike[str], mode: str, size: tuple[int, int] | None) -> np.ndarray:
    """The bytes of an image (height, width, channels)."""
    try:
        from PIL import Image, ImageOps  # an optional dependency
    except ImportError:
        raise ImportError(
            'reading images needs Pillow: pip install "pellucid[images]"', name="PIL"
        ) from None
    try:
        with Image.open(file) as image:
            if image.mode in ("I", "F"):
                raise DataError(
                    f"{file} has pixels of 32 bits: save it with 8 or 16 bits a channel"
                )
            made = ImageOps.exif_transpose(image)  # as the camera was held
            if made.mode.startswith("I;16"):  # which convert would cut off at 255
                made = Image.fromarray((np.asarray(made) >> 8).astype(np.uint8))
            made = made.convert(mode)
            if size is not None and made.size != (size[1], size[0]):
                made = made.resize((size[1], size[0]), Image.Resampling.BILINEAR)
            return np.asarray(made, np.uint8).reshape(made.size[1], made.size[0], MODES[mode])
    except DataError:
        raise
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise DataError(f"{file} cannot be read as an image: {error}") from None


def read_cifar(path: str | os.PathLike[str], labels: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """The images and labels of one of CIFAR's binary files, compressed with gzip or not.

    A record is the labels, one byte each, then 1,024 bytes of red, of green and of blue, row
    by row.

    Args:
        path: the file.
        labels: bytes of labels in a record: 1 in CIFAR-10; 2 in CIFAR-100, coarse and fine,
            of which the last is returned.

    Returns:
        X uint8 (rows, 32, 32, 3), y int32 (rows,).

    Raises:
        DataError: the file is missing, damaged, or does not consist of such records.

    Example:
        >>> import os, tempfile
        >>> from pellucid.train.images import read_cifar
        >>> path = os.path.join(tempfile.mkdtemp(), "two.bin")
        >>> with open(path, "wb") as file:
        ...     _ = file.write(bytes([7]) + bytes(3072) + bytes([2]) + bytes(3072))
        >>> X, y = read_cifar(path)
        >>> X.shape, y.tolist()
        ((2, 32, 32, 3), [7, 2])

    Source: Krizhevsky: Learning multiple layers of features from tiny images (2009).
    """
    try:
        with open(path, "rb") as plain:
            packed = plain.read(2) == b"\x1f\x8b"
            plain.seek(0)
            with gzip.open(plain) if packed else plain as file:
                content = file.read()
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise DataError(f"{path} is cut short or damaged: {error}") from None
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror or error}") from None
    record = labels + 3 * 32 * 32
    if not content or len(content) % record:
        raise DataError(
            f"{path} holds {len(content)} bytes, expected records of {record}: {labels} of labels "
            "and 3072 of pixels"
        )
    records = np.frombuffer(content, np.uint8).reshape(-1, record)
    known = 10 if labels == 1 else 100
    y = records[:, labels - 1].astype(np.int32)
    if y.max() >= known:
        row = int(np.argmax(y >= known))
        raise DataError(
            f"{path} is no file of CIFAR-{known}: record {row} has the label {y[row]}, expected 0 "
            f"to {known - 1}"
        )
    planes = records[:, labels:].reshape(-1, 3, 32, 32)
    return np.moveaxis(planes, 1, -1).copy(), y


def load_mnist(folder: str | os.PathLike[str]) -> Split:
    """MNIST, or a set in its format such as Fashion-MNIST, from a folder with its four files.

    Args:
        folder: holds `train-images-idx3-ubyte` and `train-labels-idx1-ubyte` to train on,
            `t10k-images-idx3-ubyte` and `t10k-labels-idx1-ubyte` to test on, compressed with
            gzip or not.

    Returns:
        X float32 (rows, 28, 28, 1) from 0 to 1, y int32 (rows,), and X_test, y_test.

    Raises:
        DataError: a file is missing or damaged, or images and labels do not belong together.

    Example:
        >>> import os, struct, tempfile
        >>> import numpy as np
        >>> from pellucid.train.images import load_mnist
        >>> folder = tempfile.mkdtemp()
        >>> for part, n in (("train", 3), ("t10k", 1)):
        ...     for kind, axes in (("images-idx3", (n, 28, 28)), ("labels-idx1", (n,))):
        ...         start = bytes([0, 0, 8, len(axes)]) + struct.pack(f">{len(axes)}I", *axes)
        ...         with open(os.path.join(folder, f"{part}-{kind}-ubyte"), "wb") as file:
        ...             _ = file.write(start + bytes(int(np.prod(axes))))
        >>> X, y, X_test, y_test = load_mnist(folder)
        >>> X.shape, y.tolist(), X_test.shape
        ((3, 28, 28, 1), [0, 0, 0], (1, 28, 28, 1))

    Source: LeCun, Cortes, Burges: The MNIST database of handwritten digits (1998); Xiao, Rasul,
    Vollgraf: Fashion-MNIST (2017).
    """
    parts = []
    for part in ("train", "t10k"):
        images, labels = (_named(folder, f"{part}-{kind}*") for kind in ("images", "labels"))
        X, y = read_idx(images), read_idx(labels)
        if X.ndim != 3 or y.ndim != 1 or y.dtype.kind not in "iu" or len(X) != len(y):
            raise DataError(
                f"{images} and {labels} do not belong together: expected images (rows, height, "
                f"width) and whole numbers (rows,), received {X.shape} and {y.shape} of {y.dtype}"
            )
        parts += [as_images(X), y.astype(np.int32)]
    return Split(*parts)


def _named(folder: str | os.PathLike[str], pattern: str) -> Path:
    """The file of that name in a folder; of several the first, as where one is unpacked."""
    files = sorted(Path(folder).glob(pattern))
    if not files:
        raise DataError(f"{folder} holds no file {pattern}")
    return files[0]


def load_cifar10(folder: str | os.PathLike[str]) -> Split:
    """CIFAR-10 from a folder with its binary files, or with some of them.

    Args:
        folder: holds `data_batch_1.bin` ... `data_batch_5.bin` to train on and
            `test_batch.bin` to test on, compressed with gzip or not.

    Returns:
        X float32 (rows, 32, 32, 3) from 0 to 1, y int32 (rows,), and X_test, y_test.

    Raises:
        DataError: a kind of file is missing, or one is damaged.
    """
    parts = []
    for pattern in ("data_batch*.bin*", "test_batch*.bin*"):
        files = {f.name.removesuffix(".gz"): f for f in sorted(Path(folder).glob(pattern))}
        if not files:
            raise DataError(f"{folder} holds no file {pattern}")
        read = [read_cifar(file) for file in files.values()]
        X, y = (np.concatenate(arrays) for arrays in zip(*read, strict=True))
        parts += [as_images(X), y]
    return Split(*parts)


def as_images(pixels: Any) -> np.ndarray:
    """Arrays of pixels as a convolutional network takes them.

    Args:
        pixels: (rows, height, width) or (rows, height, width, channels); bytes are
            divided by 255.

    Returns:
        float32 (rows, height, width, channels), one channel added where there is none.

    Raises:
        DataError: there are other axes.

    Example:
        >>> import numpy as np
        >>> from pellucid.train.images import as_images
        >>> as_images(np.full((5, 28, 28), 255, np.uint8)).shape
        (5, 28, 28, 1)
    """
    array = np.asarray(pixels)
    if array.ndim not in (3, 4):
        raise DataError(
            f"images have shape (rows, height, width) or (rows, height, width, channels), "
            f"received {array.shape}"
        )
    found = array.astype(np.float32)
    if array.dtype == np.uint8:
        found /= np.float32(255)
    return found[..., None] if found.ndim == 3 else found


def channel_scaling(X: np.ndarray) -> Scaling:
    """The scaling after which each channel has mean 0 and standard deviation 1 over all places.

    Args:
        X: images or signals to learn from (rows, ..., channels).

    Returns:
        One mean and one deviation for each channel; `apply` scales other images alike.

    Example:
        >>> import numpy as np
        >>> from pellucid.train.images import channel_scaling
        >>> X = np.array([[[[0.0, 1.0]], [[1.0, 3.0]]]], np.float32)
        >>> channel_scaling(X).apply(X).tolist()
        [[[[-1.0, -1.0]], [[1.0, 1.0]]]]
    """
    axes = tuple(range(X.ndim - 1))
    mean = X.mean(axes, dtype=np.float64)
    square = sum(((row - mean) ** 2).sum(axes[:-1]) for row in X) / max(1, X[..., 0].size)
    std = np.sqrt(square)
    return Scaling(mean.astype(np.float32), np.where(std > 0, std, 1.0).astype(np.float32))
