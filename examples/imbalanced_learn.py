"""A GAN as one step of an imbalanced-learn pipeline, beside SMOTE and nothing, on CT patches drawn by the phantom.

    python examples/imbalanced_learn.py

Every fold trains its own generator on its own training images, and all images of a patient stay in one fold.
"""

import numpy as np
from imblearn.over_sampling import SMOTE
from imblearn.pipeline import make_pipeline
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedGroupKFold, cross_val_score
from sklearn.preprocessing import StandardScaler

import ganatomy as ga

cohort = ga.read("phantom:patients=90,ratio=5")
images = ga.pixels(cohort)[:, 0, 8:24, 8:24]  # (n, 16, 16) int16 in HU: the nodule is in the middle
X = images.reshape(len(images), -1)  # a row per image, as scikit-learn's steps want it
y = np.array(cohort.labels) == "malignant"
folds = list(StratifiedGroupKFold(n_splits=3, shuffle=True, random_state=0).split(X, y, cohort.column("patient")))
print(f"{len(y)} images, {y.sum()} of them malignant, {images.shape[1]} x {images.shape[2]} pixels")

samplers = {
    "none": "passthrough",
    "SMOTE": SMOTE(random_state=0),
    # 200 steps keep this example short; the default of 3,000 makes better images
    "GAN": ga.sampler.GANSampler(image_shape=(16, 16), steps=200, turn=True, threads=1, random_state=0),
}
for name, sampler in samplers.items():
    pipeline = make_pipeline(sampler, StandardScaler(), PCA(20, random_state=0), LogisticRegression(max_iter=1000))
    scores = cross_val_score(pipeline, X, y, cv=folds, scoring="balanced_accuracy")
    print(f"{name:6} balanced accuracy {scores.mean():.3f}   by fold {' '.join(f'{score:.3f}' for score in scores)}")
print("Three folds of few patients decide nothing: `ganatomy prove` says how much of such a difference is chance.")
