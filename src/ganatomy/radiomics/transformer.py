"""The feature engine as a step of a scikit-learn pipeline. Knows scikit-learn's rules; measures nothing itself."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils.validation import check_is_fitted

from ganatomy.core.errors import InputError
from ganatomy.radiomics.extraction import extract
from ganatomy.radiomics.settings import RadiomicsSettings


class RadiomicsExtractor(TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """Images to features; learns nothing but the columns.

    settings, spacing, threads: as for `extract`
    image_shape: (H, W) or (D, H, W) where X comes as rows of that many numbers, as other steps of a pipeline leave them
    mask: of an image's shape, one region for all, or None for the whole image

    `transform` gives a float64 array (B, features), or a DataFrame after `set_output(transform="pandas")`. What is
    undefined is NaN: an imputer, or a classifier that takes NaN, comes next.
    """

    def __init__(
        self,
        settings: RadiomicsSettings | None = None,
        *,
        image_shape: Sequence[int] | None = None,
        mask: NDArray[Any] | None = None,
        spacing: Sequence[float] | None = None,
        threads: int = 1,
    ) -> None:
        self.settings = settings
        self.image_shape = image_shape
        self.mask = mask
        self.spacing = spacing
        self.threads = threads

    def fit(self, X: Any, y: Any = None) -> "RadiomicsExtractor":
        """Learn the columns from the first image."""
        names = self._measure(self._images(X)[:1])[1]
        self.feature_names_ = np.asarray(names, dtype=object)
        if self.image_shape is not None:
            self.n_features_in_ = int(np.prod(self.image_shape))
        return self

    def transform(self, X: Any) -> NDArray[np.float64]:
        """Features of images (B, H, W), (B, D, H, W), a list of arrays of any sizes, or rows of image_shape."""
        check_is_fitted(self, "feature_names_")
        values, names = self._measure(self._images(X))
        if list(names) != list(self.feature_names_):
            raise InputError(
                f"these images give {len(names)} features, those of fit {len(self.feature_names_)}; make them alike"
            )
        return values

    def get_feature_names_out(self, input_features: Any = None) -> NDArray[np.object_]:
        """The columns, named as `extract` names them."""
        check_is_fitted(self, "feature_names_")
        return self.feature_names_

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.two_d_array, tags.input_tags.three_d_array = self.image_shape is not None, True
        return tags

    def _images(self, X: Any) -> Any:
        if X is None or isinstance(X, (str, Path)):
            raise InputError("X is images as arrays; files and folders go to ganatomy.radiomics.extract")
        if self.image_shape is None:
            if not isinstance(X, (list, tuple)) and np.ndim(X) == 2:
                raise InputError(
                    f"X of shape {np.shape(X)} is rows of numbers; say with image_shape=(H, W) what images they are, "
                    "and give one image as X[None]"
                )
            return X
        rows = np.asarray(X)
        shape = tuple(self.image_shape)
        if rows.ndim != 2 or rows.shape[1] != np.prod(shape):
            raise InputError(
                f"rows of shape {rows.shape} are no images of {shape}; set image_shape to what they were flattened from"
            )
        return rows.reshape(-1, *shape)

    def _measure(self, images: Any) -> tuple[NDArray[np.float64], list[str]]:
        settings = self.settings or RadiomicsSettings()
        table = extract(images, self.mask, settings=settings, spacing=self.spacing, threads=self.threads)
        if len(table) != len(images):
            raise InputError(
                "the mask holds several regions; a transformer needs one row for each image, so give one region"
            )
        return table.to_numpy(), list(table.columns)
