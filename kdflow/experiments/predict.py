"""Predicting: images from anywhere, what a trained model says of them."""

import os
import sys
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import torch

from kdflow.common.console import console, say
from kdflow.common.errors import DataError, KdflowError, ModelError, UsageError, raise_all
from kdflow.config import PredictConfig
from kdflow.data.base import IMAGE_SIZE
from kdflow.data.pictures import Picture, picture_files, read_picture
from kdflow.experiments.find_model import find
from kdflow.experiments.image_predictions import WORDS, ImagePrediction, ImagePredictions
from kdflow.models.export import Probabilities
from kdflow.models.onnx_program import read_onnx
from kdflow.reports.terminal import text_table

BATCH = 256
Predictor = Callable[[np.ndarray], np.ndarray]


def run_predict(model: str, images: Iterable[str | Path], config: PredictConfig) -> ImagePredictions:
    """What a model says of images.

    Args:
        model: A run, a registered model, a folder of weights, or an `.onnx` file.
        images: Files in any format that Pillow reads, and folders of them.
        config: The options.

    Returns:
        A prediction for each image that can be read; the others are in its `unreadable`.

    Raises:
        ModelError: see `kdflow.experiments.find_model.find`.
        TrackingError: the store cannot be used.
    """
    name, classes, predict = _predictor(model, config)
    pictures, unreadable, passed_over = _pictures(images)
    probabilities = [predict(np.stack([one.pixels for one in lot])) for lot in _lots(pictures)]
    found = np.concatenate(probabilities) if probabilities else np.empty((0, len(classes)), np.float32)
    return ImagePredictions(
        model=name,
        predictions=tuple(_prediction(*one, classes, config.top) for one in zip(pictures, found, strict=True)),
        unreadable=tuple(unreadable),
        notes=tuple(_notes(pictures, passed_over)),
    )


def show(found: ImagePredictions, *, as_json: bool) -> None:
    """Prints what a model says of images: a table with what was done to them, or JSON alone.

    Raises:
        DataError: some could not be read; what is said of the others is printed before.
    """
    if as_json:
        sys.stdout.write(found.json_text() + "\n")
    else:
        say(f"model: {found.model}")
        for note in found.notes:
            say(note)
        if found.predictions:
            console.print(text_table(found.cells, WORDS), markup=False, emoji=False)
    raise_all([DataError(line) for line in found.unreadable])


def _predictor(model: str, config: PredictConfig) -> tuple[str, tuple[str, ...], Predictor]:
    """What a model is, its classes, and what gives probabilities for raw images."""
    if model.endswith(".onnx") and os.path.isfile(model):
        try:
            program = read_onnx(Path(model))
        except UsageError:
            raise
        except KdflowError as error:
            raise ModelError(f"{model}: {error}") from None
        return model, program.classes, program
    found = find(model, config)
    served = Probabilities(found.network, found.card["mean"], found.card["std"])

    @torch.inference_mode()
    def predict(images: np.ndarray) -> np.ndarray:
        return np.asarray(served(torch.from_numpy(images)).numpy())

    return found.name, found.classes, predict


def _pictures(images: Iterable[str | Path]) -> tuple[list[Picture], list[str], int]:
    """What can be read, a line for each that cannot, and how many files of folders are no images."""
    pictures, unreadable, passed_over = [], [], 0
    for place in map(Path, images):
        try:
            files, others = picture_files(place)
        except DataError as error:
            unreadable.append(str(error))
            continue
        passed_over += others
        for file in files:
            try:
                pictures.append(read_picture(file))
            except DataError as error:
                unreadable.append(str(error))
    return pictures, unreadable, passed_over


def _lots(pictures: list[Picture]) -> Iterable[list[Picture]]:
    return (pictures[start : start + BATCH] for start in range(0, len(pictures), BATCH))


def _prediction(picture: Picture, found: np.ndarray, classes: tuple[str, ...], top: int) -> ImagePrediction:
    best = np.argsort(-found, kind="stable")[:top]
    named = tuple((classes[index], float(found[index])) for index in best)
    return ImagePrediction(str(picture.path), picture.size, named)


def _notes(pictures: list[Picture], passed_over: int) -> Iterable[str]:
    if scaled := sum(one.size != (IMAGE_SIZE, IMAGE_SIZE) for one in pictures):
        size = f"{IMAGE_SIZE}x{IMAGE_SIZE}"
        yield f"scaled to {size}, as --resize true scales the images of a training: {scaled} of {len(pictures)}"
    if passed_over:
        yield f"passed over, as hidden or no image by their names: {passed_over}"
