"""From scans and lesion masks to a table of features and a classifier on it. The volumes are made up: use your own.

    python examples/radiomics_table.py

The same on the command line of a shell: ganatomy radiomics scans --masks masks --bin-width 10 -o features.csv
"""

import subprocess
import sys
import tempfile
from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd
from scipy.ndimage import gaussian_filter
from sklearn.dummy import DummyClassifier
from sklearn.feature_selection import SelectKBest
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import RepeatedStratifiedKFold, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

SIZE, SPACING = (12, 40, 40), (2.5, 0.8, 0.8)  # voxels and mm along z, y, x


def draw(folder: Path, patients: int) -> pd.Series:
    """Write a scan and a mask for each patient as NIfTI; returns their classes. Coarse lesions are malignant."""
    random = np.random.default_rng(0)
    places = np.indices(SIZE) * np.reshape(SPACING, (3, 1, 1, 1))  # (3, D, H, W) mm
    centre = np.reshape(SPACING, (3, 1, 1, 1)) * np.reshape(SIZE, (3, 1, 1, 1)) / 2
    malignant = random.permutation(np.arange(patients) % 3 == 0)
    for number, coarse in enumerate(malignant):
        mask = np.linalg.norm(places - centre, axis=0) < random.uniform(5, 12)  # the size says nothing here
        width = random.normal(1.4 if coarse else 1.1, 0.25)  # mm
        texture = gaussian_filter(random.normal(size=SIZE), width / np.array(SPACING))
        scan = random.normal(-800, 15, SIZE) + mask * (820 + 40 * texture / texture.std())
        for name, values in (("scans", scan.astype(np.int16)), ("masks", mask.astype(np.uint8))):
            (folder / name).mkdir(exist_ok=True)
            affine = np.diag([*SPACING[::-1], 1])  # NIfTI counts x, y, z
            nib.Nifti1Image(values.T, affine).to_filename(folder / name / f"patient{number:02d}.nii.gz")
    return pd.Series(np.where(malignant, "malignant", "benign"), [f"patient{k:02d}" for k in range(patients)])


def main(folder: Path) -> None:
    classes = draw(folder, patients=60)
    table = folder / "features.csv"
    words = ["radiomics", str(folder / "scans"), "--masks", str(folder / "masks"), "--bin-width", "10"]
    subprocess.run(
        [sys.executable, "-m", "ganatomy", *words, "--families", "firstorder,shape,glcm", "-o", table], check=True
    )
    rows = pd.read_csv(table)
    y = classes[[Path(path).name.removesuffix(".nii.gz") for path in rows["image"]]].to_numpy()
    X = rows.filter(like="original_")  # the columns before say what was measured, where and how
    print(f"{len(rows)} regions, {X.shape[1]} features each; {(y == 'malignant').sum()} are malignant")

    model = make_pipeline(SimpleImputer(), StandardScaler(), SelectKBest(k=5), LogisticRegression(max_iter=1000))
    folds = RepeatedStratifiedKFold(n_splits=5, n_repeats=3, random_state=0)  # one lesion each, so patients are rows
    for name, chosen, columns in (
        ("all features", model, X),
        ("volume alone", make_pipeline(StandardScaler(), LogisticRegression()), X[["original_shape_MeshVolume"]]),
        ("chance", DummyClassifier(), X),
    ):
        scores = cross_val_score(chosen, columns, y, cv=folds, scoring="roc_auc")
        print(f"{name:12}  AUC {scores.mean():.2f}, between {scores.min():.2f} and {scores.max():.2f} in single folds")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(tempfile.mkdtemp(prefix="ganatomy-")))
