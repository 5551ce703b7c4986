"""An image is a function of (weights, class, seed), whatever it is asked with; weights come back as they went."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from ganatomy.core import weights
from ganatomy.core.errors import RunError
from ganatomy.core.run import file_hash
from ganatomy.data.intensity import Intensity
from ganatomy.generate import CHUNK, Trained, load_generator, noise, sample, save_generator
from ganatomy.nets.generator import Generator

CLASSES = ("benign", "in situ")
LATENT = 6


def header(space: tuple[int, ...], channels: int = 1, intensity: Intensity | None = None) -> dict[str, Any]:
    network = {"space": list(space), "channels": channels, "classes": 2, "latent": LATENT, "width": 4, "most": 8}
    return {
        "classes": list(CLASSES),
        "network": network,
        "latent": {"length": LATENT},
        "intensity": asdict(intensity or Intensity(0.0, 255.0, "uint8")),
        "unit": "",
        "spacing": "",
    }


def generator(space: tuple[int, ...] = (20, 16), channels: int = 1) -> Generator:
    torch.manual_seed(0)
    net = Generator(space, channels, 2, latent=LATENT, width=4, most=8)
    with torch.no_grad():  # as wild as a trained one
        for parameter in net.parameters():
            parameter.mul_(3)
    return net.eval()


def saved(
    path: Path, space: tuple[int, ...] = (20, 16), channels: int = 1, intensity: Intensity | None = None
) -> Trained:
    save_generator(path / "g.safetensors", generator(space, channels), header(space, channels, intensity))
    return load_generator(path / "g.safetensors")


@pytest.mark.parametrize("space", [(20, 16), (8, 8, 9)], ids=str)
def test_a_sample_does_not_depend_on_its_company(space: tuple[int, ...], tmp_path: Path) -> None:
    trained = saved(tmp_path, space)
    labels = [CLASSES[i % 3 % 2] for i in range(100)]
    seeds = [i // 3 for i in range(100)]
    together = trained.images(labels, seeds)
    assert together.shape == (100, 1, *space)
    assert together.dtype == np.uint8
    for count in (1, 7):
        parts = [
            trained.images(labels[k : k + count], seeds[k : k + count])
            for k in ((0, 40, 99) if count == 1 else range(0, 100, count))
        ]
        expected = together[[0, 40, 99]] if count == 1 else together
        assert np.concatenate(parts).tobytes() == expected.tobytes(), count
    order = np.random.default_rng(0).permutation(100)
    shuffled = trained.images([labels[i] for i in order], [seeds[i] for i in order])
    assert shuffled.tobytes() == together[order].tobytes()


def test_the_float_samples_are_the_same_bits_too() -> None:
    net = generator()
    whole = sample(net, CLASSES, LATENT, ["benign"] * (CHUNK + 5), list(range(CHUNK + 5)))
    alone = sample(net, CLASSES, LATENT, ["benign"], [CHUNK + 4])
    assert alone.tobytes() == whole[-1:].tobytes()


def test_seed_and_class_make_the_image(tmp_path: Path) -> None:
    images = saved(tmp_path).images(["benign", "benign", "in situ", "benign"], [0, 1, 0, 0])
    assert np.array_equal(images[0], images[3])
    for other in (1, 2):
        assert not np.array_equal(images[0], images[other])


def test_noise_is_named() -> None:
    one = noise("benign", 0, 4000)
    assert one.dtype == np.float32
    assert abs(float(one.mean())) < 0.1
    assert abs(float(one.std()) - 1) < 0.05
    assert np.array_equal(one, noise("benign", 0, 4000))
    assert abs(float(np.corrcoef(one, noise("in situ", 0, 4000))[0, 1])) < 0.1
    assert abs(float(np.corrcoef(one, noise("benign", 1, 4000))[0, 1])) < 0.1


@pytest.mark.parametrize(
    "intensity",
    [Intensity(0, 255, "uint8"), Intensity(-1000, 400, "int16"), Intensity(-0.5, 2.5, "float32")],
    ids=lambda i: i.dtype,
)
def test_images_come_in_the_stored_type_and_range(intensity: Intensity, tmp_path: Path) -> None:
    trained = saved(tmp_path, channels=3, intensity=intensity)
    images = trained.images(["benign"] * 9, list(range(9)))
    assert images.dtype == np.dtype(intensity.dtype)
    assert images.shape == (9, 3, 20, 16)
    assert images.min() >= intensity.low
    assert images.max() <= intensity.high
    assert len(np.unique(images)) > 50


def test_the_header_comes_back(tmp_path: Path) -> None:
    trained = saved(tmp_path, intensity=Intensity(-1000.0, 400.0, "int16"))
    assert trained.header == {"kind": "generator", **header((20, 16), intensity=Intensity(-1000.0, 400.0, "int16"))}
    assert trained.classes == list(CLASSES)
    assert trained.intensity == Intensity(-1000.0, 400.0, "int16")
    assert trained.sha256 == file_hash(tmp_path / "g.safetensors")
    for one, other in zip(generator().state_dict().values(), trained.net.state_dict().values(), strict=True):
        assert torch.equal(one, other)


def test_progress_is_told(tmp_path: Path) -> None:
    told: list[int] = []
    saved(tmp_path, (8, 8)).images(["benign"] * 300, list(range(300)), told.append)
    assert sum(told) == 300
    assert len(told) > 1


def test_foreign_and_broken_weights_are_refused_in_words(tmp_path: Path) -> None:
    path = tmp_path / "g.safetensors"
    with pytest.raises(RunError, match="cannot be read as weights"):
        load_generator(path)
    path.write_bytes(b"PK\x03\x04 a pickle, perhaps")
    with pytest.raises(RunError, match="cannot be read as weights"):
        load_generator(path)
    from safetensors.torch import save_file

    save_file({"w": torch.zeros(2)}, str(path))
    with pytest.raises(RunError, match="weights of another program"):
        load_generator(path)
    weights.save(path, nn.Linear(2, 2).state_dict(), {"kind": "classifier"})
    with pytest.raises(RunError, match="no generator but 'classifier'"):
        load_generator(path)
    save_generator(path, nn.Linear(2, 2), header((16, 16)))
    with pytest.raises(RunError, match="do not fit the network"):
        load_generator(path)
